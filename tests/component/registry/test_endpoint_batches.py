"""Connection data of many agents in one call."""

import pytest

from myx.registry.v1 import agent_service_pb2 as pb
from myx_kit.errors import InvalidArgument

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(registry, *servers: str) -> list[pb.AgentEndpointAnswer]:
    request = pb.BatchGetAgentEndpointsRequest(servers=servers)
    return list((await registry.client("executor").agents.BatchGetAgentEndpoints(request)).answers)


async def test_each_is_answered_in_its_place_by_id_or_name(registry) -> None:
    one, other, without = [await registry.create() for _ in range(3)]
    for server in (one, other):
        await registry.allocate(server.id)

    asked = (other.name, one.id, "no-such-server", without.id, other.name, "NOT A NAME", without.name)
    found = await ask(registry, *asked)

    first, second = await registry.endpoint(one.id), await registry.endpoint(other.id)
    assert [answer.endpoint for answer in found[:2]] == [second, first]
    assert found[4].endpoint == second
    assert [answer.reason for answer in found] == [
        "",
        "",
        "SERVER_NOT_FOUND",
        "AGENT_NOT_FOUND",
        "",
        "SERVER_NOT_FOUND",
        "AGENT_NOT_FOUND",
    ]


@pytest.mark.parametrize("count", [0, 501])
async def test_none_and_too_many_are_refused(registry, count: int) -> None:
    with pytest.raises(InvalidArgument, match="servers must hold 1 to 500"):
        await ask(registry, *["x"] * count)
