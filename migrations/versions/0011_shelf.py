"""The personal-model shelf."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "shelf_models",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("job_id", sa.Uuid(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("client_id", sa.Text(), sa.ForeignKey("clients.id"), nullable=False),
        sa.Column("form", sa.String(20), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False, index=True),
        sa.Column("n_bytes", sa.BigInteger(), nullable=False),
        sa.Column("state_digest", sa.Text(), nullable=False),
        sa.Column("announced_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("completed_at", _TIME, nullable=True),
        sa.Column("deleted_at", _TIME, nullable=True),
        sa.CheckConstraint("form IN ('none', 'encrypted', 'plain')", name="shelfform_known"),
    )
    for name, where in (
        ("shelf_models_there", "completed_at IS NOT NULL AND deleted_at IS NULL"),
        ("shelf_models_coming", "completed_at IS NULL AND deleted_at IS NULL"),
    ):
        op.create_index(
            name,
            "shelf_models",
            ["job_id", "client_id"],
            unique=True,
            postgresql_where=sa.text(where),
        )


def downgrade() -> None:
    op.drop_table("shelf_models")
