"""Targets, grace and extensions of rounds; priority, pause and lineage of jobs."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TIME = sa.DateTime(timezone=True)
_COLUMNS = {
    "rounds": ("target", "quorum_at", "extensions"),
    "jobs": ("priority", "paused_from", "paused_at", "forked_from", "forked_round"),
    "job_clients": ("parent_state_digest",),
}


def upgrade() -> None:
    _may("rounds", "target", sa.Integer())
    _may("rounds", "quorum_at", _TIME)
    _count("rounds", "extensions")
    _count("jobs", "priority")
    _may("jobs", "paused_from", sa.Text())
    _may("jobs", "paused_at", _TIME)
    _may("jobs", "forked_from", sa.Uuid())
    _may("jobs", "forked_round", sa.Integer())
    _may("job_clients", "parent_state_digest", sa.Text())
    op.create_foreign_key("jobs_forked_from_fkey", "jobs", "jobs", ["forked_from"], ["id"])
    op.execute(
        "UPDATE rounds SET target = greatest(quorum, "
        "(SELECT count(*) FROM assignments WHERE round_id = rounds.id))"
    )
    op.alter_column("rounds", "target", nullable=False)


def downgrade() -> None:
    for table, names in _COLUMNS.items():
        for name in names:
            op.drop_column(table, name)


def _may(table: str, name: str, kind: Any) -> None:
    op.add_column(table, sa.Column(name, kind, nullable=True))


def _count(table: str, name: str) -> None:
    op.add_column(table, sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
