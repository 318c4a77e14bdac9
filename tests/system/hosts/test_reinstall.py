"""An agent that is there, installed again over SSH: it is kept until the new one has proved itself."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tool_variants import broken

from myx_testkit.bundle import agent_bundle
from myx_testkit.fleet import Fleet
from myx_testkit.hosts.host import Host
from myx_testkit.rest import Refused


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
