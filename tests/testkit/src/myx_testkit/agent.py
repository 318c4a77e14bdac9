"""A real agent for tests."""

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from myx_kit.files import write_private
from myx_kit.tls import make_agent_certificate
from myx_testkit.ports import free_port
from myx_testkit.process import Program
from myx_testkit.wait import until_sync

if TYPE_CHECKING:
    from myx_kit.agent_rpc.client import AgentTarget

PROGRAM = Path(sys.executable).with_name("myx-agent")
START_WITHIN_S = 20.0
STOP_COMMANDS_WITHIN_S = 25.0


class RealAgent:
    """`myx-agent` on a throw-away folder, with signatures required. `target` is for AgentClient.

    It keeps port, secrets, certificate and spool over kill9() and restart(); `configuration` may be changed between.
    """

    def __init__(self, folder: Path, **configuration: Any) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.agent_id = "01900000-0000-7000-8000-" + secrets.token_hex(6)
        self.address = "127.0.0.1"
        self.rpc_port = free_port()
        self.rpc_path = secrets.token_hex(12)
        self.agent_token = secrets.token_urlsafe(32)
        self.secret_key = secrets.token_urlsafe(32)
        certificate, key, self.certificate_sha256 = make_agent_certificate("agent")
        write_private(folder / "agent.crt", certificate)
        write_private(folder / "agent.key", key)
        self.spool = folder / "spool"
        self.config_file = folder / "config.json"
        self.configuration: dict[str, Any] = {
            "agent_token": self.agent_token,
            "secret_key": self.secret_key,
            "rpc_port": self.rpc_port,
            "rpc_path": self.rpc_path,
            "bind_address": self.address,
            "certificate_path": str(folder / "agent.crt"),
            "key_path": str(folder / "agent.key"),
            "spool_dir": str(self.spool),
            "require_signature": True,
            "deployment_tool_dir": str(folder / "deployment-tool"),
            "staging_dir": str(folder / "staging"),
            "files_dir": str(folder / "files"),
            "ansible_dir": str(folder / "ansible"),
            "releases_dir": str(folder / "releases"),
            "upgrade_dir": str(folder / "upgrade"),
            **configuration,
        }
        self.program = Program("agent", [str(PROGRAM), "--config", str(self.config_file)], folder / "agent.log")

    @property
    def target(self) -> "AgentTarget":
        """What the kit's client needs to call it."""
        from myx_kit.agent_rpc.client import AgentTarget  # most tests have no use for the HTTP client

        return AgentTarget(
            agent_id=self.agent_id,
            address=self.address,
            rpc_port=self.rpc_port,
            rpc_path=self.rpc_path,
            agent_token=self.agent_token,
            secret_key=self.secret_key,
            certificate_sha256=self.certificate_sha256,
        )

    def start(self) -> None:
        """Start and wait until it serves."""
        write_private(self.config_file, json.dumps(self.configuration))
        seen = self.program.output().count("serves on port")
        self.program.start()
        until_sync(
            lambda: self.program.output().count("serves on port") > seen or not self.program.is_running(),
            START_WITHIN_S,
            what="the agent serves",
        )
        assert self.program.is_running(), self.program.output()

    def kill9(self) -> None:
        """SIGKILL of the agent itself; its commands and what watches them run on."""
        self.program.kill9()

    def stop(self) -> None:
        """A clean stop of the agent; its commands run on."""
        self.program.stop()

    def restart(self) -> None:
        """Start again after kill9() or stop()."""
        self.start()

    def stop_commands(self) -> str:
        """End all commands and what watches them; what the program said."""
        argv = [str(PROGRAM), "--config", str(self.config_file), "--stop-commands"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=STOP_COMMANDS_WITHIN_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        """Stop the agent and everything it started."""
        if self.program.process is not None and self.program.is_running():
            self.program.stop()
        self.stop_commands()
