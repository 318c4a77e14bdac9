"""The schema `executor` and its metadata."""

from myx_kit.db.base import metadata as new_metadata
from myx_kit.db.outbox import outbox_table

SCHEMA = "executor"

metadata = new_metadata(SCHEMA)

outbox = outbox_table(metadata)
