"""Jobs and their targets. `sealed` is a SecretBox envelope bound to table, column and row."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from myx_executor.domain.jobs import JobStatus, TargetStatus
from myx_executor.models.base import metadata

_OPEN = "status in ('pending', 'running', 'paused', 'stopping', 'cancelling')"
_TIME = sa.DateTime(timezone=True)

job = sa.Table(
    "job",
    metadata,
    # UUIDv7: the order of ids is the order of creation.
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("selector", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    # What is done on each target, without secrets.
    sa.Column("spec", JSONB, nullable=False),
    sa.Column("secret_names", ARRAY(sa.Text), nullable=False),
    sa.Column("has_stdin", sa.Boolean, nullable=False),
    sa.Column("options", JSONB, nullable=False),
    # Standard input and secrets until the job is final, then null.
    sa.Column("sealed", sa.LargeBinary, nullable=True),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=True),
    sa.Column("sealed_request_digest", sa.LargeBinary, nullable=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("status_since", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("deadline_at", _TIME, nullable=True),
    # [{at, from, to, actor, cause, evidence}], written by the statement that changes the state.
    sa.Column("changes", JSONB, nullable=False, server_default="[]"),
    # Every change of the state counts; changes name the count that they were decided from.
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
    # Targets by state, once it is final.
    sa.Column("counts", JSONB(none_as_null=True), nullable=True),
    # The lease: who works on it until when. The fence grows with each owner; every write names it.
    sa.Column("owner", sa.Text, nullable=True),
    sa.Column("lease_until", _TIME, nullable=True),
    sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
    # Id of the transaction that changed the row last (see job_target).
    sa.Column("revision", sa.BigInteger, nullable=False, server_default=sa.text("pg_current_xact_id()::text::bigint")),
    sa.CheckConstraint("kind in ('command', 'deployment')", name="kind"),
    sa.CheckConstraint("status in (" + ", ".join(f"'{status}'" for status in JobStatus) + ")", name="status"),
    sa.CheckConstraint(f"not ({_OPEN}) or deadline_at is not null", name="deadline"),
)
sa.Index(
    "uq_job_request",
    job.c.requested_by,
    job.c.request_id,
    unique=True,
    postgresql_where=sa.text("request_id is not null"),
)
sa.Index("ix_job_open", job.c.id, postgresql_where=sa.text(_OPEN))

job_target = sa.Table(
    "job_target",
    metadata,
    # No foreign key: the rows come with their job in one statement, and go with it.
    sa.Column("job_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("server_id", sa.Text, nullable=False),
    sa.Column("server_name", sa.Text, nullable=False),
    sa.Column("agent_id", sa.Text, nullable=False),
    # Value of the batch label.
    sa.Column("label_value", sa.Text, nullable=True),
    sa.Column("batch", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default="waiting"),
    sa.Column("command_id", UUID(as_uuid=True), nullable=True),
    # The id is given, the row of the deployment is not there yet.
    sa.Column("reserved", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("exit_code", sa.Integer, nullable=True),
    sa.Column("started_at", _TIME, nullable=True),
    sa.Column("ended_at", _TIME, nullable=True),
    sa.Column("log_size", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("output_sha256", sa.Text, nullable=False, server_default=""),
    # Id of the transaction that changed the row last: no row that many transactions write is needed to count changes.
    # Readers go on behind the oldest transaction that was under way when they looked (`pg_snapshot_xmin`).
    sa.Column("revision", sa.BigInteger, nullable=False, server_default=sa.text("pg_current_xact_id()::text::bigint")),
    sa.CheckConstraint("status in (" + ", ".join(f"'{status}'" for status in TargetStatus) + ")", name="status"),
    sa.CheckConstraint("status <> 'running' or command_id is not null", name="command"),
)
sa.Index(
    "uq_job_target_command",
    job_target.c.command_id,
    unique=True,
    postgresql_where=sa.text("command_id is not null"),
)
sa.Index("ix_job_target_revision", job_target.c.job_id, job_target.c.revision)
