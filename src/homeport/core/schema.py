"""The database's tables, once, for SQLite and PostgreSQL alike. Alembic's migrations lead to exactly this.

Times are seconds since the epoch (float); sizes are bytes. Nothing here knows how rows are used.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives row numbers to INTEGER primary keys alone.
RowId = BigInteger().with_variant(Integer, "sqlite")

accounts = Table(
    "accounts",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("name_key", String(128), nullable=False, unique=True),  # NFKC + casefold: no two names look the same
    Column("argon2", Text, nullable=False),
    Column("scram_sha256", Text, nullable=False),
    Column("rights", Text, nullable=False),
    Column("quota_bytes", BigInteger),  # NULL: no limit
    Column("max_files", BigInteger),
    Column("home", Text),  # NULL: homes/NAME in the instance folder
    Column("enabled", Boolean, nullable=False),
    Column("expires_at", Float),
    Column("max_sessions", Integer),
    Column("upload_bytes_per_s", BigInteger),
    Column("download_bytes_per_s", BigInteger),
    Column("charset", String(32)),  # NULL: decided per session
    Column("allow_exec", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("password_changed_at", Float, nullable=False),
    sqlite_autoincrement=True,  # a new account never gets a removed one's number, which names its stages
)

# One row an account: everything handed out so far, the unspent part of every lease included.
usage = Table(
    "usage",
    metadata,
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("used_bytes", BigInteger, nullable=False),
    Column("used_files", BigInteger, nullable=False),
    Column("frozen_by", String(64)),  # the process that recounts, while it does
    Column("recounted_at", Float),
)

# A process that may be changing an account's files, with the allowance that it may still spend alone.
leases = Table(
    "leases",
    metadata,
    Column("process_id", String(64), ForeignKey("processes.id", ondelete="CASCADE"), primary_key=True),
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("recalled", Boolean, nullable=False),  # somebody needs it: give back what is idle
    Column(
        "aside_bytes", BigInteger, nullable=False, server_default="0"
    ),  # of `bytes`: held less borrowed, not unspent
    Column("aside_files", BigInteger, nullable=False, server_default="0"),
    Column("youngest", String(96)),  # the process's youngest upload of the account when it last told
    Column("give_way", String(96)),  # the upload of this process that is to give way to an older one elsewhere
)

processes = Table(
    "processes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("heartbeat_at", Float, nullable=False),
)

# Digests of files on file systems without extended attributes.
digests = Table(
    "digests",
    metadata,
    Column("device", BigInteger, primary_key=True, autoincrement=False),
    Column("inode", BigInteger, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("kind", String(16), primary_key=True),  # "address", "name", or "pair" of both
    Column("subject", String(128), primary_key=True),
    Column("count", Float, nullable=False),  # at last_at; it sinks with time
    Column("last_at", Float, nullable=False),
)

bans = Table(
    "bans",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("subject", String(128), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("until", Float),  # NULL: until removed
)

# The login guard's times are this offset plus the time since boot, so that setting the clock changes no ban.
boots = Table(
    "boots",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("offset", Float, nullable=False),
)

# What lets one device in without the password; see `homeport.core.tokens`.
device_tokens = Table(
    "device_tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("label", String(64), nullable=False),
    Column("scram_sha256", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("used_at", Float),  # NULL: never yet
)

# Random bytes that an instance keeps, each for one purpose.
server_secrets = Table(
    "server_secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

# Public keys that open an account through SSH; see `homeport.core.ssh_keys`.
ssh_keys = Table(
    "ssh_keys",
    metadata,
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),  # SHA256:..., as OpenSSH shows it
    Column("type", String(64), nullable=False),
    Column("blob", LargeBinary, nullable=False),
    Column("comment", Text, nullable=False),
    Column("sources", Text, nullable=False),  # from where it may be used; empty: from everywhere
    Column("created_at", Float, nullable=False),
    Column("used_at", Float),  # NULL: never yet
)

# A room, or a conversation of two accounts (`direct`); see `homeport.core.chat_log`.
chat_rooms = Table(
    "chat_rooms",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name_key", String(128), nullable=False, unique=True),  # as of accounts; of two: @LOWER-ID:HIGHER-ID
    Column("name", String(128), nullable=False),
    Column("direct", Boolean, nullable=False),
    Column("open", Boolean, nullable=False),  # whether everybody may read and talk who may at all
    Column("last_id", BigInteger, nullable=False),  # of its messages
    Column("created_at", Float, nullable=False),
    sqlite_autoincrement=True,  # a new room never gets a removed one's number
)

chat_members = Table(
    "chat_members",
    metadata,
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("room_id", RowId, ForeignKey("chat_rooms.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("read_id", BigInteger, nullable=False),  # the last message that the account has read
    Column("joined_at", Float, nullable=False),
)

chat_messages = Table(
    "chat_messages",
    metadata,
    Column("room_id", RowId, ForeignKey("chat_rooms.id", ondelete="CASCADE"), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # grows by one in its room
    Column("account_id", BigInteger, nullable=False),  # who said it, though the account may be gone
    Column("name", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("sent_at", Float, nullable=False),
    Column("token", String(64), nullable=False),  # the sender's own; a message that is sent again is stored once
    UniqueConstraint("account_id", "token"),
)

# What an account may do in a room, or (room 0) everywhere, other than by default.
chat_rights = Table(
    "chat_rights",
    metadata,
    Column("account_id", RowId, ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    Column("room_id", BigInteger, primary_key=True, autoincrement=False),
    Column("rights", String(64), nullable=False),
    Column("until", Float),  # NULL: until changed
)
