"""Changes of an agent's place and of an agent that is away."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from tool_variants import good

from myx_testkit.bundle import agent_bundle
from myx_testkit.fleet import Fleet
from myx_testkit.hosts.host import Host
from myx_testkit.wait import until_sync


def test_an_agent_moves_to_a_new_port_and_path(fleet: Fleet, host: Host) -> None:
    name = fleet.enrol(host)
    port = fleet.agent(name)["rpc_port"]
    done = fleet.myx.cli("agent", "rotate", name, "--new-port", "--new-path", timeout_s=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fleet.agent(name)["rpc_port"] != port
    assert not host.is_open(port)
    assert fleet.run(name, "echo moved") == "moved\n"
    fleet.remove(name)


def test_an_agent_that_is_away_is_upgraded_over_ssh(fleet: Fleet, offer, host: Host, tmp_path: Path) -> None:
    name = fleet.enrol(host, repair_policy="off")
    host.exec("systemctl stop myx-agent")
    fleet.rest.post(f"/servers/{name}/check")
    until_sync(lambda: fleet.agent(name)["status"] == "offline", 60, interval_s=0.2, what="it is seen to be away")
    try:
        offer.put(good(tmp_path))
        final = fleet.succeed(name, "upgrade_agent")
    finally:
        offer.put(agent_bundle())
    assert final["method_used"] == "ssh"
    until_sync(lambda: fleet.agent(name)["version"] == "9.0.0", 70, interval_s=0.5, what="the new version is seen")
    assert fleet.run(name, "echo back") == "back\n"
    fleet.remove(name)


def test_an_agent_that_was_broken_is_repaired_by_itself(fleet: Fleet, host: Host) -> None:
    name = fleet.enrol(host)
    host.exec("rm -rf /opt/myx-agent/current/lib; systemctl kill --signal=KILL myx-agent")
    fleet.rest.post(f"/servers/{name}/check")

    def repairs():
        return fleet.rest.get(f"/deployments?server={name}&kind=repair_agent")["items"]

    until_sync(lambda: bool(repairs()), 90, interval_s=0.3, what="a repair was begun")
    final = fleet.wait(repairs()[0]["id"])
    assert final["status"] == "success", fleet.tell(final)
    assert final["requested_by"] == "system:repair"
    fleet.wait_online(name)
    assert fleet.run(name, "echo mended") == "mended\n"
    fleet.remove(name)
