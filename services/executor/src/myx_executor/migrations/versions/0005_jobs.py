"""Jobs and their targets.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SCHEMA = "executor"
_TIME = sa.DateTime(timezone=True)
_OPEN = "status in ('pending', 'running', 'paused', 'stopping', 'cancelling')"
_JOB_FINAL = "'success', 'partial', 'failed', 'stopped', 'cancelled'"
_TARGET_STATUSES = (
    "'waiting', 'running', 'success', 'failed', 'unreachable', 'timeout', 'cancelled', 'lost', 'unknown', 'skipped',"
    " 'not_started'"
)
_XACT = sa.text("pg_current_xact_id()::text::bigint")


def upgrade() -> None:
    """Adds the two tables."""
    _create_job()
    _create_target()


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("selector", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("spec", JSONB, nullable=False),
        sa.Column("secret_names", ARRAY(sa.Text), nullable=False),
        sa.Column("has_stdin", sa.Boolean, nullable=False),
        sa.Column("options", JSONB, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=True),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=True),
        sa.Column("sealed_request_digest", sa.LargeBinary, nullable=True),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("message", sa.Text, nullable=False, server_default=""),
        sa.Column("status_since", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("deadline_at", _TIME, nullable=True),
        sa.Column("changes", JSONB, nullable=False, server_default="[]"),
        sa.Column("change_count", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("target_count", sa.Integer, nullable=False),
        sa.Column("targets_sha256", sa.Text, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False, server_default="0"),
        sa.Column("batch_count", sa.Integer, nullable=False),
        sa.Column("hold_until", _TIME, nullable=True),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("started_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("retry_of", UUID(as_uuid=True), nullable=True),
        sa.Column("schedule_id", UUID(as_uuid=True), nullable=True),
        sa.Column("cancel_grace_s", sa.Double, nullable=True),
        sa.Column("counts", JSONB(none_as_null=True), nullable=True),
        sa.Column("owner", sa.Text, nullable=True),
        sa.Column("lease_until", _TIME, nullable=True),
        sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default=_XACT),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.CheckConstraint("kind in ('command', 'deployment')", name="ck_job_kind"),
        sa.CheckConstraint(f"({_OPEN}) or status in ({_JOB_FINAL})", name="ck_job_status"),
        sa.CheckConstraint(f"not ({_OPEN}) or deadline_at is not null", name="ck_job_deadline"),
        schema=_SCHEMA,
    )
    op.create_index(
        "uq_job_request",
        "job",
        ["requested_by", "request_id"],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text("request_id is not null"),
    )
    op.create_index("ix_job_open", "job", ["id"], schema=_SCHEMA, postgresql_where=sa.text(_OPEN))


def _create_target() -> None:
    op.create_table(
        "job_target",
        sa.Column("job_id", UUID(as_uuid=True), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("server_id", sa.Text, nullable=False),
        sa.Column("server_name", sa.Text, nullable=False),
        sa.Column("agent_id", sa.Text, nullable=False),
        sa.Column("label_value", sa.Text, nullable=True),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="waiting"),
        sa.Column("command_id", UUID(as_uuid=True), nullable=True),
        sa.Column("reserved", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("message", sa.Text, nullable=False, server_default=""),
        sa.Column("exit_code", sa.Integer, nullable=True),
        sa.Column("started_at", _TIME, nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("log_size", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("output_sha256", sa.Text, nullable=False, server_default=""),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default=_XACT),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_job_target"),
        sa.CheckConstraint(f"status in ({_TARGET_STATUSES})", name="ck_job_target_status"),
        sa.CheckConstraint("status <> 'running' or command_id is not null", name="ck_job_target_command"),
        schema=_SCHEMA,
    )
    op.create_index(
        "uq_job_target_command",
        "job_target",
        ["command_id"],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text("command_id is not null"),
    )
    op.create_index("ix_job_target_revision", "job_target", ["job_id", "revision"], schema=_SCHEMA)


def downgrade() -> None:
    """Drops every job; their commands stay."""
    op.execute(f"update {_SCHEMA}.command set job_id = null where job_id is not null")  # noqa: S608
    op.drop_table("job_target", schema=_SCHEMA)
    op.drop_table("job", schema=_SCHEMA)
