"""When an agent is repaired without being asked."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from myx_executor.usecases.deployments.ports import Diagnosis, ServerFacts
from myx_executor.usecases.deployments.self_repair import REPAIRER, SelfRepair

BROKEN = Diagnosis("refused", "nothing listens", agent_is_broken=True)


class World:
    """Store, registry, doctor and CreateDeployment in one."""

    def __init__(self):
        self.facts = ServerFacts(
            "s1", "web", "10.0.0.1", has_credential=True, agent_id="a1", agent_status="offline", agent_reason="refused"
        )
        self.diagnosis = BROKEN
        self.open = {}
        self.history = []
        self.created, self.skipped = [], []

    async def server(self, server):
        return self.facts

    async def offline_agents(self):
        yield "s1", "refused"

    async def open_work(self, server_id):
        return self.open

    async def repairs(self, server_id, requested_by, window_s):
        assert requested_by == REPAIRER
        return self.history

    async def diagnose(self, server_id):
        return self.diagnosis

    async def create(self, request):
        self.created.append(request)

    async def note_skipped(self, request, *, reason, message, cure):
        self.skipped.append((reason, message))


@pytest.fixture
def world():
    return World()


@pytest.fixture
def repair(world):
    return SelfRepair(world, world, world, world, sweep_interval_s=60)


async def test_a_broken_agent_is_repaired(world, repair):
    await repair.consider("s1", "refused")
    (request,) = world.created
    assert (request.kind, request.requested_by, request.request_id) == ("repair_agent", REPAIRER, "repair:s1:first")


@pytest.mark.parametrize("cause", ["name_unresolved", "no_route", "filtered", "clock_skew", "other_machine", ""])
async def test_never_for_what_an_install_cannot_cure(world, repair, cause):
    await repair.consider("s1", cause)
    assert not world.created


@pytest.mark.parametrize(
    "facts",
    [
        {"agent_status": "online"},
        {"repair_policy": "off"},
        {"running_command_ids": ("c1",)},
        {"paused": True},
        {"quarantined": True},
    ],
)
async def test_never_where_it_is_not_wanted_or_not_safe(world, repair, facts):
    world.facts = replace(world.facts, **facts)
    await repair.consider("s1", "refused")
    assert not world.created
    assert not world.skipped


@pytest.mark.parametrize("kind", ["command", "deployment"])
async def test_never_over_work_that_is_open(world, repair, kind):
    world.open = {kind: 1}
    await repair.consider("s1", "refused")
    assert not world.created


async def test_never_when_a_look_from_outside_finds_the_network_or_an_agent_that_answers(world, repair):
    for diagnosis in (Diagnosis("hung", "SSH does not answer either"), Diagnosis("", "it answers", answers=True)):
        world.diagnosis = diagnosis
        await repair.consider("s1", "refused")
    assert not world.created


async def test_where_the_policy_is_to_ask_it_is_only_said(world, repair):
    world.facts = replace(world.facts, repair_policy="ask")
    await repair.consider("s1", "refused")
    assert not world.created
    assert world.skipped[0][0] == "repair_needs_consent"


async def test_without_a_credential_it_is_only_said(world, repair):
    world.facts = replace(world.facts, has_credential=False)
    await repair.consider("s1", "refused")
    assert world.skipped[0][0] == "no_ssh_credential"


@pytest.mark.parametrize(("count", "pause_s"), [(1, 300), (2, 1800), (3, 7200), (4, 86_400), (9, 86_400)])
async def test_pauses_grow(world, repair, count, pause_s):
    last = uuid4()
    for age_s, repaired in ((pause_s - 60, False), (pause_s + 60, True)):
        at = datetime.now(UTC) - timedelta(seconds=age_s)
        world.history = [(last, at), *[(uuid4(), at)] * (count - 1)]
        await repair.consider("s1", "refused")
        assert bool(world.created) is repaired
    assert world.created[0].request_id == f"repair:s1:{last}"


async def test_an_event_is_looked_at_once(world, repair):
    repair.note("s1", "refused")
    repair.note("s2", "filtered")
    assert repair.wake.is_set()
    await repair.run_once()
    assert len(world.created) == 1
    await repair.run_once()
    assert len(world.created) == 1
