"""Users, sessions, API tokens, and what is known about logins."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = "gateway"
_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=True),
        sa.Column("grants", JSONB, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("request_id", sa.Text, nullable=True),
        sa.Column("request_digest", sa.LargeBinary, nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("last_login_at", _INSTANT, nullable=True),
        sa.Column("deleted_at", _INSTANT, nullable=True),
        sa.CheckConstraint("kind in ('person', 'program')", name=op.f("ck_account_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("name", name=op.f("uq_account_name")),
        sa.UniqueConstraint("request_id", name=op.f("uq_account_request_id")),
        schema=_SCHEMA,
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("last_used_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", _INSTANT, nullable=False),
        _of_account("session"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_session_secret_sha256")),
        schema=_SCHEMA,
    )
    op.create_index(op.f("ix_session_account_id"), "session", ["account_id"], schema=_SCHEMA)
    op.create_table(
        "token",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("selector", sa.Text, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=True),
        sa.Column("created_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", _INSTANT, nullable=True),
        sa.Column("last_used_at", _INSTANT, nullable=True),
        sa.CheckConstraint("role in ('viewer', 'operator', 'admin')", name=op.f("ck_token_role")),
        _of_account("token"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_token_account_id_name")),
        sa.UniqueConstraint("request_id", name=op.f("uq_token_request_id")),
        schema=_SCHEMA,
    )
    op.create_table(
        "known_place",
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("place_sha256", sa.LargeBinary, nullable=False),
        sa.Column("seen_at", _INSTANT, nullable=False, server_default=sa.func.now()),
        _of_account("known_place"),
        sa.PrimaryKeyConstraint("account_id", "place_sha256", name=op.f("pk_known_place")),
        schema=_SCHEMA,
    )
    op.create_table(
        "login_failure",
        sa.Column("key_sha256", sa.LargeBinary, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", _INSTANT, nullable=False),
        sa.Column("blocked_until", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key_sha256", name=op.f("pk_login_failure")),
        schema=_SCHEMA,
    )
    op.create_index(op.f("ix_login_failure_last_at"), "login_failure", ["last_at"], schema=_SCHEMA)


def _of_account(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_account_id")
    return sa.ForeignKeyConstraint(["account_id"], [f"{_SCHEMA}.account.id"], name=name, ondelete="CASCADE")


def downgrade() -> None:
    """To nothing."""
    for table in ("login_failure", "known_place", "token", "session", "account"):
        op.drop_table(table, schema=_SCHEMA)
