"""A MyX and the real hosts that it manages."""

import json
import secrets
from typing import Any

from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab
from myx_testkit.rest import Rest
from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync

FINAL = ("success", "failed", "cancelled", "timeout", "lost", "unknown")
DEPLOYED_WITHIN_S = 240.0
ONLINE_WITHIN_S = 30.0


class Fleet:
    """Adds hosts as servers and deploys on them through the public API, as an operator's program would."""

    def __init__(self, myx: Standalone, lab: HostLab) -> None:
        self.myx, self.lab = myx, lab

    @property
    def rest(self) -> Rest:
        """The public API as the admin."""
        facts = json.loads(self.myx.home.standalone_file.read_text())
        return Rest(self.myx.port, facts["token"])

    def key(self) -> dict[str, Any]:
        """A credential: root's key."""
        return {"private_key": self.lab.key.read_text()}

    def add(
        self,
        host: Host,
        *,
        credential: dict[str, Any] | None = None,
        ssh: dict[str, Any] | None = None,
        trust: bool = True,
        **more: Any,
    ) -> str:
        """Add it under a name of its own, which is returned; with root's key and its host key trusted unless told."""
        name = f"{host.name}-{secrets.token_hex(3)}"
        body = {
            "name": name,
            "address": host.address,
            "ssh": ssh or {},
            "credential": credential or self.key(),
            "host_key_fingerprint": host.fingerprint if trust else "",
            **more,
        }
        self.rest.post("/servers", body)
        return name

    def start(self, server: str, kind: str, **options: Any) -> str:
        """Begin a deployment; its id."""
        return str(self.rest.post("/deployments", {"server": server, "kind": kind, **options})["id"])

    def get(self, deployment_id: str) -> dict[str, Any]:
        """A deployment as it is now."""
        found: dict[str, Any] = self.rest.get(f"/deployments/{deployment_id}")
        return found

    def wait(self, deployment_id: str, within_s: float = DEPLOYED_WITHIN_S) -> dict[str, Any]:
        """The deployment when it is final."""
        until_sync(
            lambda: self.get(deployment_id)["status"] in FINAL,
            within_s,
            interval_s=0.2,
            what=f"the deployment ends\n{json.dumps(self.get(deployment_id), indent=1)}",
        )
        return self.get(deployment_id)

    def deploy(self, server: str, kind: str, **options: Any) -> dict[str, Any]:
        """Carry out a deployment to its end, which may be a failure."""
        return self.wait(self.start(server, kind, **options))

    def succeed(self, server: str, kind: str, **options: Any) -> dict[str, Any]:
        """Carry out a deployment that must succeed."""
        ended = self.deploy(server, kind, **options)
        assert ended["status"] == "success", self.tell(ended)
        return ended

    def enrol(self, host: Host, **options: Any) -> str:
        """Add a host and install its agent, which is online then; the server's name."""
        name = self.add(host, **options)
        self.succeed(name, "install_agent")
        self.wait_online(name)
        return name

    def agent(self, server: str) -> dict[str, Any]:
        """What the registry knows of a server's agent."""
        found: dict[str, Any] = self.rest.get(f"/servers/{server}")["agent"] or {}
        return found

    def wait_online(self, server: str) -> None:
        """Wait until its agent is seen to be online."""
        until_sync(
            lambda: self.agent(server).get("status") == "online",
            ONLINE_WITHIN_S,
            interval_s=0.2,
            what=f"the agent of {server} is online: {self.agent(server)}",
        )

    def run(self, server: str, command: str) -> str:
        """What a shell line prints there, run by the agent; it must succeed."""
        asked = {"server": server, "command": "sh", "args": ["-c", command]}
        command_id = self.rest.post("/commands", asked)["id"]
        done = self.myx.cli("logs", "-f", command_id)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def log(self, deployment_id: str) -> str:
        """The log of a deployment."""
        return self.myx.cli("deployment", "logs", deployment_id).stdout.decode(errors="replace")

    def tell(self, deployment: dict[str, Any]) -> str:
        """All there is to say of a deployment, for the message of a failed test."""
        return f"{json.dumps(deployment, indent=1)}\n{self.log(deployment['id'])[-6000:]}"

    def remove(self, server: str) -> None:
        """Forget a server."""
        self.rest.delete(f"/servers/{server}")
