"""Dry runs of forks, and what stands against a dry run kept with it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COLUMNS = (
    sa.Column("reasons", sa.JSON(), nullable=False, server_default="[]"),
    sa.Column("forked_from", sa.Uuid(), nullable=True),
    sa.Column("forked_round", sa.Integer(), nullable=True),
    sa.Column("forked_personal_round", sa.Integer(), nullable=True),
)

_KEYS = "DELETE FROM idempotency_keys WHERE route LIKE '%dry-run'"  # who repeats asks anew


def upgrade() -> None:
    """What was refused says no more why: it is forgotten, as all dry runs are after a day."""
    for column in _COLUMNS:
        op.add_column("dry_runs", column)
    op.execute(
        "DELETE FROM dry_runs WHERE answered_at IS NOT NULL AND description IS NULL "
        "AND failure_code IS NULL"
    )
    op.execute(_KEYS)


def downgrade() -> None:
    """Forks' rows would be read as jobs of their own."""
    op.execute("DELETE FROM dry_runs WHERE forked_from IS NOT NULL")
    op.execute(_KEYS)
    for column in reversed(_COLUMNS):
        op.drop_column("dry_runs", column.name)
