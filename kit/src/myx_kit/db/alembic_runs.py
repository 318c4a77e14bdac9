"""What Alembic does for `migrate`. Imported only when it is needed: it costs a running service 10 MB."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData


def upgrade(connection: Connection, schema: str, script_location: Path, revision: str) -> None:
    """Up to a revision."""
    command.upgrade(_config(connection, schema, script_location), revision)


def downgrade(connection: Connection, schema: str, script_location: Path, revision: str) -> None:
    """Down to a revision."""
    command.downgrade(_config(connection, schema, script_location), revision)


def differences(connection: Connection, metadata: MetaData, options: dict[str, Any]) -> list[str]:
    """How the tables differ from `metadata`, one line each."""
    context = MigrationContext.configure(connection, opts=options)
    return [str(difference) for difference in compare_metadata(context, metadata)]


def _config(connection: Connection, schema: str, script_location: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", _escaped(Path(__file__).parent / "alembic_env"))
    config.set_main_option("version_locations", _escaped(script_location / "versions"))
    config.set_main_option("path_separator", "newline")
    config.attributes |= {"connection": connection, "schema": schema}
    return config


def _escaped(path: Path) -> str:
    # Alembic's options are those of configparser.
    return str(path).replace("%", "%%")
