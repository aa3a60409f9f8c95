"""The tables beside the jobs': what is to be sent, and which requests were answered."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from server.columns import Now, Table


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
