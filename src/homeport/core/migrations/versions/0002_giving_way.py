"""Leases tell what is held aside, which upload of a process is the youngest, and which is to give way."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; a lease from before tells nothing until its process answers the next recall."""
    op.add_column("leases", sa.Column("aside_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("leases", sa.Column("aside_files", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("leases", sa.Column("youngest", sa.String(96)))
    op.add_column("leases", sa.Column("give_way", sa.String(96)))
