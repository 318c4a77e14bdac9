"""Commands, their log and the outbox.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = "executor"
_OPEN = "status in ('pending', 'queued', 'running', 'cancelling')"
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Creates the tables."""
    _create_command()
    _create_command_log()
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("seq", name="pk_outbox"),
        schema=_SCHEMA,
    )


def _create_command() -> None:
    op.create_table(
        "command",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("server_id", sa.Text, nullable=False),
        sa.Column("server_name", sa.Text, nullable=False),
        sa.Column("agent_id", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("args", ARRAY(sa.Text), nullable=False),
        sa.Column("env", JSONB, nullable=False),
        sa.Column("secret_env_names", ARRAY(sa.Text), nullable=False),
        sa.Column("cwd", sa.Text, nullable=False),
        sa.Column("command_user", sa.Text, nullable=False),
        sa.Column("timeout_s", sa.Double, nullable=False),
        sa.Column("no_output_timeout_s", sa.Double, nullable=True),
        sa.Column("sealed", sa.LargeBinary, nullable=True),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=True),
        sa.Column("sealed_request_digest", sa.LargeBinary, nullable=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("message", sa.Text, nullable=False, server_default=""),
        sa.Column("exit_code", sa.Integer, nullable=True),
        sa.Column("signal", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("dispatch_at", _TIME, nullable=True),
        sa.Column("started_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("cancel_requested_at", _TIME, nullable=True),
        sa.Column("cancel_grace_s", sa.Double, nullable=True),
        sa.Column("log_size", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("log_completeness", sa.Text, nullable=False, server_default="open"),
        sa.Column("result", JSONB, nullable=True),
        sa.Column("attempts", JSONB, nullable=False, server_default="[]"),
        sa.Column("owner", sa.Text, nullable=True),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("release_pending", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("id", name="pk_command"),
        sa.CheckConstraint(
            "status in ('pending', 'queued', 'running', 'cancelling', 'success', 'failed', 'timeout', 'cancelled',"
            " 'lost', 'unknown', 'skipped')",
            name="ck_command_status",
        ),
        sa.CheckConstraint(
            "log_completeness in ('open', 'complete', 'incomplete', 'unverified')",
            name="ck_command_log_completeness",
        ),
        schema=_SCHEMA,
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "uq_command_request",
        "command",
        ["requested_by", "request_id"],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text("request_id is not null"),
    )
    op.create_index("ix_command_server", "command", ["server_id", "id"], schema=_SCHEMA)
    for name, where in (
        ("ix_command_open", _OPEN),
        ("ix_command_cancelling", "status = 'cancelling'"),
        ("ix_command_release", "release_pending"),
    ):
        op.create_index(name, "command", ["id"], schema=_SCHEMA, postgresql_where=sa.text(where))


def _create_command_log() -> None:
    op.create_table(
        "command_log",
        sa.Column("command_id", UUID(as_uuid=True), nullable=False),
        sa.Column("offset_bytes", sa.BigInteger, nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("encoding", sa.SmallInteger, nullable=False),
        sa.Column("segments", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=True),
        sa.Column("gap_reason", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("command_id", "offset_bytes", name="pk_command_log"),
        sa.CheckConstraint("kind in ('bytes', 'gap')", name="ck_command_log_kind"),
        sa.CheckConstraint("length > 0", name="ck_command_log_length"),
        schema=_SCHEMA,
    )
    # The default storage would try to compress what is compressed or not worth it.
    op.execute(f"alter table {_SCHEMA}.command_log alter column data set storage external")


def downgrade() -> None:
    """Drops the tables with all their data."""
    for table in ("outbox", "command_log", "command"):
        op.drop_table(table, schema=_SCHEMA)
