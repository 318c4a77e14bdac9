"""The table of the schema `heartbeat`."""

import sqlalchemy as sa

from myx_kit.db.base import UtcDateTime
from myx_kit.db.base import metadata as new_metadata

SCHEMA = "heartbeat"

metadata = new_metadata(SCHEMA)

member = sa.Table(
    "member",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("joined_at", UtcDateTime, nullable=False),
    sa.Column("lease_until", UtcDateTime, nullable=False),
    sa.Column("agents", sa.Integer, nullable=False),
)
