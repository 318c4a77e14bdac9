"""What a replica says to another one that doubts itself, and whether it can be believed."""

import pytest

from myx_heartbeat.domain import Outcome, Status
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.probe_agents import MAX_PROBES, ProbeAgents
from myx_kit.errors import InvalidArgument


@pytest.fixture
def doubt(clock):
    return Doubt(clock, max_s=300, calm_s=120, recent_s=60)


@pytest.fixture
def ask(fleet, doubt, endpoint):
    """Asks for two agents of another replica, with so many of our own that answer, and that do not."""

    async def run(answering: int, silent: int, status: Status = Status.ONLINE):
        own = [endpoint(f"own-{number}", status) for number in range(answering + silent)]
        fleet.replace(own, lambda agent_id: False)
        others = {f"id-other-{number}": endpoint(f"other-{number}") for number in range(2)}
        silent_ids = {one.agent_id for one in own[answering:]} | {"id-other-1"}

        async def probe(asked, *, retry):
            assert not retry
            return Outcome(cause="filtered" if asked.agent_id in silent_ids else "")

        return await ProbeAgents(others.get, fleet, doubt, probe)([*others, "id-nobody"])

    return run


async def test_agents_that_are_known_are_tried(ask):
    seen = await ask(answering=2, silent=0)
    assert seen.causes == {"id-other-0": "", "id-other-1": "filtered"}


@pytest.mark.parametrize(("answering", "silent"), [(2, 0), (4, 1), (8, 2), (100, 0)])
async def test_who_reaches_its_own_agents_does_not_doubt_itself(ask, answering, silent):
    assert not (await ask(answering, silent)).doubts_itself


@pytest.mark.parametrize(("answering", "silent"), [(0, 10), (7, 3), (3, 1), (0, 100)])
async def test_who_does_not_reach_its_own_agents_doubts_itself_before_it_suspects_anything(
    ask, doubt, answering, silent
):
    assert (await ask(answering, silent)).doubts_itself
    assert doubt.suspicion is None


@pytest.mark.parametrize("answering", [0, 1])
async def test_too_few_agents_of_its_own_prove_nothing(ask, answering):
    assert (await ask(answering, silent=0)).doubts_itself


async def test_agents_that_were_dead_before_are_not_asked(ask):
    assert (await ask(answering=9, silent=0, status=Status.OFFLINE)).doubts_itself


async def test_who_suspects_itself_says_so(ask, doubt, report):
    for number in range(3):
        doubt.slow(f"id-own-{number}")
    doubt.consider(report("own-0", "filtered"), before=Status.ONLINE)
    assert doubt.suspicion is not None
    assert (await ask(answering=10, silent=0)).doubts_itself


async def test_too_many_at_once_are_refused(fleet, doubt):
    with pytest.raises(InvalidArgument):
        await ProbeAgents({}.get, fleet, doubt, None)(["an-agent"] * (MAX_PROBES + 1))
