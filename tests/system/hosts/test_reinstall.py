"""An agent that is there, installed again over SSH: it is kept until the new one has proved itself."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tool_variants import broken

from myx_testkit.bundle import agent_bundle
from myx_testkit.fleet import Fleet
from myx_testkit.hosts.host import Host
from myx_testkit.rest import Refused
from myx_testkit.wait import until_sync


def test_an_agent_that_only_its_own_host_believes_in_goes_back(fleet: Fleet, offer, host: Host, tmp_path: Path) -> None:
    name = fleet.enrol(host)
    release = host.exec("readlink /opt/myx-agent/current").stdout
    try:
        offer.put(broken(tmp_path, "no-streams"))
        final = fleet.deploy(name, "upgrade_agent", method="ssh")
        assert (final["status"], final["reason"]) == ("failed", "upgrade_reverted"), fleet.tell(final)
        assert "0.1.0 is back" in final["message"]
        assert final["details"]["upgrade_state"] == "reverted"
        assert host.exec("readlink /opt/myx-agent/current").stdout == release
        with pytest.raises(Refused) as error:
            fleet.start(name, "upgrade_agent", method="ssh")
        assert error.value.reason == "VERSION_FAILED_BEFORE"
    finally:
        offer.put(agent_bundle())
    fleet.wait_online(name)
    assert fleet.run(name, "echo sound") == "sound\n"
    fleet.remove(name)


def moved(fleet: Fleet, deployment: dict[str, Any]) -> dict[str, Any]:
    """The end of a deployment that was retried."""
    return fleet.wait(str(fleet.rest.post(f"/deployments/{deployment['id']}/retry", {})["id"]))


def test_an_agent_stays_reached_when_its_new_port_is_not(fleet: Fleet, offer, host: Host, tmp_path: Path) -> None:
    """Blocked, then held by another program, before the host is touched; put back by the host; then it moves, by the
    release that it has. The port that is kept for it stays the same but where a program holds it."""
    name = fleet.enrol(host)
    port = fleet.agent(name)["rpc_port"]
    host.block_all_but(22, port)
    blocked = fleet.deploy(name, "install_agent", new_port=True, new_path=True)
    assert (blocked["status"], blocked["reason"]) == ("failed", "port_blocked"), fleet.tell(blocked)
    kept = int(blocked["details"]["rpc_port"])
    assert kept != port
    assert fleet.agent(name)["rpc_port"] == port
    assert fleet.run(name, "echo here") == "here\n"

    host.unblock_ports()
    host.exec(f"systemd-run --unit=holder python3 -m http.server {kept}")
    until_sync(lambda: host.is_open(kept), what="a program of the host holds the port")
    taken = moved(fleet, blocked)
    assert (taken["status"], taken["reason"]) == ("failed", "port_taken"), fleet.tell(taken)

    try:
        offer.put(broken(tmp_path, "no-streams"))
        undone = moved(fleet, taken)
    finally:
        offer.put(agent_bundle())
    assert (undone["status"], undone["reason"]) == ("failed", "upgrade_reverted"), fleet.tell(undone)
    assert int(undone["details"]["rpc_port"]) not in (port, kept)
    assert fleet.agent(name)["rpc_port"] == port
    assert fleet.run(name, "echo here") == "here\n"

    there = moved(fleet, undone)
    assert there["status"] == "success", fleet.tell(there)
    assert str(fleet.agent(name)["rpc_port"]) == undone["details"]["rpc_port"]
    assert fleet.run(name, "echo moved") == "moved\n"
    assert not host.is_open(port)
    fleet.remove(name)
