"""Accounts, the quota ledger, digests and the login guard."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the first tables."""
    _accounts()
    _ledger()
    _logins()


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", row_id, nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("name_key", sa.String(128), nullable=False),
        sa.Column("argon2", sa.Text(), nullable=False),
        sa.Column("scram_sha256", sa.Text(), nullable=False),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("quota_bytes", sa.BigInteger()),
        sa.Column("max_files", sa.BigInteger()),
        sa.Column("home", sa.Text()),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.Float()),
        sa.Column("max_sessions", sa.Integer()),
        sa.Column("upload_bytes_per_s", sa.BigInteger()),
        sa.Column("download_bytes_per_s", sa.BigInteger()),
        sa.Column("charset", sa.String(32)),
        sa.Column("allow_exec", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("password_changed_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
        sa.UniqueConstraint("name_key", name="uq_accounts_name_key"),
        sqlite_autoincrement=True,
    )


def _ledger() -> None:
    op.create_table(
        "usage",
        sa.Column("account_id", row_id, nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=False),
        sa.Column("used_files", sa.BigInteger(), nullable=False),
        sa.Column("frozen_by", sa.String(64)),
        sa.Column("recounted_at", sa.Float()),
        sa.PrimaryKeyConstraint("account_id", name="pk_usage"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_usage_account_id", ondelete="CASCADE"),
    )
    op.create_table(
        "processes",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("heartbeat_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_processes"),
    )
    op.create_table(
        "leases",
        sa.Column("process_id", sa.String(64), nullable=False),
        sa.Column("account_id", row_id, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("recalled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("process_id", "account_id", name="pk_leases"),
        sa.ForeignKeyConstraint(["process_id"], ["processes.id"], name="fk_leases_process_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_leases_account_id", ondelete="CASCADE"),
    )
    op.create_table(
        "digests",
        sa.Column("device", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("inode", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("device", "inode", name="pk_digests"),
    )


def _logins() -> None:
    op.create_table(
        "login_failures",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("count", sa.Float(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_login_failures"),
    )
    op.create_table(
        "bans",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("until", sa.Float()),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_bans"),
    )
    op.create_table(
        "boots",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("offset", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_boots"),
    )
