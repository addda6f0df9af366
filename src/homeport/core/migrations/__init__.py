"""The way from every older schema to `core/schema.py`, one file a step in `versions/`.

The one rule: a released step never changes. To add one: change `schema.py`, write `versions/000N_<why>.py` with
`down_revision` naming the last, set HEAD, and run the tests: they fail until the steps lead exactly to the schema.
This file imports nothing, so that a start with the schema at HEAD never loads Alembic.
"""

HEAD = "0005"
