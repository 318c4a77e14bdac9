"""The schema `executor`, its metadata and where its migrations are."""

from pathlib import Path

from myx_kit.db.base import metadata as new_metadata
from myx_kit.db.outbox import outbox_table

SCHEMA = "executor"
MIGRATIONS = Path(__file__).parents[1] / "migrations"

metadata = new_metadata(SCHEMA)

outbox = outbox_table(metadata)
