"""An agent on a real host: installed, upgraded and called as MyX does it, without the services around."""

import datetime as dt
import json
import shlex
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps_plays import Played, by_ssh
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from myx_executor.adapters.bundle import AgentBundle, BundleInfo
from myx_testkit.apps import REPOSITORY
from myx_testkit.bundle import agent_bundle
from myx_testkit.hosts.host import Host
from myx_testkit.wait import until_sync

TOOL = REPOSITORY / "playbooks"
sys.path.insert(0, str(TOOL / "roles/agent/module_utils"))

from myx_agent_host import Agent, Failure, decode  # noqa: E402 - found by the line above

STAGING = "/var/lib/myx-agent/staging"
UPGRADES = "/var/lib/myx-agent/upgrade"
ANSIBLE_PYTHON = "/opt/myx-agent/ansible/current/bin/python"
ON_HOST = "/opt/myx-deployment-tool/myx/releases/test"
GUARD = "/opt/myx-agent/bin/upgrade-guard"
PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}


@dataclass
class Identity:
    """What the registry would have made."""

    config: dict[str, Any]
    certificate: str
    key: str


def make_identity(port: int = 24351) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "myx-agent")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    pem, raw = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    config = {
        "agent_token": f"token-{uuid.uuid4().hex}",
        "secret_key": f"secret-{uuid.uuid4().hex}",
        "rpc_port": port,
        "rpc_path": uuid.uuid4().hex[:20],
        "require_signature": True,
    }
    key_pem = key.private_bytes(pem, raw, serialization.NoEncryption()).decode()
    return Identity(config, certificate.public_bytes(pem).decode(), key_pem)


class Machine:
    """A host with its identity and with what MyX does to it."""

    def __init__(self, host: Host, cache: Path, python: str = "3.11") -> None:
        self.host, self.cache, self.python = host, cache, python
        self.identity = make_identity()

    # Packs

    def bundle(self, folder: Path | None = None) -> BundleInfo:
        return AgentBundle(folder or agent_bundle(), self.cache).info()

    def send(
        self, kind: str, place: str, folder: Path | None = None, *, arch: str = "x86_64", index: bool = False
    ) -> str:
        """The pack for this host, as put_file or SFTP would leave it there."""
        pack = AgentBundle(folder or agent_bundle(), self.cache).pack(kind, arch, self.python, index=index)
        self.host.write(place, pack.path.read_bytes(), 0o600)
        return place

    # Install

    async def install(self, folder: Path | None = None, *, confirm: bool = True, **changes: Any) -> Played:
        """install_agent.yml over SSH; where an agent was before, the new one is confirmed unless told otherwise."""
        archive = self.send("agent", f"{STAGING}/agent.tar", folder, index=changes.pop("index", False))
        trusted = {
            "agent_archive": archive,
            "agent_release": self.bundle(folder).release,
            "agent_certificate_pem": self.identity.certificate,
            "host_python": f"/usr/bin/python{self.python}",
            "myx_index_url": "",
        } | changes.pop("trusted", {})
        secret = {"agent_config": self.identity.config, "agent_private_key_pem": self.identity.key}
        spec = {"trusted_vars": trusted, "secret_vars": secret, **changes}
        played = await by_ssh(self.host, "install_agent.yml", {}, **spec)
        self.host.exec(f"rm -f {archive}")
        watch = self.host.exec(f"sed -n s/^UPGRADE_ID=//p {UPGRADES}/pending", check=False).stdout.strip()
        if confirm and watch and played.code == 0:
            self.confirm(watch)
        return played

    async def uninstall(self, *, force: bool = False) -> Played:
        return await by_ssh(self.host, "uninstall_agent.yml", {}, trusted_vars={"force": force})

    # Calls

    def call(self, method: str, **params: Any) -> Any:
        config = self.identity.config | {"bind_address": self.host.address}
        return Agent(config, self.identity.certificate).call(method, **params)

    def version(self) -> str:
        """What answers; empty when nothing does."""
        try:
            found: str = self.call("heartbeat", timestamp=time.time())["version"]
        except Failure:
            return ""
        return found

    def release(self) -> str:
        return self.host.exec("readlink /opt/myx-agent/current").stdout.strip().removeprefix("releases/")

    def start(self, line: str, **params: Any) -> str:
        """Start a shell line by the agent; its id."""
        command_id = f"test-{uuid.uuid4()}"
        self.call("execute_command", command="/bin/sh", args=["-c", line], command_id=command_id, **params)
        return command_id

    def finish(self, command_id: str, timeout_s: float = 120) -> tuple[int, str]:
        """Exit code and whole output; asks on while the agent is away."""
        text, offset, deadline = "", 0, time.monotonic() + timeout_s
        while True:
            assert time.monotonic() < deadline, text
            try:
                answer = self.call("get_command_log", command_id=command_id, offset=offset, wait=5)
            except Failure:  # the agent restarts: its commands run on
                time.sleep(0.2)
                continue
            text += decode(answer.get("log_data"))
            offset = answer["new_offset"]
            if answer["is_final"]:
                return answer["result"]["return_code"], text

    def run(self, line: str, **params: Any) -> tuple[int, str]:
        return self.finish(self.start(line, **params))

    # Upgrade

    def prepare(self) -> None:
        """The tool and Ansible, as put_file and execute_command would bring them."""
        self.give_tool()
        archive = self.send("ansible", f"{STAGING}/ansible.tar")
        self.host.exec(f"sh {ON_HOST}/scripts/install_ansible.sh {archive} && rm {archive}", timeout_s=180)

    def give_tool(self) -> None:
        for path in TOOL.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                target = f"{ON_HOST}/{path.relative_to(TOOL)}"
                self.host.write(target, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)

    def begin_upgrade(self, folder: Path, upgrade_id: str, *, arch: str = "x86_64", **variables: Any) -> str:
        """As the control plane begins one: in a unit of its own, by a command of the agent; the unit's name."""
        archive = f"{STAGING}/upgrade-{upgrade_id}/bundle.tar"
        self.send("agent", archive, folder, arch=arch)
        document = {
            "project_dir": ON_HOST,
            "playbook": "upgrade_agent.yml",
            "trusted_vars": {
                "upgrade_id": upgrade_id,
                "bundle_archive": archive,
                "agent_release": self.bundle(folder).release,
                "confirm_timeout_s": 20,
                "agent_start_timeout_s": 30,
            }
            | variables,
        }
        spec = f"{STAGING}/upgrade-{upgrade_id}/play.json"
        self.host.write(spec, json.dumps(document), 0o600)
        log = f"{UPGRADES}/{upgrade_id}.log"
        unit = f"myx-upgrade-{upgrade_id}"
        line = f"exec {ANSIBLE_PYTHON} {ON_HOST}/scripts/run_play.py < {spec} > {log} 2>&1"
        ended = f"--property=ExecStopPost=-{GUARD} ended {upgrade_id}"
        argv = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", ended, "/bin/sh", "-c", line]
        code, text = self.run(shlex.join(argv))
        assert code == 0, text
        return unit

    def state(self, upgrade_id: str) -> dict[str, Any]:
        done = self.host.exec(f"cat {UPGRADES}/{upgrade_id}.json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def wait_for(self, upgrade_id: str, *states: str, timeout_s: float = 120) -> dict[str, Any]:
        """The state file when it says one of these."""

        def settled() -> dict[str, Any]:
            state = self.state(upgrade_id)
            return state if state.get("state") in states else {}

        try:
            state = until_sync(settled, timeout_s, interval_s=0.3, what=f"upgrade {upgrade_id} is {states}")
        except AssertionError as late:
            log = self.host.exec(f"cat {UPGRADES}/{upgrade_id}.log; {GUARD} status", check=False).stdout
            raise AssertionError(f"{late}\n{self.state(upgrade_id)}\n{log}") from None
        self.host.exec(f"flock {UPGRADES}/lock true")  # the guard has tidied up
        return state

    def upgrade(self, folder: Path, upgrade_id: str, **options: Any) -> dict[str, Any]:
        """A whole upgrade up to the moment at which the control plane is asked, or its failure."""
        self.begin_upgrade(folder, upgrade_id, **options)
        return self.wait_for(upgrade_id, "switched", "reverted", "failed")

    def confirm(self, upgrade_id: str) -> None:
        self.host.exec(f"{GUARD} confirm {upgrade_id}")
