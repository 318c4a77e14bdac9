"""Tables of the schema `gateway`, a module for each subject."""

from pathlib import Path

from myx_kit.db.base import metadata as new_metadata

SCHEMA = "gateway"
MIGRATIONS = Path(__file__).parents[1] / "migrations"

metadata = new_metadata(SCHEMA)
