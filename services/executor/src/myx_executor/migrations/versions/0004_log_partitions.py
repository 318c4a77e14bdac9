"""The log in partitions, and retention.

Ids are UUIDv7, so that a range of ids is a range of time: a partition holds the logs of the commands of one day (UTC).
What was stored before becomes one partition as it is; nothing is copied on the way up.

Revision ID: 0004
Revises: 0003
"""

# ruff: noqa: S608 - statements are put together from our own literals, bounds and names

from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_LOG = "executor.command_log"
_TIME = sa.DateTime(timezone=True)
_DAYS_AHEAD = 14
_COLUMNS = """
  command_id uuid not null, offset_bytes bigint not null, length bigint not null, kind text not null,
  encoding smallint not null, segments bytea not null, data bytea, gap_reason text,
  constraint pk_command_log primary key (command_id, offset_bytes),
  constraint ck_command_log_kind check (kind in ('bytes', 'gap')),
  constraint ck_command_log_length check (length > 0)"""


def upgrade() -> None:
    """Makes the log a partitioned table and adds what retention keeps."""
    op.add_column("command", sa.Column("log_purged_at", _TIME, nullable=True), schema="executor")
    op.add_column(
        "command",
        sa.Column("log_purge_pending", sa.Boolean, nullable=False, server_default=sa.false()),
        schema="executor",
    )
    op.create_index(
        "ix_command_log_purge", "command", ["id"], schema="executor", postgresql_where=sa.text("log_purge_pending")
    )
    op.create_table(
        "chore",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("lease_until", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_chore"),
        schema="executor",
    )
    _make_partitioned()


def _make_partitioned() -> None:
    op.execute(f"alter table {_LOG} rename to command_log_before")
    op.execute("alter index executor.pk_command_log rename to command_log_before_pkey")
    op.execute(f"create table {_LOG} ({_COLUMNS}) partition by range (command_id)")
    op.execute(f"alter table {_LOG} alter column data set storage external")
    op.execute(f"create table executor.command_log_default (like {_LOG} including all)")
    op.execute(f"alter table {_LOG} attach partition executor.command_log_default default")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    has_rows = op.get_bind().scalar(sa.text("select exists (select from executor.command_log_before)"))
    first = today + timedelta(days=1 if has_rows else -1)
    for number in range((today - first).days + _DAYS_AHEAD + 1):
        day = first + timedelta(days=number)
        name = f"executor.command_log_p{day:%Y%m%d}"
        op.execute(f"create table {name} (like {_LOG} including all)")
        until = _bound(day + timedelta(days=1))
        op.execute(f"alter table {_LOG} attach partition {name} for values from ('{_bound(day)}') to ('{until}')")
    if has_rows:
        _keep_before(_bound(first))
    else:
        op.execute("drop table executor.command_log_before")


def _keep_before(until: UUID) -> None:
    # A clock that was ahead has made ids of a time to come.
    op.execute(
        f"with l as (delete from executor.command_log_before where command_id >= '{until}' returning *)"
        f" insert into {_LOG} select * from l"
    )
    op.execute(
        f"alter table {_LOG} attach partition executor.command_log_before for values from (minvalue) to ('{until}')"
    )


def _bound(day: datetime) -> UUID:
    return UUID(int=int(day.timestamp() * 1000) << 80)


def downgrade() -> None:
    """Puts the log into one table again, which copies it, and forgets what retention has removed."""
    op.execute(f"alter table {_LOG} rename to command_log_parts")
    op.execute("alter index executor.pk_command_log rename to command_log_parts_pkey")
    op.execute(f"create table {_LOG} ({_COLUMNS})")
    op.execute(f"alter table {_LOG} alter column data set storage external")
    op.execute(f"insert into {_LOG} select * from executor.command_log_parts")
    op.execute("drop table executor.command_log_parts")
    op.drop_table("chore", schema="executor")
    op.drop_index("ix_command_log_purge", "command", schema="executor")
    op.drop_column("command", "log_purge_pending", schema="executor")
    op.drop_column("command", "log_purged_at", schema="executor")
