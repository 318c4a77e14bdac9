"""An agent whose log limit is reached: the log says so, and so does the verdict."""

import pytest
from executor_world import Agent

from myx.executor.v1 import command_pb2 as pb


@pytest.fixture
def narrow_agent(tmp_path_factory, registry):
    agent = Agent(tmp_path_factory.mktemp("narrow-agent"), command_log_bytes=100_000)
    agent.start()
    registry.put(agent.endpoint())
    yield agent
    agent.stop()


async def test_output_beyond_the_agents_limit_is_a_gap_and_makes_the_log_incomplete(client, narrow_agent):
    command = await client.shell(narrow_agent.name, "head -c 300000 /dev/zero; exit 3")
    log = await client.log(command.id)
    kept = len(log.data)
    assert 0 < kept <= 100_000
    assert [(start, end) for start, end, _ in log.gaps] == [(kept, 300_000)]
    assert log.final.exit_code == 3
    assert log.final.log_completeness == pb.LOG_COMPLETENESS_INCOMPLETE
    assert log.final.result.stdout.bytes == kept
    assert log.final.result.stdout.dropped == 300_000 - kept
    for offset in (kept - 1, kept, kept + 5, 299_999, 300_000):
        part = await client.log(command.id, offset)
        assert part.data == log.data[offset:]
        assert part.final == log.final


async def test_output_beyond_the_control_planes_limit_is_a_gap_and_the_end_is_still_followed(replica, agent):
    narrow = replica("narrow", command_log_bytes_max=1_000_000)
    async with narrow.client() as client:
        command = await client.shell(agent.name, "head -c 3000000 /dev/zero; sleep 0.5; echo last; exit 3")
        log = await client.log(command.id)
    assert 0 < len(log.data) <= 1_000_000
    assert [(start, end) for start, end, _ in log.gaps] == [(len(log.data), 3_000_005)]
    assert log.gaps[0][2] == "the limit of 1000000 bytes for one log was reached"
    assert (log.final.exit_code, log.final.log_completeness) == (3, pb.LOG_COMPLETENESS_INCOMPLETE)
