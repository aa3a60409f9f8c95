"""The norm of each uploaded component's change, measured while its bytes are checked."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.add_column("uploaded_components", sa.Column("norm", sa.Double(), nullable=True))


def downgrade() -> None:
    op.drop_column("uploaded_components", "norm")
