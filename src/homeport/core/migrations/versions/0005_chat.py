"""Rooms, their members, what was said in them, and who may."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "chat_rooms",
        sa.Column("id", row_id, nullable=False),
        sa.Column("name_key", sa.String(128), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("direct", sa.Boolean(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chat_rooms"),
        sa.UniqueConstraint("name_key", name="uq_chat_rooms_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "chat_members",
        sa.Column("account_id", row_id, nullable=False),
        sa.Column("room_id", row_id, nullable=False),
        sa.Column("read_id", sa.BigInteger(), nullable=False),
        sa.Column("joined_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "room_id", name="pk_chat_members"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_chat_members_account_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["room_id"], ["chat_rooms.id"], name="fk_chat_members_room_id", ondelete="CASCADE"),
    )
    op.create_index("ix_chat_members_room_id", "chat_members", ["room_id"])
    op.create_table(
        "chat_messages",
        sa.Column("room_id", row_id, nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("room_id", "id", name="pk_chat_messages"),
        sa.ForeignKeyConstraint(["room_id"], ["chat_rooms.id"], name="fk_chat_messages_room_id", ondelete="CASCADE"),
        sa.UniqueConstraint("account_id", "token", name="uq_chat_messages_account_id"),
    )
    op.create_table(
        "chat_rights",
        sa.Column("account_id", row_id, nullable=False),
        sa.Column("room_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("rights", sa.String(64), nullable=False),
        sa.Column("until", sa.Float()),
        sa.PrimaryKeyConstraint("account_id", "room_id", name="pk_chat_rights"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_chat_rights_account_id", ondelete="CASCADE"),
    )
