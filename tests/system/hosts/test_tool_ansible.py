"""Ansible on the host, plays by the agent, and a package index of the host's own."""

import functools
import http.server
import json
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tool_agent import ON_HOST, STAGING, Machine

from myx_testkit.bundle import agent_bundle
from myx_testkit.wait import until_sync

SCRIPT = f"sh {ON_HOST}/scripts/install_ansible.sh"
BASE = "/opt/myx-agent/ansible"
PLAY = """
- name: Demo
  hosts: localhost
  gather_facts: true
  tasks:
    - name: Write
      ansible.builtin.copy: {content: "{{ word }} {{ ansible_facts.distribution }}", dest: /root/demo, mode: "600"}
    - name: Sleep
      ansible.builtin.command: sleep 6
      changed_when: false
"""


@pytest.fixture
def machine(host, tmp_path):
    return Machine(host, tmp_path / "packs")


def give_archive(machine, *, index=False):
    machine.give_tool()
    return machine.send("ansible", f"{STAGING}/ansible.tar", index=index)


def test_ansible_is_installed_once_and_survives_an_accident(machine):
    archive = give_archive(machine)
    machine.host.exec(f"systemd-run --quiet --unit=kill-me {SCRIPT} {archive}")
    until_sync(lambda: machine.host.exec(f"ls -d {BASE}/*/lib", check=False).stdout, 60, interval_s=0.02)
    machine.host.exec("systemctl kill --signal=KILL kill-me")
    done = machine.host.exec(f"{SCRIPT} {archive}", timeout_s=120)
    assert "installed ansible-core 2." in done.stdout
    assert "is there already" in machine.host.exec(f"{SCRIPT} {archive}").stdout
    assert len(machine.host.exec(f"ls -A {BASE} | grep -v -e current -e lock").stdout.split()) == 1
    assert "core 2." in machine.host.exec(f"{BASE}/current/bin/ansible --version").stdout
    refused = machine.host.exec(f"{SCRIPT} /nowhere.tar", check=False)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)


async def test_a_play_by_the_agent_outlives_a_restart_of_the_agent(machine):
    assert (await machine.install()).code == 0
    machine.prepare()
    tool = "/opt/myx-deployment-tool"
    machine.host.exec(f"ln -s releases/test {tool}/myx/current")
    machine.host.write(f"{tool}/projects/demo/releases/0123/playbooks/demo.yml", PLAY)
    machine.host.exec(f"ln -s releases/0123 {tool}/projects/demo/current")
    order = {"project": "demo", "playbook": "demo.yml", "command_id": "play-1"}
    machine.call("execute_ansible", **order, extra_vars={"word": "{{ 7 * 7 }}"}, secret_vars={"pw": "tiger-cat"})
    until_sync(lambda: "TASK [Sleep]" in log(machine), 60)
    machine.host.exec("systemctl restart myx-agent")
    code, text = machine.finish("play-1")
    assert (code, "PLAY RECAP" in text) == (0, True)
    assert machine.host.exec("cat /root/demo").stdout == "{{ 7 * 7 }} Debian"
    events = machine.call("get_playbook_events", command_id="play-1", seq=0)["events"]
    assert events[-1]["hosts"]["localhost"]["changed"] == 1
    assert not machine.host.exec("ls /dev/shm | grep myx-play", check=False).stdout
    assert not machine.host.exec("grep -rl tiger-cat /var/lib/myx-agent /dev/shm /root", check=False).stdout


def log(machine):
    return machine.host.exec("cat /var/lib/myx-agent/spool/commands/play-1/log", check=False).stdout


ASKED = []


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index over a folder of wheels: asks for a password, as private ones do."""

    def do_GET(self):
        if self.headers.get("Authorization") != "Basic dXNlcjppbmRleC1wYXNz":
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic realm=index")
            self.end_headers()
            return
        ASKED.append(self.path)
        if self.path.startswith("/simple/"):
            name = self.path.split("/")[2].replace("-", "_")
            wheels = sorted(Path(self.directory).glob(f"{name}-*.whl"))
            body = "".join(f'<a href="/{path.name}">{path.name}</a>' for path in wheels).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def index(host_lab):
    handler = functools.partial(Index, directory=str(agent_bundle() / "wheels"))
    server = http.server.ThreadingHTTPServer((host_lab.gateway, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ASKED.clear()
    yield f"http://user:index-pass@{host_lab.gateway}:{server.server_port}/simple"
    server.shutdown()
    server.server_close()


async def test_a_host_may_use_its_own_package_index(machine, index):
    done = await machine.install(index=True, trusted={"myx_index_url": index})
    assert done.code == 0, done.text
    assert machine.version()
    assert any(path.endswith(".whl") for path in ASKED)
    assert not any("myx_agent" in path for path in ASKED if path.endswith(".whl"))
    archive = give_archive(machine, index=True)
    machine.host.exec(f"MYX_INDEX_URL={index} {SCRIPT} {archive}", timeout_s=120)
    assert "core 2." in machine.host.exec(f"{BASE}/current/bin/ansible --version").stdout
    assert not machine.host.exec("grep -rIl index-pass /opt /etc /var/lib/myx-agent", check=False).stdout
    assert "index-pass" not in done.text + json.dumps(done.events)
