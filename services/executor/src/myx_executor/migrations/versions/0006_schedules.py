"""Schedules and what became of their times.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SCHEMA = "executor"
_TIME = sa.DateTime(timezone=True)
_OUTCOMES = "'pending', 'waiting', 'started', 'skipped', 'missed', 'denied', 'failed'"
_UNDECIDED = "outcome in ('pending', 'waiting')"


def upgrade() -> None:
    """Adds the two tables."""
    _create_schedule()
    _create_fire()


def _create_schedule() -> None:
    op.create_table(
        "schedule",
        sa.Column("id", UUID(as_uuid=True), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("missed", sa.Text, nullable=False),
        sa.Column("missed_within_s", sa.Double, nullable=False),
        sa.Column("overlap", sa.Text, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("work_kind", sa.Text, nullable=False),
        sa.Column("work", JSONB, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("next_at", _TIME, nullable=True),
        sa.Column("last_slot_at", _TIME, nullable=True),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=True),
        sa.Column("sealed_request_digest", sa.LargeBinary, nullable=True),
        sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
        sa.PrimaryKeyConstraint("id", name="pk_schedule"),
        sa.UniqueConstraint("name", name="uq_schedule_name"),
        sa.CheckConstraint("missed in ('skip', 'run_once')", name="ck_schedule_missed"),
        sa.CheckConstraint("overlap in ('skip', 'wait', 'allow')", name="ck_schedule_overlap"),
        sa.CheckConstraint("work_kind in ('command', 'deployment', 'job')", name="ck_schedule_work_kind"),
        schema=_SCHEMA,
    )
    op.create_index("ix_schedule_next_at", "schedule", ["next_at"], schema=_SCHEMA)
    op.create_index(
        "uq_schedule_request",
        "schedule",
        ["requested_by", "request_id"],
        unique=True,
        schema=_SCHEMA,
        postgresql_where=sa.text("request_id is not null"),
    )


def _create_fire() -> None:
    op.create_table(
        "schedule_fire",
        sa.Column("schedule_id", UUID(as_uuid=True), nullable=False),
        sa.Column("slot_at", _TIME, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("message", sa.Text, nullable=False, server_default=""),
        sa.Column("started_id", UUID(as_uuid=True), nullable=True),
        sa.Column("decided_at", _TIME, nullable=True),
        sa.Column("principal", sa.Text, nullable=False),
        sa.Column("work_kind", sa.Text, nullable=False),
        sa.Column("work", JSONB(none_as_null=True), nullable=True),
        sa.Column("sealed", sa.LargeBinary, nullable=True),
        sa.Column("deadline_at", _TIME, nullable=True),
        sa.Column("owner", sa.Text, nullable=True),
        sa.Column("lease_until", _TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("watched", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("schedule_id", "slot_at", name="pk_schedule_fire"),
        sa.ForeignKeyConstraint(
            ["schedule_id"], [f"{_SCHEMA}.schedule.id"], name="fk_schedule_fire_schedule_id", ondelete="CASCADE"
        ),
        sa.CheckConstraint(f"outcome in ({_OUTCOMES})", name="ck_schedule_fire_outcome"),
        sa.CheckConstraint(
            f"not ({_UNDECIDED}) or (deadline_at is not null and work is not null)", name="ck_schedule_fire_undecided"
        ),
        sa.CheckConstraint("(outcome = 'started') = (started_id is not null)", name="ck_schedule_fire_started"),
        schema=_SCHEMA,
    )
    partial = {
        "ix_schedule_fire_undecided": ("lease_until", _UNDECIDED),
        "ix_schedule_fire_watched": ("schedule_id", "watched"),
    }
    for name, (column, condition) in partial.items():
        op.create_index(name, "schedule_fire", [column], schema=_SCHEMA, postgresql_where=sa.text(condition))


def downgrade() -> None:
    """Drops the tables and all schedules with them."""
    for table in ("schedule_fire", "schedule"):
        op.drop_table(table, schema=_SCHEMA)
