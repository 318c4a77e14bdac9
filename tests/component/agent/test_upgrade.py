"""get_upgrade and confirm_upgrade: the state file answers, the guard acts."""

import json
from pathlib import Path

import pytest

GUARD = """#!/bin/sh
# A stand-in of upgrade-guard: the state file is the one that the agent reads.
echo "$@" >> {folder}/asked
[ -e {folder}/broken ] && {{ echo "cannot lock" >&2; exit 3; }}
[ -e {folder}/hanging ] && exec sleep 600
state=confirmed
[ -e {folder}/late ] && state=reverted
printf '{{"upgrade_id": "%s", "state": "%s", "reason": "too late"}}' "$2" "$state" > {upgrades}/.new
mv {upgrades}/.new {upgrades}/$2.json
rm -f {upgrades}/pending
[ "$state" = confirmed ]
"""


class Host:
    """What an upgrade leaves on a host."""

    def __init__(self, agent):
        self.folder = agent.folder
        self.upgrades = Path(agent.configuration["upgrade_dir"])
        self.upgrades.mkdir()
        guard = Path(agent.configuration["releases_dir"]).parent / "bin" / "upgrade-guard"
        guard.parent.mkdir()
        guard.write_text(GUARD.format(folder=self.folder, upgrades=self.upgrades))
        guard.chmod(0o755)

    def state(self, state, *, pending=None):
        document = {"upgrade_id": "u1", "state": state, "from_release": "a", "to_release": "b", "reason": ""}
        (self.upgrades / "u1.json").write_text(json.dumps(document))
        if pending or (pending is None and state == "switched"):
            (self.upgrades / "pending").write_text("UPGRADE_ID=u1\nFROM=a\nTO=b\nDEADLINE=1\nBOOT_ID=x\n")
        return document

    @property
    def asked(self):
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def host(own, own_agent):
    return Host(own_agent)


async def refused(own, tools, method="confirm_upgrade"):
    with pytest.raises(tools.RpcFailure) as caught:
        await own(method, upgrade_id="u1")
    return caught.value


async def test_the_state_file_answers(own, host):
    document = host.state("reverted", pending=False)

    assert await own("get_upgrade", upgrade_id="u1") == document


@pytest.mark.parametrize("method", ["get_upgrade", "confirm_upgrade"])
async def test_an_unknown_upgrade_is_said(own, host, tools, method):
    refusal = await refused(own, tools, method)

    assert (refusal.code, refusal.reason) == (-32009, "UPGRADE_NOT_FOUND")


@pytest.mark.parametrize("name", ["", "../u1", "a/b", ".x"])
async def test_a_name_that_is_none_is_refused(own, host, tools, name):
    with pytest.raises(tools.RpcFailure) as caught:
        await own("get_upgrade", upgrade_id=name)

    assert (caught.value.code, caught.value.data["field"]) == (-32602, "upgrade_id")


async def test_a_switched_upgrade_is_confirmed_by_the_guard(own, host):
    host.state("switched")

    assert (await own("confirm_upgrade", upgrade_id="u1"))["state"] == "confirmed"
    assert host.asked == ["confirm u1"]
    assert (await own("confirm_upgrade", upgrade_id="u1"))["state"] == "confirmed"
    assert host.asked == ["confirm u1"]


async def test_the_switch_may_be_told_by_the_guards_own_file_first(own, host):
    host.state("preparing", pending=True)

    assert (await own("confirm_upgrade", upgrade_id="u1"))["state"] == "confirmed"


@pytest.mark.parametrize("state", ["preparing", "reverted", "failed"])
async def test_what_does_not_wait_cannot_be_confirmed(own, host, tools, state):
    document = host.state(state)
    refusal = await refused(own, tools)

    assert (refusal.code, refusal.reason, refusal.data["retryable"]) == (-32016, "UPGRADE_NOT_PENDING", False)
    assert refusal.data["state"] == document
    assert host.asked == []


async def test_a_confirmation_that_comes_too_late_is_said(own, host, tools):
    host.state("switched")
    (host.folder / "late").touch()
    refusal = await refused(own, tools)

    assert (refusal.reason, refusal.data["state"]["state"]) == ("UPGRADE_NOT_PENDING", "reverted")


async def test_a_guard_that_fails_is_asked_again_later(own, host, tools):
    host.state("switched")
    (host.folder / "broken").touch()
    refusal = await refused(own, tools)
    assert (refusal.code, refusal.reason, refusal.data["retryable"]) == (-32016, "UPGRADE_GUARD_FAILED", True)

    (host.folder / "broken").unlink()
    assert (await own("confirm_upgrade", upgrade_id="u1"))["state"] == "confirmed"


async def test_a_host_without_the_guard_says_so(own, host, own_agent, tools):
    host.state("switched")
    (own_agent.folder / "bin" / "upgrade-guard").unlink()
    refusal = await refused(own, tools)

    assert (refusal.reason, refusal.data["retryable"]) == ("UPGRADE_GUARD_FAILED", True)


async def test_a_state_file_that_cannot_be_read_is_an_error_to_try_again(own, host, tools):
    host.state("switched")
    (host.upgrades / "u1.json").write_text("{torn")
    refusal = await refused(own, tools, "get_upgrade")

    assert (refusal.code, refusal.data["retryable"]) == (-32016, True)


async def test_commands_do_not_suffer_from_the_guard(own, host):
    """The agent collects the guard's exit status beside those of orphaned commands."""
    host.state("switched")
    command_id = await own.start("sh", "-c", "sleep 0.3; exit 7")
    await own("confirm_upgrade", upgrade_id="u1")

    assert (await own.follow(command_id)).result["return_code"] == 7
