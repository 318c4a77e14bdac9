"""Settings of the executor: environment variables with the prefix MYX_EXECUTOR_."""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from myx_executor.domain.retention import Kept, Policy
from myx_executor.domain.states import LOST_AFTER_S, OVERDUE_MARGIN_S
from myx_kit.settings import DatabaseSettings, HostPort, NatsSettings, OptionalHostPort, RpcServerSettings


class ExecutorSettings(RpcServerSettings, DatabaseSettings, NatsSettings):
    """Units are in the names; reasons stand above each field."""

    model_config = SettingsConfigDict(env_prefix="MYX_EXECUTOR_")

    # host:port of the registry's gRPC server.
    registry_target: HostPort
    # host:port of the heartbeat service, which is asked to look at an agent that was just installed; empty: it is found
    # online at its next heartbeat.
    heartbeat_target: OptionalHostPort = ""
    # Key file (600) under which standard input and secret variables are stored until they are sent.
    master_key_file: Path
    # Commands that this replica works on at once; more wait in the database. Each costs a task and up to 3 MB.
    max_active_commands: int = Field(default=500, ge=1, le=20_000)
    # Jobs that this replica works on at once; more wait in the database. Each costs a task and some reads a second.
    max_active_jobs: int = Field(default=500, ge=1, le=10_000)
    # A replica that is silent for this long has lost its commands; takeover takes this and a sweep.
    lease_s: float = Field(default=10.0, ge=1, le=300)
    # Three tries within a lease: a play over SSH is ended while a third of its lease is left.
    lease_renew_s: float = Field(default=3.0, ge=0.1, le=100)
    # How soon what nobody works on is found without a wake-up.
    sweep_interval_s: float = Field(default=1.0, ge=0.05, le=60)
    # A changed address is heard of by event; this is for the event that was missed.
    endpoint_ttl_s: float = Field(default=60.0, ge=1, le=3600)
    # Default of `connect_timeout`: a command that may or may not have reached its agent is asked for during this time,
    # then its state is unknown.
    delivery_deadline_s: float = Field(default=300.0, ge=1, le=86_400)
    # An agent that is not heard of for this long beyond all limits of its command is gone, and the command lost.
    lost_after_s: float = Field(default=LOST_AFTER_S, ge=1, le=30 * 86_400)
    # What agents are given beyond the limits that they keep themselves, before the control plane asks for the end.
    overdue_margin_s: float = Field(default=OVERDUE_MARGIN_S, ge=0.1, le=3600)
    # What is stored of one command's or deployment's log, whatever its agent sends; beyond it there is a gap with the
    # reason, and the end is followed all the same. Agents have limits of their own (docs/agent.md), which come first.
    command_log_bytes_max: int = Field(default=2 << 30, ge=64 * 1024, le=1 << 40)
    # Run limit of commands that name none (CONTRACTS: 24 h); 0: none.
    default_timeout_s: float = Field(default=86_400.0, ge=0)
    # Seed: AGENT_RPC_TIMEOUT.
    agent_rpc_timeout_s: float = Field(default=30.0, gt=0, le=600)
    # Seed: AGENT_RPC_RETRY_MAX_ATTEMPTS.
    agent_rpc_retry_max_attempts: int = Field(default=3, ge=0, le=20)
    # Seed: AGENT_RPC_RETRY_BASE_DELAY.
    agent_rpc_retry_base_delay_s: float = Field(default=1.0, gt=0, le=60)
    # Pause between tries while the agent of a running command is away.
    agent_calm_retry_s: float = Field(default=10.0, gt=0, le=300)
    # Bound of the wait for PostgreSQL and its tables at start.
    database_wait_s: float = Field(default=60.0, ge=0, le=600)
    # Folder of the deployment tool (playbooks/ of a checkout); unset: plays cannot be run.
    playbooks_dir: Path | None = None
    # What `make agent-bundle` builds; unset or not there: agents cannot be installed or upgraded.
    agent_bundle_dir: Path | None = None
    # Relocatable builds of CPython for hosts without a Python that fits; unset or empty: such hosts are refused.
    python_dir: Path | None = None
    # Python package index that hosts may use (`myx_index_url`); empty: all they need travels with the agent.
    index_url: str = ""
    # Scratch for pushed files and for plays over SSH; unset: the system's folder for temporary files.
    work_dir: Path | None = None
    # How long a new agent may take until it answers (seed 3.2: asked every 3 s).
    agent_wait_s: float = Field(default=120.0, ge=1, le=3600)
    # How long a new agent has to prove itself after an upgrade before the host puts the old one back by itself.
    upgrade_confirm_s: float = Field(default=120.0, ge=5, le=3600)
    # Run limit of deployments that name none.
    deployment_timeout_s: float = Field(default=3600.0, gt=0, le=86_400)
    # A replica that stops lets its plays over SSH end for this long: they cannot be gone on with elsewhere.
    play_drain_s: float = Field(default=15.0, ge=0, le=3600)
    # All artifacts together.
    artifact_bytes_max: int = Field(default=2 << 30, ge=1 << 20)
    # How often agents that are offline are looked at for repair, beside the events that tell of them; 0: never.
    repair_interval_s: float = Field(default=60.0, ge=0, le=86_400)
    # Logs of commands go this many days after their end (a day's together, one or two days later); 0: never.
    retain_command_log_days: float = Field(default=30.0, ge=0, le=36_500)
    # Logs of deployments likewise; other days than for commands cost more, because no day can be dropped whole then.
    retain_deployment_log_days: float = Field(default=30.0, ge=0, le=36_500)
    # All logs together, as stored (compressed); the oldest go first, never those of the last hour. 0: no limit.
    retain_log_bytes: int = Field(default=50 << 30, ge=0)
    # Rows of commands, with what is left of their logs, go this many days after their end; 0: never.
    retain_command_days: float = Field(default=365.0, ge=0, le=36_500)
    # So many commands are kept, the newest; those of the last day always, for the sake of request ids. 0: all.
    retain_command_rows: int = Field(default=0, ge=0)
    # Deployments with the events of their plays likewise.
    retain_deployment_days: float = Field(default=365.0, ge=0, le=36_500)
    retain_deployment_rows: int = Field(default=0, ge=0)
    # Jobs with their targets likewise; runs of an open job are kept.
    retain_job_days: float = Field(default=365.0, ge=0, le=36_500)
    retain_job_rows: int = Field(default=0, ge=0)
    # What became of the times of schedules; rows are those of each schedule.
    retain_fire_days: float = Field(default=365.0, ge=0, le=36_500)
    retain_fire_rows: int = Field(default=0, ge=0)
    # How often it is looked whether something is too old.
    retention_interval_s: float = Field(default=600.0, ge=0.1, le=86_400)

    # host:port of the gateway's gRPC, which is asked for the authority of schedules when they fire.
    gateway_target: str = ""
    # Without that address schedules fire only if this says that nobody need be asked.
    schedules_unchecked: bool = False
    # How often it is looked whether the time of a schedule has come.
    schedule_interval_s: float = Field(default=1.0, ge=0.01, le=60)
    # A time that is seen later than this was missed; longer than a restart of all executors takes.
    schedule_grace_s: float = Field(default=60.0, ge=1, le=60)

    @field_validator("lease_renew_s")
    @classmethod
    def _renews_in_time(cls, lease_renew_s: float, info: ValidationInfo) -> float:
        lease_s = info.data.get("lease_s")
        if lease_s is not None and lease_renew_s > lease_s / 3:
            raise ValueError(f"must be at most a third of MYX_EXECUTOR_LEASE_S ({lease_s:g}), but is {lease_renew_s:g}")
        return lease_renew_s

    def retention(self) -> Policy:
        """What is kept for how long."""
        return Policy(
            command_log_days=self.retain_command_log_days,
            deployment_log_days=self.retain_deployment_log_days,
            log_bytes=self.retain_log_bytes,
            commands=Kept(self.retain_command_days, self.retain_command_rows),
            deployments=Kept(self.retain_deployment_days, self.retain_deployment_rows),
            jobs=Kept(self.retain_job_days, self.retain_job_rows),
            fires=Kept(self.retain_fire_days, self.retain_fire_rows),
        )
