"""Servers, agents and the outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = "registry"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "server",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("labels", JSONB, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("request_id", sa.Text, nullable=True),
        sa.Column("request_digest", sa.LargeBinary, nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_server")),
        sa.UniqueConstraint("name", name=op.f("uq_server_name")),
        sa.UniqueConstraint("request_id", name=op.f("uq_server_request_id")),
        schema=_SCHEMA,
    )
    op.create_table(
        "agent",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("rpc_port", sa.Integer, nullable=False),
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
        sa.Column("status_since", _INSTANT, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("rpc_supported", sa.Boolean, nullable=False),
        sa.Column("rpc_last_check", _INSTANT, nullable=True),
        sa.Column("rpc_last_success", _INSTANT, nullable=True),
        sa.Column("last_heartbeat", _INSTANT, nullable=True),
        sa.Column("latency_s", sa.Double, nullable=True),
        sa.Column("failure_streak", sa.Integer, nullable=False),
        sa.Column("last_attempts", JSONB, nullable=False),
        sa.Column("facts", JSONB, nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.CheckConstraint("status in ('pending', 'online', 'offline', 'unknown')", name=op.f("ck_agent_status")),
        sa.CheckConstraint("rpc_port between 8000 and 65535", name=op.f("ck_agent_rpc_port")),
        sa.ForeignKeyConstraint(
            ["server_id"], [f"{_SCHEMA}.server.id"], name=op.f("fk_agent_server_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent")),
        sa.UniqueConstraint("server_id", name=op.f("uq_agent_server_id")),
        sa.UniqueConstraint("rpc_port", name=op.f("uq_agent_rpc_port")),
        schema=_SCHEMA,
        # Every heartbeat rewrites the row: room on the page keeps the new version beside the old one.
        postgresql_with={"fillfactor": "70"},
    )
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox")),
        schema=_SCHEMA,
    )


def downgrade() -> None:
    """To nothing."""
    op.drop_table("outbox", schema=_SCHEMA)
    op.drop_table("agent", schema=_SCHEMA)
    op.drop_table("server", schema=_SCHEMA)
