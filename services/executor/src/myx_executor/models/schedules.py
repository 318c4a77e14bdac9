"""Schedules and what became of their times. `sealed` is a SecretBox envelope bound to table, column and schedule."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, UUID

from myx_executor.domain.schedules import FireOutcome, Missed, Overlap, WorkKind
from myx_executor.models.base import SCHEMA, metadata

_TIME = sa.DateTime(timezone=True)
_UNDECIDED = "outcome in ('pending', 'waiting')"

schedule = sa.Table(
    "schedule",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    # Byte order: the order of pages must not depend on the cluster's locale.
    sa.Column("name", sa.Text(collation="C"), nullable=False, unique=True),
    sa.Column("cron", sa.Text, nullable=False),
    sa.Column("time_zone", sa.Text, nullable=False),
    sa.Column("missed", sa.Text, nullable=False),
    sa.Column("missed_within_s", sa.Double, nullable=False),
    sa.Column("overlap", sa.Text, nullable=False),
    sa.Column("paused", sa.Boolean, nullable=False),
    sa.Column("work_kind", sa.Text, nullable=False),
    # The request without secrets.
    sa.Column("work", JSONB, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=True),
    # Under whose authority it fires.
    sa.Column("owner", sa.Text, nullable=False),
    # Null: it has no further time.
    sa.Column("next_at", _TIME, nullable=True),
    # The last time that was looked at: later ones only, wherever the clock goes.
    sa.Column("last_slot_at", _TIME, nullable=True),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=True),
    sa.Column("sealed_request_digest", sa.LargeBinary, nullable=True),
    sa.Column("created_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", _TIME, nullable=False, server_default=sa.func.now()),
    sa.CheckConstraint("missed in (" + ", ".join(f"'{one}'" for one in Missed) + ")", name="missed"),
    sa.CheckConstraint("overlap in (" + ", ".join(f"'{one}'" for one in Overlap) + ")", name="overlap"),
    sa.CheckConstraint("work_kind in (" + ", ".join(f"'{one}'" for one in WorkKind) + ")", name="work_kind"),
)
sa.Index("ix_schedule_next_at", schedule.c.next_at)
sa.Index(
    "uq_schedule_request",
    schedule.c.requested_by,
    schedule.c.request_id,
    unique=True,
    postgresql_where=sa.text("request_id is not null"),
)

# A time is decided once: its row is made by the statement that moves the schedule on.
schedule_fire = sa.Table(
    "schedule_fire",
    metadata,
    sa.Column(
        "schedule_id", UUID(as_uuid=True), sa.ForeignKey(f"{SCHEMA}.schedule.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("slot_at", _TIME, primary_key=True),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("message", sa.Text, nullable=False, server_default=""),
    sa.Column("started_id", UUID(as_uuid=True), nullable=True),
    sa.Column("decided_at", _TIME, nullable=True),
    # What is to be started, by whom, with what secrets: as it was at that time, until it is decided.
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("work_kind", sa.Text, nullable=False),
    sa.Column("work", JSONB(none_as_null=True), nullable=True),
    sa.Column("sealed", sa.LargeBinary, nullable=True),
    # Of the state it is in.
    sa.Column("deadline_at", _TIME, nullable=True),
    # Who decides it until when; without owner the time of the next look. The fence grows with each look.
    sa.Column("owner", sa.Text, nullable=True),
    sa.Column("lease_until", _TIME, nullable=False, server_default=sa.func.now()),
    sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"),
    # It was started and is not known to have ended.
    sa.Column("watched", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.CheckConstraint("outcome in (" + ", ".join(f"'{one}'" for one in FireOutcome) + ")", name="outcome"),
    sa.CheckConstraint(f"not ({_UNDECIDED}) or (deadline_at is not null and work is not null)", name="undecided"),
    sa.CheckConstraint("(outcome = 'started') = (started_id is not null)", name="started"),
)
sa.Index("ix_schedule_fire_undecided", schedule_fire.c.lease_until, postgresql_where=sa.text(_UNDECIDED))
sa.Index("ix_schedule_fire_watched", schedule_fire.c.schedule_id, postgresql_where=sa.text("watched"))
