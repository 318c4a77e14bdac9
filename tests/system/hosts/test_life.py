"""The life of a managed server through the whole product."""

import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tool_variants import good

from myx_testkit.apps import caddy_binary
from myx_testkit.bundle import agent_bundle
from myx_testkit.fleet import FINAL, Fleet
from myx_testkit.hosts.host import Host
from myx_testkit.wait import until_sync

PORT = 8088


def caddy(fleet: Fleet, server: str, body: str, *options: str):
    config = f":{PORT}\n{body}"
    return fleet.myx.cli(
        "deploy", "caddy", server, "--artifact", str(caddy_binary()), "-e", f"caddy_config={config}", *options
    )


def page(host: Host) -> str:
    with urllib.request.urlopen(f"http://{host.address}:{PORT}/", timeout=10) as answer:
        return str(answer.read().decode())


def current(host: Host) -> str:
    return host.exec("readlink /opt/myx-agent/current").stdout


def begin(fleet: Fleet, server: str, line: str) -> str:
    return str(fleet.rest.post("/commands", {"server": server, "command": "sh", "args": ["-c", line]})["id"])


def ended(fleet: Fleet, command_id: str):
    until_sync(lambda: fleet.rest.get(f"/commands/{command_id}")["status"] in FINAL, 90, interval_s=0.2)
    return fleet.rest.get(f"/commands/{command_id}")


def output(fleet: Fleet, command_id: str) -> str:
    return fleet.myx.cli("logs", command_id).stdout.decode()


def test_enrol_run_deploy_upgrade_uninstall(fleet: Fleet, offer, host: Host, tmp_path: Path) -> None:
    before = host.inventory()
    name = fleet.enrol(host)
    assert fleet.run(name, "id -un") == "root\n"

    done = caddy(fleet, name, 'respond "one"')
    assert done.returncode == 0, done.stdout + done.stderr
    assert page(host) == "one"
    assert caddy(fleet, name, 'respond "two"').returncode == 0
    assert page(host) == "two"
    pid = host.exec("systemctl show -P MainPID caddy || true").stdout
    done = caddy(fleet, name, "no_such_directive")
    assert done.returncode == 1
    assert b"no_such_directive" in done.stdout + done.stderr
    assert page(host) == "two"
    done = caddy(fleet, name, 'respond "two"', "--method", "ssh")
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"changed=0" in done.stdout
    assert host.exec("systemctl show -P MainPID caddy || true").stdout == pid

    command = begin(fleet, name, "for n in $(seq 25); do echo $n; sleep 1; done; exit 3")
    try:
        offer.put(good(tmp_path))
        upgraded = fleet.succeed(name, "upgrade_agent")
    finally:
        offer.put(agent_bundle())
    assert upgraded["details"]["target_version"] == "9.0.0"
    assert fleet.rest.get(f"/commands/{command}")["status"] == "running"
    final = ended(fleet, command)
    assert (final["exit_code"], final["log_completeness"]) == (3, "complete")
    assert output(fleet, command) == "".join(f"{n}\n" for n in range(1, 26))

    fleet.succeed(name, "rotate_agent")
    assert fleet.run(name, "echo after") == "after\n"

    done = fleet.myx.cli("deploy", "caddy", name, "-e", "caddy_action=remove", "-e", "caddy_purge=true")
    assert done.returncode == 0, done.stdout + done.stderr
    fleet.succeed(name, "uninstall_agent")
    # Caddy's user came and went: the files are written anew, and what they say is compared as accounts.
    rewritten = ("/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow", "/etc/subuid", "/etc/subgid")
    assert [line for line in before.differences(host.inventory()) if not line.startswith(rewritten)] == []
    fleet.remove(name)
