"""The bench of heartbeats in small: every phase ends, and finds what must hold at any size."""

import pytest

from bench.heartbeats import Plan, measure

PLAN = Plan(
    sizes=(100,),
    min_interval_s=0.5,
    max_interval_s=1.5,
    outage_s=3,
    takeover_agents=40,
    rival_hosts=0,
    more={
        # A doubt needs failures that last: so that some are under way when the first one ends.
        "MYX_HEARTBEAT_RETRY_BASE_DELAY_S": "0.1",
        "MYX_HEARTBEAT_SLOW_AFTER_S": "0.2",
        "MYX_HEARTBEAT_MEMBER_LEASE_S": "2",
        "MYX_HEARTBEAT_MEMBER_RENEW_S": "0.4",
    },
)


# Two clusters and every phase of the measurement: minutes on a busy machine.
@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_small_fleet_is_held_and_its_deaths_outages_and_takeovers_are_seen():
    result = await measure(PLAN)

    (size,) = result["sizes"]
    assert size["held"]["heartbeats"] >= 100
    assert size["held"]["connections"] == 100
    assert (size["deaths"]["dead"], size["deaths"]["living_said_dead"]) == (10, 0)
    assert size["outage"]["most_said_offline"] == 0
    assert 0 < result["takeover"]["orphans"] < 40
