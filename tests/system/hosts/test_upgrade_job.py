"""The fleet's agents upgraded by one job: a canary first, and a bad version stops there."""

import secrets
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tool_variants import broken, good

from myx_testkit.bundle import agent_bundle
from myx_testkit.fleet import Fleet
from myx_testkit.hosts.lab import HostLab
from myx_testkit.wait import until_sync

JOB_WITHIN_S = 300
OLD, NEW = "0.1.0", "9.0.0"


@pytest.fixture(scope="module")
def group(fleet: Fleet, host_lab: HostLab):
    """Two hosts with an agent under one label; its selector and the servers' names."""
    label = f"wave-{secrets.token_hex(3)}"
    with host_lab.host() as one, host_lab.host() as two:
        names = [fleet.enrol(host, labels={"group": label}) for host in (one, two)]
        yield f"group={label}", names
        for name in names:
            fleet.remove(name)


def upgrade(fleet: Fleet, selector: str) -> dict[str, Any]:
    """Upgrade what the selector matches, one and then the rest, no failure allowed; the job at its end."""
    options = {"batches": ["1", "100%"], "max_failed": "0"}
    body = {"selector": selector, "work": {"deployment": {"kind": "upgrade_agent"}}, "options": options}
    job_id = fleet.rest.post("/jobs", body)["id"]

    def job() -> dict[str, Any]:
        found: dict[str, Any] = fleet.rest.get(f"/jobs/{job_id}")
        return found

    until_sync(lambda: job()["ended_at"] is not None, JOB_WITHIN_S, interval_s=0.3, what="the job ends")
    return job()


def targets(fleet: Fleet, job: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = fleet.rest.get(f"/jobs/{job['id']}/targets")["items"]
    return found


def states(fleet: Fleet, job: dict[str, Any]) -> list[str]:
    return sorted(target["status"] for target in targets(fleet, job))


def failures(fleet: Fleet, job: dict[str, Any]) -> str:
    """All there is to say of what failed, for the message of a failed test."""
    failed = [target for target in targets(fleet, job) if target["status"] != "success"]
    return "\n".join(fleet.tell(fleet.get(target["command_id"])) for target in failed if target["command_id"])


def test_a_bad_version_stops_at_the_canary_and_leaves_the_old_agents(
    fleet: Fleet, offer, group, tmp_path: Path
) -> None:
    selector, names = group
    try:
        offer.put(broken(tmp_path, "no-commands"))
        job = upgrade(fleet, selector)
    finally:
        offer.put(agent_bundle())
    assert job["status"] == "stopped"
    assert states(fleet, job) == ["failed", "not_started"]
    for name in names:
        fleet.wait_online(name)
        until_sync(lambda name=name: fleet.agent(name)["version"] == OLD, 70, interval_s=0.5)
        assert fleet.run(name, "echo sound") == "sound\n"


def test_a_good_version_reaches_all_and_what_runs_goes_on(fleet: Fleet, offer, group, tmp_path: Path) -> None:
    selector, names = group
    line = ["-c", "for n in $(seq 40); do echo $n; sleep 1; done; exit 3"]
    running = [fleet.rest.post("/commands", {"server": name, "command": "sh", "args": line})["id"] for name in names]
    try:
        offer.put(good(tmp_path))
        job = upgrade(fleet, selector)
    finally:
        offer.put(agent_bundle())
    assert (job["status"], states(fleet, job)) == ("success", ["success", "success"]), failures(fleet, job)
    for name, command in zip(names, running, strict=True):
        until_sync(lambda name=name: fleet.agent(name)["version"] == NEW, 70, interval_s=0.5)
        done = fleet.myx.cli("logs", "-f", command)
        assert (done.returncode, done.stdout.decode().split()) == (3, [str(n) for n in range(1, 41)])
