"""How far each component's low-rank aggregate is from the mean of its contributors' products."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("version_components", sa.Column("relative_error", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("version_components", "relative_error")
