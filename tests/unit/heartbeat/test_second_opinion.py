"""A replica that gave its share up takes it again, whatever became of the agents that it did not reach."""

from dataclasses import replace

import pytest

from myx_heartbeat.domain import Member, Outcome, Sighting, Status
from myx_heartbeat.usecases.doubt import Doubt
from myx_heartbeat.usecases.second_opinion import SecondOpinion


class Peers:
    """Reaches all agents."""

    async def probe(self, member, agent_ids):
        return Sighting(dict.fromkeys(agent_ids, ""), doubts_itself=False)


class Share:
    is_suspended = False

    def __init__(self, others):
        self.others = others


@pytest.fixture
def agents(endpoint):
    return {f"id-host-{number}": endpoint(f"host-{number}") for number in range(8)}


@pytest.fixture
async def suspended(agents, report, clock):
    """The opinion, the share and the endpoints that were probed."""
    doubt = Doubt(clock, max_s=300, calm_s=120, recent_s=60)
    for agent_id in agents:
        doubt.slow(agent_id)
    for one in agents.values():
        doubt.consider(report(one.server_name, "filtered"), before=Status.ONLINE)
    now = report("x").checked_at
    share, probed = Share([Member("other", "127.0.0.1:1", now, now, 0)]), []

    async def probe(endpoint, *, retry):
        probed.append(endpoint)
        return Outcome() if endpoint.rpc_port == 7 else Outcome(cause="pin_mismatch")

    async def never(endpoint):
        return False

    opinion = SecondOpinion(
        doubt, share, Peers(), probe, endpoint_of=agents.get, ssh_answers=never, on_confirmed=lambda reports: None
    )
    await opinion.run_once()
    assert share.is_suspended
    return opinion, share, probed


async def test_agents_are_tried_where_they_are_now(suspended, agents):
    opinion, share, probed = suspended
    await opinion.run_once()
    assert share.is_suspended
    agents.update({agent_id: replace(one, rpc_port=7) for agent_id, one in agents.items()})
    await opinion.run_once()
    assert not share.is_suspended
    assert probed[-1].rpc_port == 7


async def test_agents_that_are_gone_keep_no_replica_away(suspended, agents):
    opinion, share, _ = suspended
    agents.clear()
    await opinion.run_once()
    assert not share.is_suspended
