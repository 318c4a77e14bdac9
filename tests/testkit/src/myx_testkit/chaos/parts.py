"""The processes of a world, each with its own ways to the others."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from myx.registry.v1.agent_service_pb2 import AllocateAgentResponse
from myx_kit.files import write_private
from myx_standalone.accounts import bound_to_parent
from myx_testkit.chaos.agent_way import AgentWay
from myx_testkit.chaos.ways import Way, WayLoop
from myx_testkit.ports import free_port
from myx_testkit.process import Program

BIN = Path(sys.executable).parent
FOLDERS = ("deployment_tool", "staging", "files", "ansible", "releases", "upgrade", "spool")


def base_environment() -> dict[str, str]:
    """What every process of ours is given of the environment."""
    keep = ("PYTHONPATH", "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER")
    return {name: os.environ[name] for name in keep if name in os.environ}


class Part:
    """A process that can be killed, stopped for a while and started again."""

    def __init__(self, name: str, program: Program, port: int) -> None:
        self.name, self.program, self.port = name, program, port
        self.is_stopped = False

    def start(self) -> None:
        """Start it; it serves some time later."""
        self.is_stopped = False
        self.program.start()

    def pause(self) -> None:
        """SIGSTOP."""
        self.is_stopped = True
        os.kill(self.program.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT, where it was stopped and is there still."""
        if self.is_stopped and self.program.is_running():
            os.kill(self.program.pid, signal.SIGCONT)
        self.is_stopped = False

    def kill9(self) -> None:
        """SIGKILL."""
        self.is_stopped = False
        if self.program.is_running():
            self.program.kill9()

    def terminate(self) -> None:
        """SIGTERM, without waiting for the end."""
        self.resume()
        with suppress(ProcessLookupError):
            assert self.program.process is not None
            self.program.process.terminate()

    def close(self) -> None:
        """It is gone afterwards."""
        self.kill9()


class Service(Part):
    """registry, heartbeat, executor or gateway. `settings` lack the prefix MYX_<KIND>_."""

    def __init__(self, folder: Path, kind: str, name: str, tls_dir: Path, settings: dict[str, str]) -> None:
        folder = folder / name
        folder.mkdir()
        self.kind, self.folder = kind, folder
        port = free_port()
        values = {"LISTEN": f"127.0.0.1:{port}", "TLS_DIR": str(tls_dir), "LOG_LEVEL": "debug", "DRAIN_S": "3"}
        prefix = f"MYX_{kind.upper()}_"
        self.environment = base_environment() | {prefix + key: value for key, value in (values | settings).items()}
        argv = bound_to_parent([sys.executable, "-m", f"myx_{kind}", "serve"], signal.SIGKILL)
        super().__init__(name, Program(name, argv, folder / "log", self.environment), port)

    def migrate(self) -> None:
        """Bring its tables up to date."""
        argv = [sys.executable, "-m", f"myx_{self.kind}", "migrate"]
        subprocess.run(argv, env=self.environment, check=True, timeout=120)


class Replica(Service):
    """An executor whose ways to PostgreSQL and NATS are its own."""

    def __init__(
        self,
        folder: Path,
        name: str,
        tls_dir: Path,
        ways: WayLoop,
        *,
        database_url: str,
        nats_port: int,
        settings: dict[str, str],
    ) -> None:
        parts = urlsplit(database_url)
        assert parts.port is not None
        self.to_postgres = Way(ways, ("127.0.0.1", parts.port))
        self.to_nats = Way(ways, ("127.0.0.1", nats_port))
        for way in (self.to_postgres, self.to_nats):
            way.open()
        url_file = folder / f"{name}.url"
        login = parts.netloc.rpartition("@")[0]
        detour = parts._replace(netloc=f"{login}@127.0.0.1:{self.to_postgres.port}")
        write_private(url_file, urlunsplit(detour))
        ours = {"DATABASE_URL_FILE": str(url_file), "NATS_URL": f"tls://127.0.0.1:{self.to_nats.port}"}
        super().__init__(folder, "executor", name, tls_dir, settings | ours)

    def close(self) -> None:
        """It and its ways are gone afterwards."""
        super().close()
        self.to_postgres.close()
        self.to_nats.close()


class Host(Part):
    """A managed server: a real agent behind a way of its own, which is where the registry says that it is."""

    def __init__(self, folder: Path, name: str, ways: WayLoop, identity: AllocateAgentResponse) -> None:
        self.folder = folder / name
        self.folder.mkdir(mode=0o700)
        self.server_id = identity.agent.server_id
        self.config_file = self.folder / "config.json"
        write_private(self.folder / "agent.crt", identity.certificate_pem)
        write_private(self.folder / "agent.key", identity.private_key_pem)
        for place in FOLDERS:
            (self.folder / place).mkdir(mode=0o700)
        self.rpc_port = free_port()
        configuration = {
            "agent_token": identity.agent_token,
            "secret_key": identity.secret_key,
            "rpc_port": self.rpc_port,
            "rpc_path": identity.rpc_path,
            "bind_address": "127.0.0.1",
            "certificate_path": str(self.folder / "agent.crt"),
            "key_path": str(self.folder / "agent.key"),
            "require_signature": True,
            "min_free_bytes": 0,
            **{f"{place}_dir": str(self.folder / place) for place in FOLDERS},
        }
        write_private(self.config_file, json.dumps(configuration))
        self.way = AgentWay(ways, ("127.0.0.1", self.rpc_port), ("127.0.0.1", identity.agent.rpc_port), self.folder)
        self.way.open()
        self.argv = [str(BIN / "myx-agent"), "--config", str(self.config_file)]
        argv = bound_to_parent(self.argv, signal.SIGKILL)
        super().__init__(name, Program(name, argv, self.folder / "log", base_environment()), self.rpc_port)

    def close(self) -> None:
        """The agent, its commands and its way are gone afterwards."""
        super().close()
        subprocess.run(
            [*self.argv, "--stop-commands"], env=base_environment(), timeout=30, check=False, capture_output=True
        )
        self.way.close()
