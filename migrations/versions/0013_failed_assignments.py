"""A job's failed assignments are found without reading its others."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_INDEX = "assignments_failed"


def upgrade() -> None:
    op.create_index(_INDEX, "assignments", ["job_id"], postgresql_where=sa.text("state = 'failed'"))


def downgrade() -> None:
    op.drop_index(_INDEX, "assignments")
