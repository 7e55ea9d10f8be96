"""Claims on cards, and gates' certificates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "claims",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("gate", sa.String(16), sa.ForeignKey("gates.id"), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("issued", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("board", sa.String(64), nullable=False),
    )
    op.create_index("ix_claims_gate", "claims", ["gate"])
    op.create_table(
        "certificates",
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("gate", sa.String(16), sa.ForeignKey("gates.id"), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
    )
    op.create_index("ix_certificates_gate", "certificates", ["gate"])
    op.create_index("ix_certificates_ends", "certificates", ["ends"])


def downgrade() -> None:
    """Refused: rows of the registry are never thrown away."""
    raise NotImplementedError("the registry only goes forward")
