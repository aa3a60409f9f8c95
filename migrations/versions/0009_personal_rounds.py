"""The round of the parent whose personal states a fork's clients began with, if it is another."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("forked_personal_round", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "forked_personal_round")
