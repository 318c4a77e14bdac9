"""How each process of a standalone MyX is run."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from myx_standalone import nats, postgres
from myx_standalone.accounts import bound_to_parent
from myx_standalone.child import Service
from myx_standalone.home import Home
from myx_standalone.leftovers import TAG, kill, postgres_of
from myx_standalone.nats import Nats
from myx_standalone.postgres import Cluster

DRAIN_S = 1.5
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR")
CHECKOUT = Path(__file__).resolve().parents[4]
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


class Services:
    """The processes by name. `ports`: of the internal servers; `door`: descriptor of the gateway's listening socket."""

    def __init__(self, home: Home, ports: Mapping[str, int], door: int, log_level: str) -> None:
        self.home, self.ports, self.door, self.log_level = home, ports, door, log_level
        self.cluster = Cluster(home.postgres)
        self.nats_server = Nats(home.nats, home.tls)

    def postgres(self) -> Service:
        """The database."""
        return Service(
            "postgres",
            lambda: self.cluster.argv(self.ports["postgres"]),
            self.cluster.environment(),
            stop_signal=postgres.STOP_SIGNAL,
            stop_within_s=3.0,
            is_ready=lambda: postgres.accepts_logins(self.ports["postgres"]),
            is_coming=lambda: postgres.is_starting(self.ports["postgres"]),
            before_start=self._clear_postgres,
        )

    def nats(self) -> Service:
        """The message server."""
        return Service(
            "nats",
            self.nats_server.argv,
            self._environment("nats"),
            stop_signal=nats.STOP_SIGNAL,
            is_ready=lambda: nats.is_listening(self.ports["nats"]),
            before_start=lambda: self.nats_server.configure(self.ports["nats"], self.ports["nats_health"]),
            is_well=lambda: self.nats_server.is_well(self.ports["nats_health"]),
        )

    def registry(self) -> Service:
        """Who exists."""
        return self._python("registry", self._database("registry") | self._bus() | {"LISTEN": self._target("registry")})

    def heartbeat(self) -> Service:
        """Who is alive."""
        settings = {"LISTEN": self._target("heartbeat"), "REGISTRY_TARGET": self._target("registry")}
        return self._python("heartbeat", self._database_url("heartbeat") | self._bus() | settings)

    def executor(self) -> Service:
        """What runs."""
        settings = {
            "LISTEN": self._target("executor"),
            "REGISTRY_TARGET": self._target("registry"),
            "HEARTBEAT_TARGET": self._target("heartbeat"),
            "GATEWAY_TARGET": self._target("access"),
            "WORK_DIR": str(self.home.work),
            "PLAY_DRAIN_S": "0",  # Ctrl-C stops in seconds; a play over SSH is then run again
            "PYTHON_DIR": os.environ.get("MYX_PYTHON_DIR", str(self.home.pythons)),
        }
        return self._python("executor", self._database("executor") | self._bus() | settings | _deployment_folders())

    def gateway(self) -> Service:
        """The door. It inherits the listening socket, which stays open while the gateway is started again."""
        settings = self._gateway_settings() | {"LISTEN_FD": str(self.door)}
        return self._python("gateway", settings, (self.door,))

    def agent(self) -> Service:
        """The agent of this machine. Its commands run in the user's environment and outlive it."""
        program = str(Path(sys.executable).with_name("myx-agent"))
        environment = passed_on((*PASSED_ON, *PROXIES, *(name.upper() for name in PROXIES)))
        return Service(
            "agent",
            lambda: bound_to_parent([program, "--config", str(self.home.agent_config)], signal.SIGKILL),
            environment,
        )

    def migrate(self, service: str) -> tuple[list[str], dict[str, str]]:
        """Command line and environment that bring a service's tables up to date and end."""
        if service == "gateway":
            settings = self._gateway_settings()
        else:
            database = self._database_url if service == "heartbeat" else self._database
            settings = database(service) | self._bus() | {"LISTEN": self._target(service)}
            if service != "registry":
                settings["REGISTRY_TARGET"] = self._target("registry")
        argv = bound_to_parent([sys.executable, "-m", f"myx_{service}", "migrate"], signal.SIGKILL)
        return argv, self._settings(service, settings)

    def enrol(self, *, agent_runs: bool) -> tuple[list[str], dict[str, str]]:
        """Command line and environment of the enrolment of this machine."""
        program = [sys.executable, "-m", "myx_standalone.enrol", str(self.home.path), self._target("registry")]
        program.append("running" if agent_runs else "stopped")
        return bound_to_parent(program, signal.SIGKILL), self._environment("enrol")

    def _gateway_settings(self) -> dict[str, str]:
        own = {
            "RPC_LISTEN": self._target("access"),
            "REGISTRY_TARGET": self._target("registry"),
            "HEARTBEAT_TARGET": self._target("heartbeat"),
            "EXECUTOR_TARGET": self._target("executor"),
            "ADMIN_TOKEN_FILE": str(self.home.admin_token_file),
            "FIRST_ADMIN_PASSWORD_FILE": str(self.home.admin_password_file),
        }
        return self._database_url("gateway") | self._bus() | own

    def _python(self, name: str, settings: Mapping[str, str], descriptors: tuple[int, ...] = ()) -> Service:
        program = [sys.executable, "-m", f"myx_{name}", "serve"]
        return Service(
            name,
            lambda: bound_to_parent(program, signal.SIGKILL),
            self._settings(name, settings),
            stop_within_s=DRAIN_S + 0.5,
            descriptors=descriptors,
        )

    def _settings(self, name: str, settings: Mapping[str, str]) -> dict[str, str]:
        common = {"TLS_DIR": str(self.home.tls), "DRAIN_S": str(DRAIN_S), "LOG_LEVEL": self.log_level}
        prefix = f"MYX_{name.upper()}_"
        given = {key: value for key, value in os.environ.items() if key.startswith(prefix)}
        ours = {prefix + key: value for key, value in {**common, **settings}.items()}
        return self._environment(name) | given | ours

    def _environment(self, name: str) -> dict[str, str]:
        return passed_on(PASSED_ON) | {TAG: f"{name}:{self.home.path}", "PYTHONUNBUFFERED": "1"}

    def _target(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    def _bus(self) -> dict[str, str]:
        return {"NATS_URL": f"tls://127.0.0.1:{self.ports['nats']}"}

    def _database(self, service: str) -> dict[str, str]:
        return self._database_url(service) | {"MASTER_KEY_FILE": str(self.home.master_key_file(service))}

    def _database_url(self, service: str) -> dict[str, str]:
        return {"DATABASE_URL_FILE": str(self.home.database_url_file(service))}

    def _clear_postgres(self) -> None:
        kill(postgres_of(self.home))
        self.cluster.clear_stale_lock()


def _deployment_folders() -> dict[str, str]:
    """Where tool and bundle lie: in this checkout unless MYX_PLAYBOOKS_DIR and MYX_AGENT_BUNDLE_DIR say."""
    return {
        "PLAYBOOKS_DIR": os.environ.get("MYX_PLAYBOOKS_DIR", str(CHECKOUT / "playbooks")),
        "AGENT_BUNDLE_DIR": os.environ.get("MYX_AGENT_BUNDLE_DIR", str(CHECKOUT / "build" / "agent-bundle")),
    }


def passed_on(names: tuple[str, ...]) -> dict[str, str]:
    """What children see of our own environment: these names and the locale, and no stray setting or secret."""
    return {name: value for name, value in os.environ.items() if name in names or name.startswith("LC_")}
