"""One upload for all components of an assignment. What is under way is dropped and sent again."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.drop_table("uploads")
    _uploads(
        _need("digest", sa.Text()),
        _need("components", sa.JSON()),
        sa.UniqueConstraint("assignment_id", "attempt", "digest"),
    )
    op.create_table(
        "uploaded_components",
        _need("assignment_id", sa.Uuid()),
        _need("component", sa.Text()),
        _need("sha256", sa.Text()),
        _need("n_bytes", sa.BigInteger()),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"]),
        sa.ForeignKeyConstraint(["sha256"], ["artifacts.sha256"]),
        sa.PrimaryKeyConstraint("assignment_id", "component", "sha256"),
    )


def downgrade() -> None:
    op.drop_table("uploaded_components")
    op.drop_table("uploads")
    _uploads(
        _need("component", sa.Text()),
        _need("sha256", sa.Text()),
        sa.UniqueConstraint("assignment_id", "attempt", "component", "sha256"),
    )


def _uploads(*own: sa.Column[Any] | sa.Constraint) -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "uploads",
        _need("id", sa.Uuid()),
        _need("assignment_id", sa.Uuid()),
        _need("attempt", sa.Integer()),
        _need("n_bytes", sa.BigInteger()),
        _need("created_at", time, server_default=sa.text("now()")),
        sa.Column("completed_at", time, nullable=True),
        _need("refusals", sa.Integer(), server_default="0"),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"]),
        sa.PrimaryKeyConstraint("id"),
        *own,
    )


def _need(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **options)
