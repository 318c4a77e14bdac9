"""Tables of the schema `gateway`, a module for each subject."""

from myx_kit.db.base import metadata as new_metadata

SCHEMA = "gateway"

metadata = new_metadata(SCHEMA)
