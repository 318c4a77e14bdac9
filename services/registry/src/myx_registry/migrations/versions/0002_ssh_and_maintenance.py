"""How hosts are reached over SSH, credentials, maintenance leases, rotation of agents."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SCHEMA = "registry"
_INSTANT = sa.DateTime(timezone=True)

_SERVER_COLUMNS = (
    ("sealed_request_digest", sa.LargeBinary, None),
    ("ssh_address", sa.Text, ""),
    ("ssh_port", sa.Integer, "22"),
    ("ssh_user", sa.Text, ""),
    ("ssh_credential_id", sa.Uuid, None),
    ("ssh_sudo", sa.Text, "auto"),
    ("ssh_jump_server_ids", sa.ARRAY(sa.Uuid), "{}"),
    ("repair_policy", sa.Text, "automatic"),
    ("accept_new_host_key", sa.Boolean, "false"),
    ("host_key_fingerprint", sa.Text, None),
    ("host_key_public_key", sa.Text, ""),
    ("host_key_accepted_at", _INSTANT, None),
    ("host_key_accepted_by", sa.Text, ""),
    ("host_key_how", sa.Text, ""),
)
_SERVER_CHECKS = (
    ("ssh_port", "ssh_port between 1 and 65535"),
    ("ssh_sudo", "ssh_sudo in ('auto', 'always', 'never')"),
    ("repair_policy", "repair_policy in ('automatic', 'ask', 'off')"),
)
_AGENT_COLUMNS = (
    ("rotation_id", sa.Uuid),
    ("next_certificate_sha256", sa.Text),
    ("next_certificate_pem", sa.Text),
    ("sealed_next_agent_token", sa.LargeBinary),
    ("sealed_next_secret_key", sa.LargeBinary),
    ("sealed_next_private_key", sa.LargeBinary),
    ("committed_rotation_id", sa.Uuid),
    ("reallocation_request_id", sa.Text),
)


def upgrade() -> None:
    """Adds; a registry of the version before goes on working."""
    _make_credential()
    _make_maintenance()
    for name, kind, default in _SERVER_COLUMNS:
        column: sa.Column[object] = sa.Column(name, kind, nullable=default is None, server_default=default)
        op.add_column("server", column, schema=_SCHEMA)
    for name, rule in _SERVER_CHECKS:
        op.create_check_constraint(op.f(f"ck_server_{name}"), "server", rule, schema=_SCHEMA)
    op.create_foreign_key(
        op.f("fk_server_ssh_credential_id"),
        *("server", "credential", ["ssh_credential_id"], ["id"]),
        source_schema=_SCHEMA,
        referent_schema=_SCHEMA,
    )
    op.create_index(op.f("ix_server_ssh_credential_id"), "server", ["ssh_credential_id"], schema=_SCHEMA)
    op.create_index(
        "ix_server_ssh_jump_server_ids", "server", ["ssh_jump_server_ids"], schema=_SCHEMA, postgresql_using="gin"
    )
    for name, agent_kind in _AGENT_COLUMNS:
        op.add_column("agent", sa.Column(name, agent_kind, nullable=True), schema=_SCHEMA)
    rotation = ", ".join(name for name, _ in _AGENT_COLUMNS[:6])
    op.create_check_constraint(op.f("ck_agent_rotation"), "agent", f"num_nulls({rotation}) in (0, 6)", schema=_SCHEMA)


def downgrade() -> None:
    """Forgets credentials, host keys, leases and rotations under way."""
    op.drop_constraint(op.f("ck_agent_rotation"), "agent", schema=_SCHEMA)
    for name, _ in reversed(_AGENT_COLUMNS):
        op.drop_column("agent", name, schema=_SCHEMA)
    # Indexes and constraints go with their columns.
    for name, *_ in reversed(_SERVER_COLUMNS):
        op.drop_column("server", name, schema=_SCHEMA)
    op.drop_table("maintenance", schema=_SCHEMA)
    op.drop_table("credential", schema=_SCHEMA)


def _make_credential() -> None:
    op.create_table(
        "credential",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=True),
        sa.Column("server_id", sa.Uuid, nullable=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("has_passphrase", sa.Boolean, nullable=False),
        sa.Column("has_sudo_password", sa.Boolean, nullable=False),
        sa.Column("public_key_fingerprint", sa.Text, nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("request_id", sa.Text, nullable=True),
        sa.Column("sealed_request_digest", sa.LargeBinary, nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("updated_at", _INSTANT, nullable=False),
        sa.CheckConstraint("type in ('password', 'private_key')", name=op.f("ck_credential_type")),
        sa.CheckConstraint("(name is null) <> (server_id is null)", name=op.f("ck_credential_owner")),
        sa.ForeignKeyConstraint(
            ["server_id"], [f"{_SCHEMA}.server.id"], name=op.f("fk_credential_server_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
        sa.UniqueConstraint("name", name=op.f("uq_credential_name")),
        sa.UniqueConstraint("server_id", name=op.f("uq_credential_server_id")),
        sa.UniqueConstraint("request_id", name=op.f("uq_credential_request_id")),
        schema=_SCHEMA,
    )


def _make_maintenance() -> None:
    op.create_table(
        "maintenance",
        sa.Column("server_id", sa.Uuid, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("since", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"], [f"{_SCHEMA}.server.id"], name=op.f("fk_maintenance_server_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("server_id", name=op.f("pk_maintenance")),
        schema=_SCHEMA,
    )
