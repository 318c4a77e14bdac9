"""Which agents are looked at for repair, and when; what comes of it is in the component tests."""

from dataclasses import replace

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
        self.created = []

    async def server(self, server):
        return self.facts

    async def offline_agents(self):
        yield "s1", "refused"

    async def under_way(self, server_id):
        return set()

    async def repairs(self, server_id, requested_by):
        return []

    async def failed_release(self, server_id):
        return ""

    async def diagnose(self, server_id):
        return self.diagnosis

    async def create(self, request):
        self.created.append(request)


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


@pytest.mark.parametrize("facts", [{"agent_status": "online"}, {"paused": True}, {"quarantined": True}])
async def test_never_where_it_is_not_wanted_or_not_safe(world, repair, facts):
    world.facts = replace(world.facts, **facts)
    await repair.consider("s1", "refused")
    assert not world.created


async def test_never_when_a_look_from_outside_finds_the_network_or_an_agent_that_answers(world, repair):
    for diagnosis in (Diagnosis("hung", "SSH does not answer either"), Diagnosis("", "it answers", answers=True)):
        world.diagnosis = diagnosis
        await repair.consider("s1", "refused")
    assert not world.created


async def test_an_event_is_looked_at_once(world, repair):
    repair.note("s1", "refused")
    repair.note("s2", "filtered")
    assert repair.wake.is_set()
    await repair.run_once()
    assert len(world.created) == 1
    await repair.run_once()
    assert len(world.created) == 1
