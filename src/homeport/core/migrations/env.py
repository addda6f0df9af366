"""Alembic runs this file for every command. The connection and its transaction belong to `upgrade.py`'s caller."""

from alembic import context

from homeport.core.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
