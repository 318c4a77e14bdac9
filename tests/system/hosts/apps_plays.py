"""The shipped playbooks on a real host by both ways, as MyX runs them, without the services around."""

import http.client
import importlib.metadata
import json
import re
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myx_executor.adapters.ansible import PlayOverSsh
from myx_executor.adapters.ssh import SshConnector
from myx_executor.domain.ssh import Hop, PlayEnd, PlayEvent, PlaySpec, PlayText, TrustedKey
from myx_testkit.apps import REPOSITORY
from myx_testkit.hosts.host import Host

TOOL = REPOSITORY / "playbooks"
ON_HOST = "/usr/local/lib/test-tool"
ANSIBLE_ON_HOST = "/usr/local/lib/test-ansible"
COMPILED = {"cryptography", "cffi", "pycparser"}
PLAY_LIMIT_S = 120


@dataclass
class Played:
    """How a play ended."""

    code: int
    text: str
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def recap(self) -> dict[str, int]:
        found: dict[str, int] = self.events[-1]["hosts"]["localhost"]
        return found

    @property
    def message(self) -> str:
        return " ".join(str(e.get("message", "")) for e in self.events if e["type"] == "task_result")


async def by_ssh(host: Host, playbook: str, variables: dict[str, Any], **spec: Any) -> Played:
    """As a deployment by SSH runs it: Ansible here, locked in, the executor's connection to the host."""
    hop = Hop(
        name=host.name,
        address=host.address,
        private_key=host.key.read_text(),
        host_key=TrustedKey(host.fingerprint, host.host_key),
    )
    result, text = Played(-1, ""), {"stdout": b"", "stderr": b""}
    wanted = PlaySpec(str(TOOL), playbook, extra_vars=variables, **spec)
    plays, connector = PlayOverSsh(TOOL / "scripts/run_play.py"), SshConnector(connect_timeout_s=10, login_timeout_s=15)
    async with connector.session([hop]) as session, await plays.start(session, wanted) as play:
        async for item in play.items():
            match item:
                case PlayText(stream, data):
                    text[stream] += data
                case PlayEvent(event):
                    result.events.append(dict(event))
                case PlayEnd():
                    result.code = item.code
    result.text = (text["stdout"] + text["stderr"]).decode()
    return result


async def by_agent(host: Host, playbook: str, variables: dict[str, Any], **document: Any) -> Played:
    """As the agent runs it: run_play.py on the host, local connection."""
    _give_ansible(host)
    events = "/root/events.jsonl"
    host.exec(f"rm -f {events}")
    order = {
        "project_dir": ON_HOST,
        "playbook": playbook,
        "extra_vars": variables,
        "connection": {"type": "local"},
        "events_path": events,
        **document,
    }
    run = f"LC_ALL=C.UTF-8 python3 {ON_HOST}/scripts/run_play.py"
    done = host.exec(run, stdin=json.dumps(order), timeout_s=PLAY_LIMIT_S, check=False)
    lines = host.exec(f"cat {events}; rm {events}").stdout.splitlines()
    return Played(done.returncode, done.stdout + done.stderr, [json.loads(line) for line in lines])


WAYS = {"ssh": by_ssh, "agent": by_agent}


def _give_ansible(host: Host) -> None:
    """Ansible of this test's own environment, without what is compiled, and the tool."""
    tool, library = host.root / ON_HOST[1:], host.root / ANSIBLE_ON_HOST[1:]
    if tool.exists():
        return
    shutil.copytree(TOOL, tool, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _needed({"ansible-core", "ansible-runner"}):
        for file in importlib.metadata.files(name) or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
                target = library / str(file)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    host.write("/usr/lib/python3/dist-packages/test-ansible.pth", ANSIBLE_ON_HOST + "\n")
    starter = "#!/usr/bin/python3\nfrom ansible.cli.playbook import main\nmain()\n"
    host.write("/usr/local/bin/ansible-playbook", starter, 0o755)


def _needed(names: set[str]) -> set[str]:
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        here = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower() for line in requires if "extra ==" not in line}
        waiting |= here - found - COMPILED
    return found


def page(host: Host, port: int = 80, name: str = "") -> str:
    """What a browser would get from the host."""
    connection = http.client.HTTPConnection(host.address, port, timeout=5)
    try:
        connection.request("GET", "/", headers={"Host": name or host.address})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def greeting(host: Host, port: int) -> str:
    """What the stand-in for Xray says to whoever connects."""
    with socket.create_connection((host.address, port), 5) as connection:
        return connection.recv(100).decode().strip()


def main_pid(host: Host, unit: str) -> int:
    return int(host.exec(f"systemctl show {unit} -p MainPID --value").stdout)
