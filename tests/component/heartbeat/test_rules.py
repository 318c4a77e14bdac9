"""The seed's rules (3.2) between a real agent, worse ones, and a registry."""

import socket
from contextlib import ExitStack
from itertools import pairwise

import pytest

from myx.registry.v1.agent_pb2 import (
    AGENT_STATUS_OFFLINE,
    AGENT_STATUS_ONLINE,
    AGENT_STATUS_PENDING,
    AGENT_STATUS_UNKNOWN,
)
from myx_testkit.ports import free_port
from myx_testkit.wait import until


async def test_a_living_agent_is_online_with_its_facts_again_and_again(registry, start, module_agent):
    registry.add("local", module_agent, status=AGENT_STATUS_PENDING)
    await start()

    await until(lambda: len(registry.of("local")) >= 3)

    first = registry.of("local")[0]
    assert (first.status, first.cause) == (AGENT_STATUS_ONLINE, "")
    assert first.version
    assert first.facts.hostname == socket.gethostname()
    assert first.facts.memory_total_bytes > first.facts.memory_available_bytes > 0
    assert 0 < first.latency.ToTimedelta().total_seconds() < 2
    assert [one.cause for one in first.attempts] == [""]
    times = [one.checked_at.ToDatetime() for one in registry.of("local")]
    assert times == sorted(set(times))


async def test_an_agent_that_cannot_be_reached_is_offline_after_all_tries(registry, start):
    registry.add("dead", rpc_port=free_port())
    await start()

    await until(lambda: len(registry.of("dead")) >= 2)

    report = registry.of("dead")[0]
    assert (report.status, report.cause) == (AGENT_STATUS_OFFLINE, "refused")
    assert report.message
    assert [one.cause for one in report.attempts] == ["refused"] * 4
    assert [one.wait.ToMilliseconds() for one in report.attempts] == [10, 20, 40, 0]


async def test_a_refused_token_is_offline_at_once(registry, start, module_agent):
    registry.add("local", module_agent, agent_token="another-token-than-its-own")
    await start(min_interval_s=60, max_interval_s=60)

    await until(lambda: registry.of("local"))

    report = registry.of("local")[0]
    assert (report.status, report.cause, len(report.attempts)) == (AGENT_STATUS_OFFLINE, "unauthorized", 1)


async def test_an_agent_that_was_rotated_before_we_heard_of_it_stays_online(registry, start, module_agent):
    endpoint = registry.add("rotated", module_agent, agent_token="its-token-before-that")

    def rotate():
        endpoint.agent_token = module_agent.agent_token

    registry.on_listed = rotate
    await start(refresh_interval_s=3600)

    await until(lambda: len(registry.of("rotated")) >= 2)
    assert set(registry.statuses("rotated")) == {AGENT_STATUS_ONLINE}


@pytest.mark.parametrize(
    ("answer", "status", "cause", "calls"),
    [
        ((400,), AGENT_STATUS_OFFLINE, "bad_request", 1),
        ((404,), AGENT_STATUS_OFFLINE, "wrong_path", 1),
        ((401, b'{"error":"clock_skew","time":1}', "application/json"), AGENT_STATUS_UNKNOWN, "clock_skew", 1),
        ((503,), AGENT_STATUS_OFFLINE, "server_error", 4),
        ((200, b"[]"), AGENT_STATUS_OFFLINE, "rpc_error", 1),
    ],
)
async def test_an_answer_decides(registry, start, poor_agent, answer, status, cause, calls):
    agent = await poor_agent(*answer)
    registry.add("poor", rpc_port=agent.rpc_port, certificate_sha256=agent.certificate_sha256)
    await start(min_interval_s=60, max_interval_s=60)

    await until(lambda: registry.of("poor"))

    report = registry.of("poor")[0]
    assert (report.status, report.cause, agent.calls) == (status, cause, calls)


async def test_an_agent_that_dies_goes_offline_and_comes_back(registry, start, real_agent):
    registry.add("local", real_agent)
    await start()
    await until(lambda: registry.statuses("local")[-1:] == [AGENT_STATUS_ONLINE])

    real_agent.kill9()
    await until(lambda: registry.statuses("local")[-1:] == [AGENT_STATUS_OFFLINE])
    real_agent.restart()

    await until(lambda: registry.statuses("local")[-1:] == [AGENT_STATUS_ONLINE])


@pytest.mark.parametrize("believed", [AGENT_STATUS_OFFLINE, AGENT_STATUS_ONLINE])
async def test_dead_agents_do_not_delay_the_living(registry, start, module_agent, believed):
    with ExitStack() as sockets:
        for number in range(30):
            hanging = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
            registry.add(f"dead-{number}", rpc_port=hanging.getsockname()[1], status=believed)
        registry.add("living", module_agent)
        slots = 8 if believed == AGENT_STATUS_OFFLINE else 40
        await start(concurrency=slots, slow_after_s=0.05, rpc_timeout_s=1, retry_max_attempts=0)

        await until(lambda: len(registry.of("living")) >= 8, 60)
        await until(lambda: any(try_.cause == "hung" for one in registry.reports for try_ in one.attempts), 60)

    times = [one.checked_at.ToDatetime() for one in registry.of("living")]
    assert max((later - one).total_seconds() for one, later in pairwise(times)) < 2


async def test_a_new_agent_is_found_online_soon_after_it_starts(registry, start, real_agent):
    real_agent.kill9()
    registry.add("new", real_agent, status=AGENT_STATUS_PENDING)
    heartbeat = await start(min_interval_s=60, max_interval_s=60)
    await until(lambda: heartbeat and registry.list_calls >= 2)
    assert registry.of("new") == []

    real_agent.restart()

    await until(lambda: registry.statuses("new") == [AGENT_STATUS_ONLINE])


async def test_a_new_agent_that_never_starts_is_offline_when_its_time_is_over(registry, start):
    registry.add("new", rpc_port=free_port(), status=AGENT_STATUS_PENDING)
    await start(startup_wait_s=0.3)

    await until(lambda: registry.of("new"))

    report = registry.of("new")[0]
    assert (report.status, report.cause) == (AGENT_STATUS_OFFLINE, "refused")
