"""The database's tables. States are written by `server.lifecycle` alone.

JSON, not JSONB: the order of a spec's tasks is part of the spec.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from server.columns import NEVER, ArtifactRef, ClientRef, Count, Id, JobRef, Now, Scope, Table
from shared.messages import AssignmentKind
from shared.states import AssignmentState, JobState, RoundState


class Client(Table):
    """A participant of the federation."""

    __tablename__ = "clients"

    id: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str]
    created_at: Mapped[Now]
    seen_at: Mapped[datetime | None]
    offer: Mapped[dict[str, Any] | None]


class ApiKey(Table):
    """A key, known by its hash only."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("(scope = 'client') = (client_id IS NOT NULL)", name="client_keys_name_it"),
    )

    id: Mapped[Id]
    prefix: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str]
    scope: Mapped[Scope]
    client_id: Mapped[str | None] = mapped_column(ForeignKey("clients.id"))
    created_at: Mapped[Now]
    used_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]  # of planners: when one last called
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Job(Table):
    """One federated run. `due_at` is when the timer looks at it next: never NULL, so no hang."""

    __tablename__ = "jobs"
    __table_args__ = (Index("jobs_due", "due_at"), Index("jobs_newest", "created_at", "id"))

    id: Mapped[Id]
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    state: Mapped[JobState]
    round_number: Mapped[Count]
    catalogue: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)  # it is large
    base_digest: Mapped[str | None]
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Now]
    due_at: Mapped[Now]
    priority: Mapped[Count]
    paused_from: Mapped[str | None]  # the JobState to go back to
    paused_at: Mapped[datetime | None]
    forked_from: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id"))
    forked_round: Mapped[int | None]
    forked_personal_round: Mapped[int | None]  # where it is another than forked_round


class JobClient(Table):
    """A client's offer, frozen for one job, what of it was lost since, and its personal state.

    In a fork `parent_state_digest` is the one that the client began with: of the parent.
    """

    __tablename__ = "job_clients"

    job_id: Mapped[JobRef] = mapped_column(primary_key=True)
    client_id: Mapped[ClientRef] = mapped_column(primary_key=True)
    offer: Mapped[dict[str, Any]]
    changes: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")  # OfferChange each
    state_digest: Mapped[str | None]
    parent_state_digest: Mapped[str | None]


class Round(Table):
    """One collecting step of a job; a training round aggregates and publishes a version.

    `version` is the version that its assignments start from. It needs `quorum` results, and closes
    with `target`. `attempt` counts failed aggregations.
    """

    __tablename__ = "rounds"
    __table_args__ = (
        UniqueConstraint("job_id", "phase", "number"),
        Index(
            "rounds_one_live",
            "job_id",
            unique=True,
            postgresql_where=text("state IN ('open', 'aggregating')"),
        ),
    )

    id: Mapped[Id]
    job_id: Mapped[JobRef]
    phase: Mapped[AssignmentKind]
    number: Mapped[int]
    state: Mapped[RoundState]
    quorum: Mapped[int]
    target: Mapped[int]
    version: Mapped[int | None]
    opened_at: Mapped[Now]
    quorum_at: Mapped[datetime | None]
    deadline_at: Mapped[datetime]
    extensions: Mapped[Count]
    closed_at: Mapped[datetime | None]
    attempt: Mapped[Count]
    lease_id: Mapped[UUID] = mapped_column(server_default=func.gen_random_uuid())
    lease_until: Mapped[datetime] = mapped_column(server_default=NEVER)


class Assignment(Table):
    """One unit of work for one client, or for the planner (no client).

    The lease columns are never NULL: a NULL is never in the past, and would hide a missed lease.
    """

    __tablename__ = "assignments"
    __table_args__ = (
        CheckConstraint("(kind = 'plan') = (client_id IS NULL)", name="only_plans_have_no_client"),
        UniqueConstraint("round_id", "client_id"),
        Index(
            "assignments_one_lease",
            "client_id",
            unique=True,
            postgresql_where=text("state = 'leased'"),
        ),
        Index(
            "assignments_active",
            "client_id",
            postgresql_where=text("state IN ('queued', 'leased', 'suspect')"),
        ),
        Index("assignments_failed", "job_id", postgresql_where=text("state = 'failed'")),
    )

    id: Mapped[Id]
    job_id: Mapped[JobRef] = mapped_column(index=True)
    round_id: Mapped[UUID] = mapped_column(ForeignKey("rounds.id"), index=True)
    client_id: Mapped[str | None] = mapped_column(ForeignKey("clients.id"))
    kind: Mapped[AssignmentKind]
    state: Mapped[AssignmentState]
    components: Mapped[list[str]]
    version: Mapped[int | None]
    created_at: Mapped[Now]
    attempt: Mapped[Count]
    released: Mapped[Count]  # attempts that were given back, which do not count
    lease_id: Mapped[UUID] = mapped_column(server_default=func.gen_random_uuid())
    lease_until: Mapped[datetime] = mapped_column(server_default=NEVER)
    not_before: Mapped[Now]
    hints: Mapped[Count]
    hint_at: Mapped[Now]
    progress: Mapped[float] = mapped_column(server_default="0")
    result: Mapped[dict[str, Any] | None]
    failure_code: Mapped[str | None]
    failure_message: Mapped[str | None]


class Attempt(Table):
    """Append-only: each claim of an assignment."""

    __tablename__ = "attempts"

    assignment_id: Mapped[UUID] = mapped_column(ForeignKey("assignments.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    lease_id: Mapped[UUID] = mapped_column(unique=True)
    claimed_at: Mapped[Now]


class Upload(Table):
    """Components' files on their way in, as one stream; the part file's size is the offset."""

    __tablename__ = "uploads"
    __table_args__ = (UniqueConstraint("assignment_id", "attempt", "digest"),)

    id: Mapped[Id]
    assignment_id: Mapped[UUID] = mapped_column(ForeignKey("assignments.id"))
    attempt: Mapped[int]
    digest: Mapped[str]  # sha256 of the announcement
    components: Mapped[dict[str, Any]]  # name -> UploadWish, in the order of the stream
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[Now]
    completed_at: Mapped[datetime | None]
    refusals: Mapped[Count]


class UploadedComponent(Table):
    """A component that has arrived whole for an assignment, was checked, and is kept."""

    __tablename__ = "uploaded_components"

    assignment_id: Mapped[UUID] = mapped_column(ForeignKey("assignments.id"), primary_key=True)
    component: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[ArtifactRef] = mapped_column(primary_key=True)
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    norm: Mapped[float | None]  # of the change; None without a sound start


class Artifact(Table):
    """Immutable bytes in the store; the row follows the file."""

    __tablename__ = "artifacts"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    n_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[Now]


class Version(Table):
    """What the server held after a round."""

    __tablename__ = "versions"

    job_id: Mapped[JobRef] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[UUID] = mapped_column(ForeignKey("rounds.id"), unique=True)
    created_at: Mapped[Now]


class VersionComponent(Table):
    """One component of a version; `made_in` is the version that first held the artifact.

    `relative_error` is that of its low-rank pairs when it was aggregated (server.aggregation).
    """

    __tablename__ = "version_components"
    __table_args__ = (Index("version_components_artifact", "sha256"),)

    job_id: Mapped[JobRef] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[ArtifactRef]
    made_in: Mapped[int]
    relative_error: Mapped[float | None]


class Contribution(Table):
    """One client's share in one component of a round."""

    __tablename__ = "contributions"

    round_id: Mapped[UUID] = mapped_column(ForeignKey("rounds.id"), primary_key=True)
    component: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[ClientRef] = mapped_column(primary_key=True)
    weight: Mapped[float]
    sha256: Mapped[ArtifactRef]
    norm: Mapped[float | None]
    verdict: Mapped[str]  # accepted, or held_back: then it is in no average


class Event(Table):
    """Append-only: what happened. Each row's hash covers that of the one before in its job.

    The database fills the hashes; `server.audit` checks them.
    """

    __tablename__ = "events"
    __table_args__ = (Index("events_of_job", "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    kind: Mapped[str]
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id"))
    data: Mapped[dict[str, Any]]
    previous_sha256: Mapped[str | None] = mapped_column(server_default=FetchedValue())
    sha256: Mapped[str] = mapped_column(server_default=FetchedValue())
