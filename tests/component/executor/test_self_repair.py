"""When an agent is repaired without being asked: with the real store and what accepts deployments."""

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import pytest_asyncio
from executor_logs import DAY, World
from executor_tool import SHIPPED, make_bundle

from myx_executor.adapters.bundle import AgentBundle
from myx_executor.adapters.deployables import Bundle, ShippedTool
from myx_executor.adapters.tool import DeploymentTool
from myx_executor.store.commands import CommandStore
from myx_executor.store.deployments import DeploymentStore
from myx_executor.store.files import FileStore
from myx_executor.usecases.deployments.create import CreateDeployment
from myx_executor.usecases.deployments.ports import Diagnosis, ServerFacts
from myx_executor.usecases.deployments.run import Times
from myx_executor.usecases.deployments.self_repair import REPAIRER, SelfRepair
from myx_executor.usecases.runner import Runner
from myx_kit.ids import new_id
from myx_kit.secretbox import SecretBox

MINUTE = timedelta(minutes=1)
BROKEN = Diagnosis("refused", "nothing listens", agent_is_broken=True)


@dataclass
class Outside:
    """What registry and doctor say of server `s`."""

    facts: ServerFacts
    diagnosed: int = 0
    leases: list[str] = field(default_factory=list)

    async def server(self, server):
        return self.facts

    async def acquire_maintenance(self, server_id, holder, kind, actor, ttl_s):
        self.leases.append(holder)

    async def diagnose(self, server_id):
        self.diagnosed += 1
        return BROKEN


class Repairs:
    """SelfRepair on a database; its deployments wait, because the replica has no room."""

    def __init__(self, world, outside, repair, release):
        self.release = release
        self._world = world
        self._outside = outside
        self._repair = repair

    def server_is(self, **facts):
        self._outside.facts = replace(self._outside.facts, **facts)

    def goes_offline(self):
        """Anew: what was noted is of an outage before."""
        self.server_is(agent_since=datetime.now(UTC))

    async def look(self):
        """How many deployments it has made now, and how often the host was looked at for it."""
        before = len(self.made()), self._outside.diagnosed
        await self._repair.consider("s", "refused")
        return len(self.made()) - before[0], self._outside.diagnosed - before[1]

    def made(self):
        """Status and reason of what it has made, in order."""
        return self._world.execute(
            "select status, reason from executor.command where requested_by = %s order by id", [REPAIRER]
        )

    def last(self):
        """Message and cure of what it has made last."""
        (row,) = self._world.execute(
            "select c.message, d.cure from executor.command c join executor.deployment d on d.id = c.id"
            " where c.requested_by = %s order by c.id desc limit 1",
            [REPAIRER],
        )
        return row

    def ends(self, status="failed"):
        """All of it that has not ended."""
        self._world.execute(
            "update executor.command set status = %s, ended_at = now() where requested_by = %s and status = 'pending'",
            [status, REPAIRER],
        )

    def ages(self, by):
        """Time goes by for all that it has made, and for the agent."""
        self._world.execute(
            "update executor.command set created_at = created_at - %s where requested_by = %s", [by, REPAIRER]
        )
        self.server_is(agent_since=self._outside.facts.agent_since - by)

    def deployment(self, kind, status, **columns):
        """One of server `s` that somebody else asked for."""
        made = self._world.command(datetime.now(UTC), status=status, kind="deployment")
        values = {"kind": kind, **columns}
        changes = ", ".join(f"{name} = %({name})s" for name in values)
        self._world.execute(f"update executor.deployment set {changes} where id = %(id)s", {**values, "id": made})
        return made

    def command(self, status):
        return self._world.command(datetime.now(UTC), status=status)

    def is_lost(self, command):
        self._world.execute("update executor.command set status = 'lost' where id = %s", [command])


@pytest_asyncio.fixture
async def repairs(module_postgres, tmp_path):
    bundle = tmp_path / "bundle"
    release = make_bundle(bundle)
    SecretBox.create_file(tmp_path / "master.json")
    facts = {"has_credential": True, "agent_id": "a", "agent_status": "offline", "agent_since": datetime.now(UTC)}
    outside = Outside(ServerFacts("s", "web", "10.0.0.1", **facts))
    async with World(module_postgres) as world:
        await world.as_new()
        store = DeploymentStore(world.pool)
        tools = SimpleNamespace(
            store=store,
            files=FileStore(world.pool),
            registry=outside,
            bundles=Bundle(AgentBundle(bundle, tmp_path), index=False),
            tool=ShippedTool(DeploymentTool(SHIPPED, tmp_path), SHIPPED),
            base=SimpleNamespace(box=SecretBox.from_file(tmp_path / "master.json")),
            times=Times(),
        )
        runner = Runner("nobody", CommandStore(world.pool), lambda *_: None, max_active=0, lease_s=10)
        create = CreateDeployment(tools, runner, default_timeout_s=60, on_waiting=nothing)
        yield Repairs(world, outside, SelfRepair(store, outside, outside, create, sweep_interval_s=60), release)


async def nothing():
    return None


async def test_a_broken_agent_is_repaired_and_again_when_it_breaks_days_later(repairs):
    assert await repairs.look() == (1, 1)
    assert await repairs.look() == (0, 0)
    for number in (2, 3):
        repairs.ends("success")
        repairs.ages(3 * DAY)
        repairs.goes_offline()
        assert await repairs.look() == (1, 1)
        assert len(repairs.made()) == number


async def test_pauses_grow_to_a_day(repairs):
    for pause in (timedelta(0), 5 * MINUTE, 30 * MINUTE, 120 * MINUTE, *6 * [DAY]):
        if pause:
            repairs.ages(pause - MINUTE)
            assert await repairs.look() == (0, 0), pause
            repairs.ages(2 * MINUTE)
        assert await repairs.look() == (1, 1), pause
        repairs.ends()


async def test_what_was_only_noted_is_no_repair_to_pause_after(repairs):
    repairs.server_is(repair_policy="ask")
    assert await repairs.look() == (1, 1)
    repairs.server_is(repair_policy="automatic")
    assert await repairs.look() == (1, 1)
    assert repairs.made() == [("skipped", "repair_needs_consent"), ("pending", "")]


async def test_nothing_is_done_where_repair_is_off(repairs):
    repairs.server_is(repair_policy="off")
    assert await repairs.look() == (0, 0)


async def test_where_the_policy_is_to_ask_each_outage_is_noted_once(repairs):
    repairs.server_is(repair_policy="ask")
    assert await repairs.look() == (1, 1)
    for _ in range(3):
        repairs.ages(DAY)
        assert await repairs.look() == (0, 0)
    repairs.goes_offline()
    assert await repairs.look() == (1, 1)
    assert repairs.made() == 2 * [("skipped", "repair_needs_consent")]
    message, cure = repairs.last()
    assert message.endswith("is not repaired by itself: the server's policy is to ask")
    assert "start a repair" in cure


async def test_an_agent_that_comes_and_goes_is_noted_with_pauses(repairs):
    repairs.server_is(repair_policy="ask")
    assert await repairs.look() == (1, 1)
    repairs.goes_offline()
    assert await repairs.look() == (0, 0)


async def test_without_a_credential_it_is_only_said(repairs):
    repairs.server_is(has_credential=False)
    assert await repairs.look() == (1, 1)
    assert repairs.made() == [("skipped", "no_ssh_credential")]


@pytest.mark.parametrize("status", ["running", "cancelling"])
async def test_commands_that_run_keep_it_off_which_is_noted_until_they_end(repairs, status):
    command = repairs.command(status)
    assert await repairs.look() == (1, 1)
    assert await repairs.look() == (0, 0)
    assert repairs.made() == [("skipped", "commands_running")]
    assert "repair with force" in repairs.last()[1]
    repairs.is_lost(command)
    assert await repairs.look() == (1, 1)
    assert repairs.made()[1] == ("pending", "")


@pytest.mark.parametrize("status", ["pending", "queued"])
async def test_what_waits_for_the_agent_does_not_keep_it_from_being_repaired(repairs, status):
    repairs.command(status)
    repairs.deployment("playbook", status)
    assert await repairs.look() == (1, 1)
    assert repairs.made() == [("pending", "")]


async def test_a_deployment_that_has_begun_keeps_it_off(repairs):
    repairs.deployment("xray", "running")
    assert await repairs.look() == (1, 1)
    assert repairs.made() == [("skipped", "deployment_running")]


@pytest.mark.parametrize("status", ["pending", "running"])
async def test_a_change_of_the_agent_that_is_under_way_is_waited_for_without_a_word(repairs, status):
    repairs.deployment("install_agent", status)
    assert await repairs.look() == (0, 0)


async def test_commands_that_the_agent_told_of_count_until_their_end_is_known(repairs):
    ended, call = repairs.command("success"), new_id()
    repairs.deployment("playbook", "failed", state=json.dumps({"calls": {"play": {"id": str(call)}}}))
    unknown = new_id()
    repairs.server_is(running_command_ids=(str(ended), str(call), str(unknown)))
    assert await repairs.look() == (1, 1)
    assert repairs.made() == [("skipped", "commands_running")]
    repairs.server_is(running_command_ids=(str(ended), str(call), "not an id"))
    assert await repairs.look() == (1, 1)
    assert repairs.made()[1] == ("pending", "")


async def test_a_release_that_failed_there_is_not_installed_unasked(repairs):
    told = {"target_release": repairs.release, "upgrade_state": "reverted"}
    repairs.deployment("upgrade_agent", "failed", details=json.dumps(told))
    assert await repairs.look() == (1, 1)
    assert await repairs.look() == (0, 0)
    assert repairs.made() == [("skipped", "version_failed_before")]
    message, cure = repairs.last()
    assert f"{repairs.release} did not work there before" in message
    assert "start a repair" in cure
    # Somebody does, and it works; what a repair fails for later is not the release.
    repairs.deployment("repair_agent", "success", details=json.dumps({"target_release": repairs.release}))
    repairs.deployment("repair_agent", "failed", details=json.dumps(told))
    assert await repairs.look() == (1, 1)
    assert repairs.made()[1] == ("pending", "")


async def test_a_bundle_that_is_not_there_is_told(repairs, tmp_path):
    (tmp_path / "bundle" / "manifest.json").unlink()
    assert await repairs.look() == (1, 1)
    assert repairs.made() == [("skipped", "no_agent_bundle")]
    assert "make agent-bundle" in repairs.last()[0]


async def test_another_release_than_the_one_that_failed_is_installed(repairs):
    told = {"target_release": "8.0.0-" + 12 * "b", "upgrade_state": "reverted"}
    repairs.deployment("upgrade_agent", "failed", details=json.dumps(told))
    assert await repairs.look() == (1, 1)
    assert repairs.made() == [("pending", "")]
