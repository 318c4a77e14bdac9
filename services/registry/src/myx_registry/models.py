"""Tables of the schema `registry`. Columns named `sealed_*` hold SecretBox envelopes bound to table, column and row."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from myx_kit.db.base import UtcDateTime
from myx_kit.db.base import metadata as new_metadata
from myx_kit.db.outbox import outbox_table

SCHEMA = "registry"

metadata = new_metadata(SCHEMA)

server = sa.Table(
    "server",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    # Byte order: the order of pages must not depend on the cluster's locale.
    sa.Column("name", sa.Text(collation="C"), nullable=False, unique=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("labels", JSONB, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("request_id", sa.Text, nullable=True, unique=True),
    sa.Column("request_digest", sa.LargeBinary, nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

agent = sa.Table(
    "agent",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column(
        "server_id",
        sa.Uuid,
        sa.ForeignKey(server.c.id, ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    sa.Column("rpc_port", sa.Integer, nullable=False, unique=True),
    sa.Column("certificate_sha256", sa.Text, nullable=False),
    sa.Column("certificate_pem", sa.Text, nullable=False),
    sa.Column("sealed_agent_token", sa.LargeBinary, nullable=False),
    sa.Column("sealed_secret_key", sa.LargeBinary, nullable=False),
    sa.Column("sealed_rpc_path", sa.LargeBinary, nullable=False),
    sa.Column("sealed_private_key", sa.LargeBinary, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("status_reason", sa.Text, nullable=False),
    sa.Column("status_message", sa.Text, nullable=False),
    sa.Column("status_since", UtcDateTime, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("rpc_supported", sa.Boolean, nullable=False),
    sa.Column("rpc_last_check", UtcDateTime, nullable=True),
    sa.Column("rpc_last_success", UtcDateTime, nullable=True),
    sa.Column("last_heartbeat", UtcDateTime, nullable=True),
    sa.Column("latency_s", sa.Double, nullable=True),
    sa.Column("failure_streak", sa.Integer, nullable=False),
    sa.Column("last_attempts", JSONB, nullable=False),
    sa.Column("facts", JSONB(none_as_null=True), nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.CheckConstraint("status in ('pending', 'online', 'offline', 'unknown')", name="status"),
    sa.CheckConstraint("rpc_port between 8000 and 65535", name="rpc_port"),
    # Every heartbeat rewrites the row: room on the page keeps the new version beside the old one, without index writes.
    postgresql_with={"fillfactor": "70"},
)

outbox = outbox_table(metadata)
