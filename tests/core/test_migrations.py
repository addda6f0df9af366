"""The steps lead exactly to the schema, whatever Alembic can compare."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from homeport.core.errors import StateUnavailable
from homeport.core.migrations import HEAD
from homeport.core.migrations.upgrade import configuration, upgrade
from homeport.core.schema import metadata
from homeport.core.state import Database


def test_the_steps_lead_to_the_schema(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_steps_and_the_schema_define_the_same_tables(database: Database) -> None:
    """Alembic compares neither primary keys nor what happens on delete."""
    with database.write() as connection:
        migrated = _described(connection)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        assert _described(connection) == migrated


def test_head_is_the_last_step(database: Database) -> None:
    with database.read() as connection:
        assert ScriptDirectory.from_config(configuration(connection)).get_heads() == [HEAD]


def test_a_newer_schema_is_refused(database: Database, open_again: Callable[[], Database]) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StateUnavailable) as caught:
        open_again()
    assert str(caught.value) == (
        "the state database is not available: a newer version of Homeport made it (schema 9999); install that version"
    )


def test_upgrading_from_the_newest_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        before = _described(connection)
        upgrade(connection, HEAD)
        assert _described(connection) == before


def test_a_process_that_dies_half_way_leaves_nothing_half_done(
    database_url: str, open_again: Callable[[], Database]
) -> None:
    code = f"""
import os
from alembic import op
from homeport.core.state import open_database
made = []
create_table = op.create_table
def dying(*arguments, **options):
    made.append(create_table(*arguments, **options))
    if len(made) == 4:
        os.kill(os.getpid(), 9)
op.create_table = dying
open_database({database_url!r})
"""
    died = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "src"}, timeout=60, check=False)
    assert died.returncode == -9
    with open_again().read() as connection:
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def _described(connection: Connection) -> dict[str, object]:
    look = inspect(connection)
    return {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in look.get_columns(name)],
            look.get_pk_constraint(name),
            look.get_foreign_keys(name),
            sorted(look.get_unique_constraints(name), key=lambda unique: str(unique["name"])),
            look.get_indexes(name),
        )
        for name in sorted(metadata.tables)
    }
