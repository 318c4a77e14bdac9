"""Settings of the heartbeat service."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from myx_kit.files import read_private
from myx_kit.settings import HostPort, NatsSettings, OptionalHostPort, RpcServerSettings


class HeartbeatSettings(RpcServerSettings, NatsSettings):
    """Environment variables MYX_HEARTBEAT_*."""

    model_config = SettingsConfigDict(env_prefix="MYX_HEARTBEAT_")

    # host:port of the registry's gRPC server.
    registry_target: HostPort
    # A file of mode 600 that holds a postgresql:// URL; unset: this replica is the only one and checks every agent.
    database_url_file: Path | None = None
    # host:port under which other replicas reach this one's gRPC server; empty: the one that it listens on.
    advertise: OptionalHostPort = ""
    # A replica that is silent for this long has left, and the others take its agents over within another renewal.
    member_lease_s: float = Field(default=8, ge=1, le=300)
    # Seconds between two renewals, which also tell who else is there.
    member_renew_s: float = Field(default=2, gt=0, le=100)

    # Seconds between two checks of one agent, drawn anew each time (seed 3.2).
    min_interval_s: float = Field(default=20, gt=0)
    max_interval_s: float = Field(default=60, gt=0)
    # Retries after the first try of a call, and the first wait in seconds, doubled each time (seed 6.4).
    retry_max_attempts: int = Field(default=3, ge=0, le=10)
    retry_base_delay_s: float = Field(default=1, ge=0)
    # Seconds for each try of a call to an agent, connecting included (seed 6.3).
    rpc_timeout_s: float = Field(default=30, gt=0)

    # Checks at the same time. A dead agent holds a slot for up to two minutes and costs no more than the idle
    # connection of a living one: let it be a good part of the fleet.
    concurrency: int = Field(default=4096, ge=2)
    # Seconds after which a check gives its slot among the living back and goes on among the suspects, and others are
    # checked at once to tell whether it is our network. Below the time in which all tries of a call fail.
    slow_after_s: float = Field(default=2, gt=0)
    # New checks a second after a start or a pause; a TLS handshake costs about 2.5 ms of CPU, so this is half a core.
    first_checks_per_s: float = Field(default=200, gt=0)
    # A new agent is asked this often, in seconds, until it answers or this time is over (seed 3.1).
    startup_interval_s: float = Field(default=3, gt=0)
    startup_wait_s: float = Field(default=120, ge=0)

    # How long this replica may suspect itself, in seconds; then failures are believed.
    doubt_max_s: float = Field(default=300, ge=0, le=3600)
    # Seconds between two second opinions while it does.
    doubt_interval_s: float = Field(default=3, gt=0, le=60)

    # Seconds between two looks at the registry's list of agents; events make it look at once.
    refresh_interval_s: float = Field(default=60, gt=0)
    # Seconds that outcomes are gathered before they go to the registry in one batch; those that change what an agent is
    # wait for half a second at most.
    report_interval_s: float = Field(default=2, gt=0)
    # Outcomes kept while the registry is away, beside changes of status, of which none is dropped. About 2 KB each.
    report_buffer: int = Field(default=5000, ge=0)

    @model_validator(mode="after")
    def _interval_is_a_range(self) -> Self:
        if self.min_interval_s > self.max_interval_s:
            raise ValueError("min_interval_s must not exceed max_interval_s")
        if 3 * self.member_renew_s > self.member_lease_s:
            raise ValueError("member_lease_s must be at least three times member_renew_s")
        return self

    def database_url(self) -> str:
        """The URL in `database_url_file`, empty without one; FailedPrecondition: missing, or others can read it."""
        return "" if self.database_url_file is None else read_private(self.database_url_file)
