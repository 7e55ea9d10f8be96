"""Badges."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "badges",
        sa.Column("subject", sa.String(16), primary_key=True),
        sa.Column("site", sa.String(16), sa.ForeignKey("sites.id"), nullable=False),
        sa.Column("label", sa.String(60), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("zone", sa.Integer(), nullable=False),
        sa.Column("issued", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_badges_site", "badges", ["site"])


def downgrade() -> None:
    """Refused: rows of the registry are never thrown away."""
    raise NotImplementedError("the registry only goes forward")
