"""Tables of the schema `registry`.

Columns named `sealed_*` hold SecretBox envelopes bound to the table, the column's name without `sealed_`, and the
row's id.
"""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from myx_kit.db.base import UtcDateTime
from myx_kit.db.base import metadata as new_metadata
from myx_kit.db.outbox import outbox_table

SCHEMA = "registry"
MIGRATIONS = Path(__file__).parent / "migrations"

metadata = new_metadata(SCHEMA)

server = sa.Table(
    "server",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    # Byte order: the order of pages must not depend on the cluster's locale.
    sa.Column("name", sa.Text(collation="C"), nullable=False, unique=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("labels", JSONB, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("request_id", sa.Text, nullable=True, unique=True),
    sa.Column("request_digest", sa.LargeBinary, nullable=True),
    # Of the secrets in the request: sealed, because what it covers may be short enough to be guessed.
    sa.Column("sealed_request_digest", sa.LargeBinary, nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    # Empty: the server's address.
    sa.Column("ssh_address", sa.Text, nullable=False, server_default=""),
    sa.Column("ssh_port", sa.Integer, nullable=False, server_default="22"),
    sa.Column("ssh_user", sa.Text, nullable=False, server_default=""),
    sa.Column(
        "ssh_credential_id",
        sa.Uuid,
        sa.ForeignKey(f"{SCHEMA}.credential.id", use_alter=True),
        nullable=True,
        index=True,
    ),
    sa.Column("ssh_sudo", sa.Text, nullable=False, server_default="auto"),
    sa.Column("ssh_jump_server_ids", ARRAY(sa.Uuid), nullable=False, server_default="{}"),
    sa.Column("repair_policy", sa.Text, nullable=False, server_default="automatic"),
    sa.Column("accept_new_host_key", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("host_key_fingerprint", sa.Text, nullable=True),
    sa.Column("host_key_public_key", sa.Text, nullable=False, server_default=""),
    sa.Column("host_key_accepted_at", UtcDateTime, nullable=True),
    sa.Column("host_key_accepted_by", sa.Text, nullable=False, server_default=""),
    sa.Column("host_key_how", sa.Text, nullable=False, server_default=""),
    sa.CheckConstraint("ssh_port between 1 and 65535", name="ssh_port"),
    sa.CheckConstraint("ssh_sudo in ('auto', 'always', 'never')", name="ssh_sudo"),
    sa.CheckConstraint("repair_policy in ('automatic', 'ask', 'off')", name="repair_policy"),
    sa.Index("ix_server_ssh_jump_server_ids", "ssh_jump_server_ids", postgresql_using="gin"),
)

credential = sa.Table(
    "credential",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    # Exactly one of the two: a name that servers share it by, or the one server that it belongs to.
    sa.Column("name", sa.Text(collation="C"), nullable=True, unique=True),
    sa.Column("server_id", sa.Uuid, sa.ForeignKey(server.c.id, ondelete="CASCADE"), nullable=True, unique=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("login", sa.Text, nullable=False),
    sa.Column("has_passphrase", sa.Boolean, nullable=False),
    sa.Column("has_sudo_password", sa.Boolean, nullable=False),
    sa.Column("public_key_fingerprint", sa.Text, nullable=False),
    sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("request_id", sa.Text, nullable=True, unique=True),
    sa.Column("sealed_request_digest", sa.LargeBinary, nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.CheckConstraint("type in ('password', 'private_key')", name="type"),
    sa.CheckConstraint("(name is null) <> (server_id is null)", name="owner"),
)

# The exclusive right to change the agent of a server, until a time.
maintenance = sa.Table(
    "maintenance",
    metadata,
    sa.Column("server_id", sa.Uuid, sa.ForeignKey(server.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

agent = sa.Table(
    "agent",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column(
        "server_id",
        sa.Uuid,
        sa.ForeignKey(server.c.id, ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
    sa.Column("rpc_port", sa.Integer, nullable=False, unique=True),
    sa.Column("certificate_sha256", sa.Text, nullable=False),
    sa.Column("certificate_pem", sa.Text, nullable=False),
    sa.Column("sealed_agent_token", sa.LargeBinary, nullable=False),
    sa.Column("sealed_secret_key", sa.LargeBinary, nullable=False),
    sa.Column("sealed_rpc_path", sa.LargeBinary, nullable=False),
    sa.Column("sealed_private_key", sa.LargeBinary, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("status_reason", sa.Text, nullable=False),
    sa.Column("status_message", sa.Text, nullable=False),
    sa.Column("status_since", UtcDateTime, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("rpc_supported", sa.Boolean, nullable=False),
    sa.Column("rpc_last_check", UtcDateTime, nullable=True),
    sa.Column("rpc_last_success", UtcDateTime, nullable=True),
    sa.Column("last_heartbeat", UtcDateTime, nullable=True),
    sa.Column("latency_s", sa.Double, nullable=True),
    sa.Column("failure_streak", sa.Integer, nullable=False),
    sa.Column("last_attempts", JSONB, nullable=False),
    sa.Column("facts", JSONB(none_as_null=True), nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # The rotation under way, with all of the next identity, or none of it.
    sa.Column("rotation_id", sa.Uuid, nullable=True),
    sa.Column("next_certificate_sha256", sa.Text, nullable=True),
    sa.Column("next_certificate_pem", sa.Text, nullable=True),
    sa.Column("sealed_next_agent_token", sa.LargeBinary, nullable=True),
    sa.Column("sealed_next_secret_key", sa.LargeBinary, nullable=True),
    sa.Column("sealed_next_private_key", sa.LargeBinary, nullable=True),
    # Where it is to move, as far as it is to.
    sa.Column("next_rpc_port", sa.Integer, nullable=True, unique=True),
    sa.Column("sealed_next_rpc_path", sa.LargeBinary, nullable=True),
    # What was done last, so that a repetition does nothing.
    sa.Column("committed_rotation_id", sa.Uuid, nullable=True),
    sa.Column("reallocation_request_id", sa.Text, nullable=True),
    sa.Column("definite_status", sa.Text, nullable=False, server_default="pending"),
    sa.Column("announced_status", sa.Text, nullable=False, server_default="pending"),
    # Seconds since 1970 of the last changes between online and offline.
    sa.Column("changes", JSONB, nullable=False, server_default="[]"),
    sa.Column("flapping_since", UtcDateTime, nullable=True),
    sa.Column("machine_id", sa.Text, nullable=False, server_default=""),
    sa.Column("found_machine_id", sa.Text, nullable=False, server_default=""),
    sa.Column("quarantined_at", UtcDateTime, nullable=True),
    sa.Column("boot_id", sa.Text, nullable=False, server_default=""),
    sa.Column("rebooted_at", UtcDateTime, nullable=True),
    sa.Column("facts_digest", sa.Text, nullable=False, server_default=""),
    sa.CheckConstraint("status in ('pending', 'online', 'offline', 'unknown')", name="status"),
    sa.CheckConstraint("rpc_port between 8000 and 65535", name="rpc_port"),
    sa.CheckConstraint(
        "num_nulls(rotation_id, next_certificate_sha256, next_certificate_pem, sealed_next_agent_token,"
        " sealed_next_secret_key, sealed_next_private_key) in (0, 6)",
        name="rotation",
    ),
    # Every heartbeat rewrites the row: room on the page keeps the new version beside the old one, without index writes.
    postgresql_with={"fillfactor": "70"},
)

# No checks until a time.
check_pause = sa.Table(
    "check_pause",
    metadata,
    sa.Column("server_id", sa.Uuid, sa.ForeignKey(server.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
)

agent_transition = sa.Table(
    "agent_transition",
    metadata,
    # UUIDv7: the order of ids is the order in which they were stored.
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("agent_id", sa.Uuid, sa.ForeignKey(agent.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("attempts", JSONB, nullable=False),
    sa.Index("ix_agent_transition_agent", "agent_id", "id"),
)

fact_change = sa.Table(
    "fact_change",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("agent_id", sa.Uuid, sa.ForeignKey(agent.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("fact", sa.Text, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Index("ix_fact_change_agent", "agent_id", "id"),
)

SAMPLE_METRICS = ("latency", "load_1m", "memory", "disk")


def _sample_table(name: str) -> sa.Table:
    """Sums over a step of time. No foreign key: what is left of an agent that was removed goes with its age."""
    measured = (
        column
        for metric in SAMPLE_METRICS
        for column in (
            sa.Column(f"{metric}_min", sa.REAL, nullable=True),
            sa.Column(f"{metric}_sum", sa.Double, nullable=False, server_default="0"),
            sa.Column(f"{metric}_max", sa.REAL, nullable=True),
            sa.Column(f"{metric}_count", sa.Integer, nullable=False, server_default="0"),
        )
    )
    return sa.Table(
        name,
        metadata,
        sa.Column("agent_id", sa.Uuid, primary_key=True),
        sa.Column("at", UtcDateTime, primary_key=True),
        sa.Column("checks", sa.Integer, nullable=False),
        sa.Column("answered", sa.Integer, nullable=False),
        *measured,
        sa.Index(f"ix_{name}_at", "at", postgresql_using="brin"),
        postgresql_with={"fillfactor": "80"},
    )


# By the length of the step; each is made from the one before it.
sample_minute = _sample_table("sample_minute")
sample_five_minutes = _sample_table("sample_five_minutes")
sample_hour = _sample_table("sample_hour")

# Up to where a table was summed up into the next one.
sample_progress = sa.Table(
    "sample_progress",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("until", UtcDateTime, nullable=False),
)

outbox = outbox_table(metadata)
