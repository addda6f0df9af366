"""Device tokens, and secrets that an instance keeps."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "device_tokens",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("account_id", row_id, nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("scram_sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float()),
        sa.PrimaryKeyConstraint("id", name="pk_device_tokens"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_device_tokens_account_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_device_tokens_account_id", "device_tokens", ["account_id"])
    op.create_table(
        "server_secrets",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_server_secrets"),
    )
