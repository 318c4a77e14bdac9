"""Commands and their logs. `sealed` is a SecretBox envelope bound to table, column and row."""

from typing import LiteralString

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from myx_executor.domain.states import Status
from myx_executor.models.base import metadata

# For statements as well: PostgreSQL takes an index of some rows only where a statement says which in the same words.
OPEN_STATUSES: LiteralString = "('pending', 'queued', 'running', 'cancelling')"
UNSUCCESSFUL_STATUSES: LiteralString = "('failed', 'timeout', 'cancelled', 'lost', 'unknown', 'skipped')"
_OPEN = f"status in {OPEN_STATUSES}"

command = sa.Table(
    "command",
    metadata,
    # UUIDv7: the order of ids is the order of creation.
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
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
    # Standard input and secret variables until the command was sent, then null.
    sa.Column("sealed", sa.LargeBinary, nullable=True),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=True),
    # Sealed, because the digest covers secrets that could be guessed.
    sa.Column("sealed_request_digest", sa.LargeBinary, nullable=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("exit_code", sa.Integer, nullable=True),
    sa.Column("signal", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    # Since when it may have been sent; null: it certainly was not.
    sa.Column("dispatch_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("cancel_grace_s", sa.Double, nullable=True),
    sa.Column("log_size", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("log_completeness", sa.Text, nullable=False, server_default="open"),
    sa.Column("result", JSONB(none_as_null=True), nullable=True),
    sa.Column("attempts", JSONB, nullable=False, server_default="[]"),
    # The lease: who works on it until when. The fence grows with each owner; every write names it.
    sa.Column("owner", sa.Text, nullable=True),
    sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
    sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
    # The agent still keeps a spool that is stored here.
    sa.Column("release_pending", sa.Boolean, nullable=False, server_default=sa.false()),
    # A deployment has a row here (lease, state, log) and one in `deployment` with the same id.
    sa.Column("kind", sa.Text, nullable=False, server_default="command"),
    sa.Column("status_since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    # When the state ends at the latest. The default is for replicas of the release before.
    sa.Column(
        "deadline_at",
        sa.DateTime(timezone=True),
        nullable=True,
        server_default=sa.text("now() + interval '25 hours'"),
    ),
    # [{at, from, to, actor, cause, evidence}], written by the statement that changes the state.
    sa.Column("changes", JSONB, nullable=False, server_default="[]"),
    sa.Column("offline_policy", sa.Text, nullable=False, server_default="fail"),
    sa.Column("queue_timeout_s", sa.Double, nullable=False, server_default="3600"),
    sa.Column("connect_timeout_s", sa.Double, nullable=False, server_default="300"),
    sa.Column("lock_mode", sa.Text, nullable=False, server_default="none"),
    # Since when it has the lock of its server; it has none once it is final.
    sa.Column("lock_held_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("job_id", UUID(as_uuid=True), nullable=True),
    sa.Column("schedule_id", UUID(as_uuid=True), nullable=True),
    # Retention has taken the log; `pending` while its rows are still being deleted.
    sa.Column("log_purged_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("log_purge_pending", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.CheckConstraint("kind in ('command', 'deployment')", name="kind"),
    sa.CheckConstraint(f"not ({_OPEN}) or deadline_at is not null", name="deadline"),
    sa.CheckConstraint("offline_policy in ('fail', 'skip', 'queue')", name="offline_policy"),
    sa.CheckConstraint("lock_mode in ('none', 'shared', 'exclusive')", name="lock_mode"),
    sa.CheckConstraint("status in (" + ", ".join(f"'{status}'" for status in Status) + ")", name="status"),
    sa.CheckConstraint("log_completeness in ('open', 'complete', 'incomplete', 'unverified')", name="log_completeness"),
    # No index has a column that the log's progress changes, and pages have room: those updates write no index.
    postgresql_with={"fillfactor": "70"},
)
sa.Index(
    "uq_command_request",
    command.c.requested_by,
    command.c.request_id,
    unique=True,
    postgresql_where=sa.text("request_id is not null"),
)
sa.Index("ix_command_server", command.c.server_id, command.c.id)
sa.Index("ix_command_open", command.c.id, postgresql_where=sa.text(_OPEN))
# What is looked for in lists, and rare among what succeeded.
sa.Index("ix_command_unsuccessful", command.c.id, postgresql_where=sa.text(f"status in {UNSUCCESSFUL_STATUSES}"))
sa.Index("ix_command_cancelling", command.c.id, postgresql_where=sa.text("status = 'cancelling'"))
sa.Index("ix_command_release", command.c.id, postgresql_where=sa.text("release_pending"))
sa.Index("ix_command_log_purge", command.c.id, postgresql_where=sa.text("log_purge_pending"))
sa.Index("ix_command_job", command.c.job_id, postgresql_where=sa.text("job_id is not null"))
sa.Index(
    "ix_command_lock",
    command.c.server_id,
    command.c.id,
    postgresql_where=sa.text(f"lock_mode <> 'none' and {_OPEN}"),
)
sa.Index("ix_command_queued", command.c.server_id, postgresql_where=sa.text("status = 'queued'"))

command_log = sa.Table(
    "command_log",
    metadata,
    # No foreign key: every insert comes from a guarded update of the command's row in the same statement.
    sa.Column("command_id", UUID(as_uuid=True), primary_key=True),
    # Offset of the first byte in the interleaved log.
    sa.Column("offset_bytes", sa.BigInteger, primary_key=True),
    sa.Column("length", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    # 0: as it is, 1: zstd.
    sa.Column("encoding", sa.SmallInteger, nullable=False),
    # Packed runs of (stream, length).
    sa.Column("segments", sa.LargeBinary, nullable=False),
    # Storage EXTERNAL (migration): compressed here already or not worth it.
    sa.Column("data", sa.LargeBinary, nullable=True),
    sa.Column("gap_reason", sa.Text, nullable=True),
    sa.CheckConstraint("kind in ('bytes', 'gap')", name="kind"),
    sa.CheckConstraint("length > 0", name="length"),
    # A partition for each day of commands, and one for what belongs to none (store/log_partitions.py).
    postgresql_partition_by="range (command_id)",
)

# Background work that one replica does at a time.
chore = sa.Table(
    "chore",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
)
