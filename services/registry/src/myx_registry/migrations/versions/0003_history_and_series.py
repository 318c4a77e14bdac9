"""Flapping, quarantine, pauses, history of agents and what is measured of them over time."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SCHEMA = "registry"
_INSTANT = sa.DateTime(timezone=True)

_AGENT_COLUMNS: tuple[tuple[str, type[sa.Text] | sa.DateTime | type[JSONB], str | None], ...] = (
    ("definite_status", sa.Text, "pending"),
    ("announced_status", sa.Text, "pending"),
    ("changes", JSONB, "[]"),
    ("flapping_since", _INSTANT, None),
    ("machine_id", sa.Text, ""),
    ("found_machine_id", sa.Text, ""),
    ("quarantined_at", _INSTANT, None),
    ("boot_id", sa.Text, ""),
    ("rebooted_at", _INSTANT, None),
    ("facts_digest", sa.Text, ""),
)
_SAMPLES = ("sample_minute", "sample_five_minutes", "sample_hour")
_METRICS = ("latency", "load_1m", "memory", "disk")


def upgrade() -> None:
    """Adds; a registry of the version before goes on working."""
    for name, kind, default in _AGENT_COLUMNS:
        column: sa.Column[object] = sa.Column(name, kind, nullable=default is None, server_default=default)
        op.add_column("agent", column, schema=_SCHEMA)
    op.execute(
        """
        update registry.agent set
          definite_status = case when status in ('online', 'offline') then status else 'pending' end,
          announced_status = case when status in ('online', 'offline') then status else 'pending' end,
          machine_id = coalesce(facts->>'machine_id', ''), boot_id = coalesce(facts->>'boot_id', '')
        """
    )
    op.create_table(
        "check_pause",
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("until", _INSTANT, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"], [f"{_SCHEMA}.server.id"], name=op.f("fk_check_pause_server_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("server_id", name=op.f("pk_check_pause")),
        schema=_SCHEMA,
    )
    _make_history("agent_transition", "before", "after", "cause", "message", attempts=True)
    _make_history("fact_change", "fact", "before", "after", attempts=False)
    for name in _SAMPLES:
        _make_samples(name)
    op.create_table(
        "sample_progress",
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("until", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_sample_progress")),
        schema=_SCHEMA,
    )


def downgrade() -> None:
    """Forgets all of it."""
    for name in ("sample_progress", *_SAMPLES, "fact_change", "agent_transition", "check_pause"):
        op.drop_table(name, schema=_SCHEMA)
    for name, *_ in reversed(_AGENT_COLUMNS):
        op.drop_column("agent", name, schema=_SCHEMA)


def _make_history(name: str, *texts: str, attempts: bool) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("agent_id", sa.Uuid, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        *(sa.Column(text, sa.Text, nullable=False) for text in texts),
        *([sa.Column("attempts", JSONB, nullable=False)] if attempts else []),
        sa.ForeignKeyConstraint(
            ["agent_id"], [f"{_SCHEMA}.agent.id"], name=op.f(f"fk_{name}_agent_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        schema=_SCHEMA,
    )
    op.create_index(f"ix_{name}_agent", name, ["agent_id", "id"], schema=_SCHEMA)


def _make_samples(name: str) -> None:
    op.create_table(
        name,
        sa.Column("agent_id", sa.Uuid, nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("checks", sa.Integer, nullable=False),
        sa.Column("answered", sa.Integer, nullable=False),
        *(
            column
            for metric in _METRICS
            for column in (
                sa.Column(f"{metric}_min", sa.REAL, nullable=True),
                sa.Column(f"{metric}_sum", sa.Double, nullable=False, server_default="0"),
                sa.Column(f"{metric}_max", sa.REAL, nullable=True),
                sa.Column(f"{metric}_count", sa.Integer, nullable=False, server_default="0"),
            )
        ),
        sa.PrimaryKeyConstraint("agent_id", "at", name=op.f(f"pk_{name}")),
        schema=_SCHEMA,
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(f"ix_{name}_at", name, ["at"], schema=_SCHEMA, postgresql_using="brin")
