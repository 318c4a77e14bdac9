"""Who may come in: users, their sessions and API tokens, and what is known about logins.

Of what lets somebody in only a digest is kept: argon2id of passwords, SHA-256 of the random secrets of sessions, tokens
and browsers.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from myx_gateway.models import metadata
from myx_kit.db.base import UtcDateTime

# `user` is a word of SQL.
account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    # Byte order: the order of pages must not depend on the cluster's locale. A name is given once and for all: records
    # and schedules of somebody who was deleted must not become those of a namesake.
    sa.Column("name", sa.Text(collation="C"), nullable=False, unique=True),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    # Null for programs, which have tokens only.
    sa.Column("password_hash", sa.Text, nullable=True),
    # [{"role": "operator", "selector": "env=prod"}, …]
    sa.Column("grants", JSONB, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("request_id", sa.Text, nullable=True, unique=True),
    sa.Column("request_digest", sa.LargeBinary, nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Column("last_login_at", UtcDateTime, nullable=True),
    sa.Column("deleted_at", UtcDateTime, nullable=True),
    sa.CheckConstraint("kind in ('person', 'program')", name="kind"),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("account_id", sa.Uuid, sa.ForeignKey(account.c.id, ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("secret_sha256", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    # Written at most once a minute.
    sa.Column("last_used_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

token = sa.Table(
    "token",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("account_id", sa.Uuid, sa.ForeignKey(account.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("secret_sha256", sa.LargeBinary, nullable=False),
    # Never more than this role, and only on servers that the selector matches too.
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("selector", sa.Text, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=True, unique=True),
    sa.Column("created_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
    sa.Column("expires_at", UtcDateTime, nullable=True),
    sa.Column("last_used_at", UtcDateTime, nullable=True),
    sa.UniqueConstraint("account_id", "name"),
    sa.CheckConstraint("role in ('viewer', 'operator', 'admin')", name="role"),
)

# Addresses and browsers from which somebody logged in: what others do elsewhere does not slow them there.
known_place = sa.Table(
    "known_place",
    metadata,
    sa.Column("account_id", sa.Uuid, sa.ForeignKey(account.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("place_sha256", sa.LargeBinary, primary_key=True),
    sa.Column("seen_at", UtcDateTime, nullable=False, server_default=sa.func.now()),
)

# Failed logins by what they have in common. Digests, because people type passwords into the field of the name.
login_failure = sa.Table(
    "login_failure",
    metadata,
    sa.Column("key_sha256", sa.LargeBinary, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
    sa.Column("blocked_until", UtcDateTime, nullable=False),
    sa.Index("ix_login_failure_last_at", "last_at"),
)
