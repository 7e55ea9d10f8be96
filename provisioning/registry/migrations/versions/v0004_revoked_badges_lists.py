"""Badges that were revoked, and lists that went out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the columns and the table."""
    with op.batch_alter_table("badges") as badges:
        badges.add_column(sa.Column("revoked", sa.DateTime(timezone=True), nullable=True))
        badges.add_column(sa.Column("reason", sa.String(100), nullable=False, server_default=""))
    with op.batch_alter_table("badges") as badges:
        badges.alter_column("reason", server_default=None, existing_type=sa.String(100), existing_nullable=False)
    op.create_table(
        "lists",
        sa.Column("site", sa.String(16), sa.ForeignKey("sites.id"), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.Column("issued", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Refused: rows of the registry are never thrown away."""
    raise NotImplementedError("the registry only goes forward")
