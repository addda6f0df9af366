"""Runs the steps that a database still lacks, through Alembic, inside the caller's transaction.

The one rule: all steps or none. SQLite and PostgreSQL both undo table definitions with the transaction.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from homeport.core.errors import StateUnavailable


def upgrade(connection: Connection, revision: str | None) -> None:
    """Bring the database from `revision` (None: empty) to the newest schema.

    Raises StateUnavailable for a revision that this version does not know, which only a newer one can have made.
    """
    settings = configuration(connection)
    if revision is not None and not _is_known(settings, revision):
        raise StateUnavailable(f"a newer version of Homeport made it (schema {revision}); install that version")
    command.upgrade(settings, "head")


def configuration(connection: Connection) -> Config:
    """Alembic's settings for a connection that is already in a transaction."""
    settings = Config(attributes={"connection": connection})
    folder = str(Path(__file__).parent)
    settings.set_main_option("script_location", folder.replace("%", "%%"))  # values are interpolated
    return settings


def _is_known(settings: Config, revision: str) -> bool:
    try:
        return ScriptDirectory.from_config(settings).get_revision(revision) is not None
    except CommandError:
        return False
