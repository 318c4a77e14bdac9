"""Migrations of the schema `registry` (Alembic); additive first, both ways."""

from myx_kit.db import migrate
from myx_registry.models import MIGRATIONS, SCHEMA, metadata


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to a revision; safe when several replicas do it at once. Blocking."""
    migrate.upgrade(url, SCHEMA, MIGRATIONS, revision)


def downgrade(url: str, revision: str = "base") -> None:
    """Take the schema back to a revision. Blocking."""
    migrate.downgrade(url, SCHEMA, MIGRATIONS, revision)


def drift(url: str) -> list[str]:
    """How the database differs from the models, one line each. Blocking."""
    return migrate.check_drift(url, metadata)
