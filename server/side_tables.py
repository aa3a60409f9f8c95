"""The tables beside the jobs': what is to be sent, what was answered, dry runs, the shelf."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from server.columns import NEVER, ClientRef, Count, Id, JobRef, Now, Table
from shared.shelf_spec import ShelfForm


class Outbox(Table):
    """A Celery message to be sent after its transaction committed."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "outbox_waiting",
            "task",
            "argument",
            unique=True,
            postgresql_where=text("sent_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    task: Mapped[str]
    queue: Mapped[str]
    argument: Mapped[str]
    created_at: Mapped[Now]
    not_before: Mapped[Now]
    sent_at: Mapped[datetime | None]


class IdempotencyKey(Table):
    """What a POST with an Idempotency-Key made, so that a repetition answers the same."""

    __tablename__ = "idempotency_keys"

    api_key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    resource: Mapped[str]
    created_at: Mapped[Now]


class DryRun(Table):
    """What a job would be, for a planner to describe. No job, round or assignment knows of it.

    `offers` are those of the registered clients among the spec's; null where one has made none.
    `reasons` (shared.dry_run.ReasonView) stand against it. `description` and the failure are the
    planner's; without all of these it is still to be described. A fork's description is that of its
    parent's version, which no job refers to for the fork's sake.
    """

    __tablename__ = "dry_runs"

    id: Mapped[Id]
    spec: Mapped[dict[str, Any]]
    offers: Mapped[dict[str, Any]]
    components: Mapped[list[str]]  # none where the job could not run
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    forked_from: Mapped[UUID | None]
    forked_round: Mapped[int | None]
    forked_personal_round: Mapped[int | None]
    created_at: Mapped[Now]
    attempt: Mapped[Count]
    lease_until: Mapped[datetime] = mapped_column(server_default=NEVER)
    description: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)  # it is large
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None]
    answered_at: Mapped[datetime | None]


class ShelfModel(Table):
    """A client's personal model on a job's shelf, or on its way there; the row outlives the bytes.

    At most one of a client and job is there, and one on its way, which takes its place.
    """

    __tablename__ = "shelf_models"
    __table_args__ = tuple(
        Index(name, "job_id", "client_id", unique=True, postgresql_where=text(where))
        for name, where in (
            ("shelf_models_there", "completed_at IS NOT NULL AND deleted_at IS NULL"),
            ("shelf_models_coming", "completed_at IS NULL AND deleted_at IS NULL"),
        )
    )

    id: Mapped[Id]
    job_id: Mapped[JobRef]
    client_id: Mapped[ClientRef]
    form: Mapped[ShelfForm]
    sha256: Mapped[str] = mapped_column(index=True)
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    state_digest: Mapped[str]
    announced_at: Mapped[Now]
    completed_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]  # or replaced, or given up
