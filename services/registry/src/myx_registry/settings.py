"""Settings of the registry."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from myx_kit.settings import DatabaseSettings, NatsSettings, RpcServerSettings


class RegistrySettings(RpcServerSettings, DatabaseSettings, NatsSettings):
    """Environment variables MYX_REGISTRY_*."""

    model_config = SettingsConfigDict(env_prefix="MYX_REGISTRY_")

    # JSON file of mode 600 with the master keys that seal the secrets of agents and credentials (SecretBox.from_file).
    master_key_file: Path
    # Seconds between two looks at that file: a key that was added or made primary is taken without a restart.
    master_key_look_s: float = Field(default=5, gt=0, le=3600)
    # Seconds that start-up waits for PostgreSQL and for its schema; longer than a database server takes to recover.
    start_wait_s: float = Field(default=60, gt=0, le=600)
    # Days that changes of agents' status and facts are kept, and how many of each an agent may have: one that flaps for
    # days must not crowd the others out.
    history_days: int = Field(default=30, ge=1, le=3650)
    history_rows_per_agent: int = Field(default=2000, ge=10, le=1_000_000)
