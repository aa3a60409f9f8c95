"""Dry runs, and when a planner last called."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("seen_at", _TIME, nullable=True))
    op.create_table(
        "dry_runs",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("offers", sa.JSON(), nullable=False),
        sa.Column("components", ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"),
        sa.Column(
            "lease_until", _TIME, nullable=False, server_default=sa.text("'epoch'::timestamptz")
        ),
        sa.Column("description", sa.JSON(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("answered_at", _TIME, nullable=True),
    )


def downgrade() -> None:
    op.drop_table("dry_runs")
    op.drop_column("api_keys", "seen_at")
