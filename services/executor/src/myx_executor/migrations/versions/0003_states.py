"""Deadlines and history of states, offline policies, locks.

Revision ID: 0003
Revises: 0002
"""

# ruff: noqa: S608 - statements are put together from literals only

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SCHEMA = "executor"
_TIME = sa.DateTime(timezone=True)
_OPEN = "status in ('pending', 'queued', 'running', 'cancelling')"
_COLUMNS = (
    "status_since",
    "deadline_at",
    "changes",
    "offline_policy",
    "queue_timeout_s",
    "connect_timeout_s",
    "lock_mode",
    "lock_held_at",
    "job_id",
    "schedule_id",
)
_CHECKS = {
    "deadline": f"not ({_OPEN}) or deadline_at is not null",
    "offline_policy": "offline_policy in ('fail', 'skip', 'queue')",
    "lock_mode": "lock_mode in ('none', 'shared', 'exclusive')",
}


def upgrade() -> None:
    """Adds the columns; what is open gets a deadline as if its state had begun now."""
    for column in (
        sa.Column("status_since", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("deadline_at", _TIME, nullable=True),
        sa.Column("changes", JSONB, nullable=False, server_default="[]"),
        sa.Column("offline_policy", sa.Text, nullable=False, server_default="fail"),
        sa.Column("queue_timeout_s", sa.Double, nullable=False, server_default="3600"),
        sa.Column("connect_timeout_s", sa.Double, nullable=False, server_default="300"),
        sa.Column("lock_mode", sa.Text, nullable=False, server_default="none"),
        sa.Column("lock_held_at", _TIME, nullable=True),
        sa.Column("job_id", UUID(as_uuid=True), nullable=True),
        sa.Column("schedule_id", UUID(as_uuid=True), nullable=True),
    ):
        op.add_column("command", column, schema=_SCHEMA)
    op.execute(
        f"update {_SCHEMA}.command set deadline_at = now() + interval '25 hours' + make_interval(secs => timeout_s)"
        f" where {_OPEN}"
    )
    # A replica of the release before knows no deadline: its rows get one all the same.
    op.execute(f"alter table {_SCHEMA}.command alter column deadline_at set default now() + interval '25 hours'")
    for name, condition in _CHECKS.items():
        op.create_check_constraint(f"ck_command_{name}", "command", condition, schema=_SCHEMA)
    for name, columns, where in (
        ("ix_command_job", ["job_id"], "job_id is not null"),
        ("ix_command_lock", ["server_id", "id"], f"lock_mode <> 'none' and {_OPEN}"),
        ("ix_command_queued", ["server_id"], "status = 'queued'"),
    ):
        op.create_index(name, "command", columns, schema=_SCHEMA, postgresql_where=sa.text(where))


def downgrade() -> None:
    """Drops the columns; what is queued is pending for the release before."""
    op.execute(f"update {_SCHEMA}.command set status = 'pending' where status = 'queued'")
    for name in ("ix_command_job", "ix_command_lock", "ix_command_queued"):
        op.drop_index(name, table_name="command", schema=_SCHEMA)
    for name in _CHECKS:
        op.drop_constraint(f"ck_command_{name}", "command", schema=_SCHEMA)
    for name in reversed(_COLUMNS):
        op.drop_column("command", name, schema=_SCHEMA)
