"""What the tables of all services have in common."""

from sqlalchemy import DateTime, MetaData

# One name per constraint, so that migrations can name what they drop.
_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# Aware UTC on the way out: connections are made with timezone=UTC.
UtcDateTime = DateTime(timezone=True)


def metadata(schema: str) -> MetaData:
    """The metadata of one service: all its tables live in `schema`."""
    return MetaData(schema=schema, naming_convention=_NAMING)
