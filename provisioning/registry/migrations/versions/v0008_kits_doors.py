"""What a gate is fitted with. Gates from before have the full kit and no door: so their cards were written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the columns. Their defaults stay in the table: SQLite could drop them only by making anew a table that others refer to."""
    op.add_column("gates", sa.Column("kit", sa.String(8), nullable=False, server_default="full"))
    op.add_column("gates", sa.Column("door", sa.String(8), nullable=False, server_default="none"))
    op.add_column("gates", sa.Column("power_loss", sa.String(8), nullable=True))


def downgrade() -> None:
    """Refused: rows of the registry are never thrown away."""
    raise NotImplementedError("the registry only goes forward")
