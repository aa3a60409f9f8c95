"""How many attempts of an assignment were given back by workers that stopped."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "assignments", sa.Column("released", sa.Integer(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("assignments", "released")
