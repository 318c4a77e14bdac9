"""What an agent says when it says whatever it likes: it is refused, left out or bounded, and nothing breaks."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import uuid4

import pytest

from myx_executor.adapters.agents import KitAgents, items_of
from myx_executor.domain.log import LogBytes
from myx_executor.domain.outcome import StreamHash
from myx_executor.usecases.deliver import Attempts
from myx_executor.usecases.deployments import agent_work, play_log
from myx_executor.usecases.deployments.ports import PlayEvent
from myx_executor.usecases.fetch import Fetch
from myx_executor.usecases.ports import OFFSET_BEYOND_END, AgentFailed
from myx_kit.agent_rpc import methods, wire
from myx_kit.agent_rpc.errors import AgentCallError

PAGE = {"new_offset": 3, "log_type": "stdout", "log_data": "YWJj", "is_final": False}


def test_a_page_is_understood() -> None:
    assert items_of(PAGE, 0) == [LogBytes(1, 0, b"abc")]


@pytest.mark.parametrize(
    "change",
    [
        {"new_offset": float("inf")},
        {"new_offset": float("nan")},
        {"new_offset": -1},
        {"new_offset": 1 << 64},
        {"new_offset": "3"},
        {"new_offset": True},
        {"gap": {"to": float("inf"), "reason": "x"}},
        {"gap": {"to": 1 << 63, "reason": "x"}},
        {"gap": 7},
        {"log_type": ["stdout"]},
        {"log_data": 7},
        {"is_final": True, "result": 7},
    ],
)
def test_a_page_that_cannot_be_is_a_failed_call(change) -> None:
    with pytest.raises(AgentFailed):
        items_of(PAGE | change, 0)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_no_database_keeps_are_not_json(number) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_answers(f'{{"jsonrpc":"2.0","id":0,"result":{{"a":[{number}]}}}}'.encode(), 1)
    with pytest.raises(wire.WireError):
        wire.decode_text(f'{{"type":"final","offset":0,"result":{{"a":{number}}}}}')


async def test_an_answer_without_a_state_forbids_nothing() -> None:
    class Client:
        async def batch(self, target, calls, **_):
            return [{}]

    class Endpoints:
        async def endpoint(self, server_id):
            return SimpleNamespace(quarantined=False, target=None)

    assert await KitAgents(Client(), Endpoints()).forbid("server", uuid4()) is False


@pytest.mark.parametrize("seq", [float("inf"), 1 << 40, -1, "1", True])
async def test_events_with_numbers_that_cannot_be_are_a_failed_call(seq) -> None:
    class Client:
        async def call(self, *_, **__):
            return {"events": [{"seq": seq}], "is_final": False}

    with pytest.raises(AgentCallError):
        await methods.get_playbook_events(Client(), None, "id", 0)


async def test_a_shorter_log_that_brings_nothing_is_not_asked_for_without_a_pause(monkeypatch) -> None:
    pauses = []

    class Enough(Exception):
        pass

    class Agents:
        def forget(self, server_id):
            pass

        @asynccontextmanager
        async def open_log(self, *_):
            raise AgentFailed(
                "rpc_error", "short", retryable=False, maybe_delivered=False, code=OFFSET_BEYOND_END, end=5
            )
            yield

        async def read_log(self, server_id, command_id, offset, *, wait_s, until_final=False):
            if len(pauses) >= 3:
                raise Enough
            if offset == 10:
                raise AgentFailed(
                    "rpc_error", "short", retryable=False, maybe_delivered=False, code=OFFSET_BEYOND_END, end=5
                )
            return []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def note(message: str) -> None:
        pass

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(Enough):
        await Fetch(Agents(), "server", uuid4(), Attempts(()), note=note, calm_s=1).run(SimpleNamespace(received=10))
    assert pauses == [0.5] * 3


class Run:
    """As far as the events of a play need one."""

    def __init__(self) -> None:
        self.stored = []
        self.recaps = 0
        self.log_is_whole = True
        self.server_id = "server"
        self.deployment = SimpleNamespace(id=uuid4())
        self.lease = SimpleNamespace(command=SimpleNamespace(fence=1))
        self.tools = SimpleNamespace(store=self, bells=SimpleNamespace(ring=lambda _: None), fleet=self)

    async def last_event(self, deployment_id):
        return 0

    async def add_events(self, deployment_id, fence, events):
        self.stored += events
        return True

    async def set_recap(self, recap):
        self.recaps += 1

    async def play_events(self, server_id, command_id, after, *, wait_s):
        await asyncio.sleep(0)
        return [PlayEvent(after + 1, {"type": "task"})], False


async def test_recaps_without_end_fill_nothing() -> None:
    run = Run()
    events = await play_log.PlayEvents.open(run, 0)
    first = play_log.MAX_EVENTS + 1
    await events.add([PlayEvent(number, {"type": "recap"}) for number in range(first, first + 1000)])
    assert len(run.stored) == play_log.MAX_LATE_RECAPS
    assert events.taken == first + 999


async def test_huge_events_are_left_out(monkeypatch) -> None:
    monkeypatch.setattr(play_log, "MAX_BYTES", 2000)
    monkeypatch.setattr(play_log, "MAX_EVENT_BYTES", 1000)
    run = Run()
    events = await play_log.PlayEvents.open(run, 0)
    await events.add([PlayEvent(1, {"a": "x" * 2000}), *(PlayEvent(n, {"a": "x" * 500}) for n in range(2, 10))])
    assert [number for number, _ in run.stored] == [2, 3, 4]


async def test_events_without_end_do_not_hold_a_play_that_is_over(monkeypatch) -> None:
    monkeypatch.setattr(agent_work, "_LAST_EVENTS_S", 0.05)
    async with asyncio.timeout(20):
        await agent_work._last_events(Run(), uuid4(), {"events_at": 0})


def test_of_a_recap_only_its_counts_are_kept() -> None:
    said = {"localhost": {"ok": 3, "failed": "x\0", "junk": "\0" * 1000}, "more": ["\0"]}
    end = agent_work.LogEnd(0, {"reason": "exited", "return_code": 0, "success": True, "recap": said})
    ended = agent_work._judge(Run(), end, SimpleNamespace(received=0, hash=StreamHash(), overdue=""))
    assert set(ended.recap) == {"localhost"}
    assert "junk" not in ended.recap["localhost"]
    recap = agent_work.recap_of(ended)
    assert (recap.ok, recap.failed) == (3, 0)
    end = agent_work.LogEnd(0, {"reason": "exited", "return_code": 0, "success": True, "recap": "\0"})
    assert agent_work._judge(Run(), end, SimpleNamespace(received=0, hash=StreamHash(), overdue="")).recap is None
