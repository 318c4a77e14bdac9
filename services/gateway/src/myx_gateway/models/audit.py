"""The audit trail: entries, each chained to the one before; intents of what is under way; the processes that have them.

Triggers (migration 0002) refuse to change entries, and to delete any but those that retention has sealed.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from myx_gateway.models import metadata
from myx_kit.db.base import UtcDateTime

audit_entry = sa.Table(
    "audit_entry",
    metadata,
    # Without holes, from 1; given under the lock of the head.
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("principal", sa.Text, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("targets", ARRAY(sa.Text), nullable=False),
    sa.Column("resource", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("details", JSONB, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("ix_audit_entry_principal_seq", "principal", "seq"),
    sa.Index("ix_audit_entry_operation_seq", "operation", "seq"),
    sa.Index("ix_audit_entry_resource_seq", "resource", "seq"),
    sa.Index("ix_audit_entry_targets", "targets", postgresql_using="gin"),
    sa.Index("ix_audit_entry_result_seq", "result", "seq", postgresql_where=sa.text("result <> 'ok'")),
)

# One row; whoever adds to the chain locks it.
audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    # The last entry that retention has dropped.
    sa.Column("sealed_seq", sa.BigInteger, nullable=False),
    sa.Column("sealed_hash", sa.Text, nullable=False),
    sa.CheckConstraint("id = 1", name="one_row"),
)

# Gateways that live: what one whose lease has run out was about is `unknown`.
audit_process = sa.Table(
    "audit_process",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("started_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Column("lease_until", UtcDateTime, nullable=False),
)

# What was begun and has no entry yet; `document` is the entry as far as it was known before the act.
audit_intent = sa.Table(
    "audit_intent",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("process_id", sa.Text, nullable=False, index=True),
    sa.Column("document", JSONB, nullable=False),
)
