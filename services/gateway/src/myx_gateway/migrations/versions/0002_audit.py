"""The audit trail: chained entries that nobody changes, intents, and the leases of the processes that have them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SCHEMA = "gateway"
_INSTANT = sa.DateTime(timezone=True)
_TABLES = ("audit_intent", "audit_process", "audit_head", "audit_entry")

_BEGINNING = "insert into gateway.audit_head values (1, 0, repeat('0', 64), 0, repeat('0', 64))"
# Retention seals first: it notes in the head up to where entries go, and adds an entry that says so.
_REFUSE = """
create function gateway.audit_refuse() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if old.seq <= (select sealed_seq from gateway.audit_head) then
      return old;
    end if;
  end if;
  raise exception 'the audit trail is append-only' using errcode = 'restrict_violation';
end $$
"""
_ROWS = """
create trigger audit_entry_stays before update or delete on gateway.audit_entry
for each row execute function gateway.audit_refuse()
"""
_ALL = """
create trigger audit_entry_is_not_emptied before truncate on gateway.audit_entry
for each statement execute function gateway.audit_refuse()
"""


def upgrade() -> None:
    """Empty, with the head from which the first entry follows."""
    op.create_table(
        "audit_entry",
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("at", _INSTANT, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("principal", "via", "address", "operation")),
        sa.Column("targets", ARRAY(sa.Text), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("resource", "request_id", "result")),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("details", JSONB, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("prev_hash", "hash")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_entry")),
        schema=_SCHEMA,
    )
    _index_entries()
    op.create_table(
        "audit_head",
        sa.Column("id", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("sealed_seq", sa.BigInteger, nullable=False),
        sa.Column("sealed_hash", sa.Text, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
        schema=_SCHEMA,
    )
    op.execute(_BEGINNING)
    op.create_table(
        "audit_process",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("lease_until", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_process")),
        schema=_SCHEMA,
    )
    op.create_table(
        "audit_intent",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("process_id", sa.Text, nullable=False),
        sa.Column("document", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_intent")),
        schema=_SCHEMA,
    )
    op.create_index(op.f("ix_audit_intent_process_id"), "audit_intent", ["process_id"], schema=_SCHEMA)
    for statement in (_REFUSE, _ROWS, _ALL):
        op.execute(statement)


def _index_entries() -> None:
    table = "audit_entry"
    op.create_index(op.f("ix_audit_entry_at"), table, ["at"], schema=_SCHEMA)
    for column in ("principal", "operation", "resource"):
        op.create_index(op.f(f"ix_audit_entry_{column}_seq"), table, [column, "seq"], schema=_SCHEMA)
    op.create_index(op.f("ix_audit_entry_targets"), table, ["targets"], schema=_SCHEMA, postgresql_using="gin")
    not_ok = sa.text("result <> 'ok'")
    op.create_index(
        op.f("ix_audit_entry_result_seq"), table, ["result", "seq"], schema=_SCHEMA, postgresql_where=not_ok
    )


def downgrade() -> None:
    """To nothing."""
    for table in _TABLES:
        op.drop_table(table, schema=_SCHEMA)
    op.execute("drop function gateway.audit_refuse()")
