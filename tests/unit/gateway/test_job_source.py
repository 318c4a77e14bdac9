"""Positions of clients of a job's stream, and a source that keeps them whatever breaks."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from myx.executor.v1 import command_pb2, job_pb2
from myx.executor.v1 import job_service_pb2 as executor
from myx_gateway.streams.jobs import JobSource, Position, parse_offsets, parse_position
from myx_kit.errors import InvalidArgument, MyxError, NotFound, Unavailable

AWAY = Unavailable("SERVICE_UNAVAILABLE", "away")


def test_a_position_comes_back_as_it_was_told() -> None:
    for position in (Position(), Position(7), Position(7, {1: 5, 20: 0})):
        assert parse_position(position.text(), "Last-Event-ID") == position


def test_a_position_too_long_for_a_header_is_told_without_its_offsets() -> None:
    assert Position(7, dict.fromkeys(range(1, 10_000), 12_345)).text() == "7"


@pytest.mark.parametrize("text", ["", "-1", "x", "1;", "1;0:1", "1;1:-1", "1;1", "9" * 19, "1;1:" + "9" * 19, "1\n"])
def test_what_is_no_position_is_refused(text: str) -> None:
    if text == "1;":
        assert parse_position(text, "after_revision") == Position(1)
        return
    with pytest.raises(InvalidArgument):
        parse_position(text, "after_revision")


def test_a_wrong_position_costs_no_more_than_its_length() -> None:
    # With a comma that may be left out each number could be cut in many ways: this one took years.
    with pytest.raises(InvalidArgument):
        parse_position("1;1:" + "22222222:" * 900 + "x", "Last-Event-ID")


def test_offsets_are_heard() -> None:
    assert parse_offsets('{"offsets": {"1": 5, "300": 0}}') == {1: 5, 300: 0}
    assert parse_offsets('{"offsets": {}}') == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "{}", '{"offsets": [1]}', '{"offsets": {"0": 1}}', '{"offsets": {"1": -1}}',
     '{"offsets": {"1": true}}', '{"offsets": {"1": 1.5}}', '{"offsets": {"a": 1}}', '{"offsets": null}',
     '{"offsets": {"99999999999": 1}}', "[" * 100_000],
)  # fmt: skip
def test_what_are_no_offsets_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_offsets(text)
    assert "offsets" in refused.value.fields


def step(revision: int = 0, *output: executor.TargetOutput, final: bool = False) -> executor.FollowJobResponse:
    message = executor.FollowJobResponse(output=output)
    if revision:
        status = job_pb2.JOB_STATUS_SUCCESS if final else job_pb2.JOB_STATUS_RUNNING
        message.job.CopyFrom(job_pb2.Job(revision=revision, status=status))
    return message


def bytes_of(number: int, offset: int, data: bytes) -> executor.TargetOutput:
    frame = command_pb2.LogFrame(stream=1, offset=offset, data=data)
    return executor.TargetOutput(number=number, frames=[frame])


class Call:
    def __init__(self, script: list[Any]) -> None:
        self._script = script

    async def __aiter__(self) -> AsyncIterator[executor.FollowJobResponse]:
        for item in self._script:
            if isinstance(item, MyxError):
                raise item
            yield item

    def cancel(self) -> None:
        pass


class Jobs:
    """An executor that answers the first call with the first script, and so on."""

    def __init__(self, *scripts: list[Any]) -> None:
        self._scripts = list(scripts)
        self.asked: list[tuple[int, dict[int, int]]] = []

    async def GetJob(self, _request: executor.GetJobRequest) -> executor.GetJobResponse:
        return executor.GetJobResponse()

    def FollowJob(self, request: executor.FollowJobRequest, timeout: float, metadata: object) -> Any:
        assert timeout > 0
        self.asked.append((request.after_revision, dict(request.offsets)))
        return Call(self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0])


async def read(jobs: Any, position: Position | None = None, heal_s: float = 5) -> tuple[dict[int, bytes], int]:
    source = JobSource(jobs, "j", position or Position(), output=True, heal_s=heal_s)
    await source.open()
    data: dict[int, bytes] = {}
    steps = 0
    async for item in source:
        steps += 1
        for output in item.output:
            joined = b"".join(frame.data for frame in output.frames) + (b"~" if output.HasField("gap") else b"")
            data[output.number] = data.get(output.number, b"") + joined
    return data, steps


async def test_it_comes_back_at_the_last_revision_and_at_its_offsets() -> None:
    first = [step(5), step(0, bytes_of(1, 0, b"ab")), step(7, bytes_of(2, 0, b"x")), AWAY]
    jobs = Jobs(first, [step(7, bytes_of(1, 1, b"bc")), step(9, final=True)])
    data, _ = await read(jobs)
    assert data == {1: b"abc", 2: b"x"}
    assert jobs.asked == [(0, {}), (7, {1: 2, 2: 1})]


async def test_a_hole_without_a_gap_is_asked_for_again_and_nothing_of_its_step_is_lost() -> None:
    broken = step(0, bytes_of(2, 0, b"x"), bytes_of(1, 5, b"later"))
    jobs = Jobs(
        [step(1, bytes_of(1, 0, b"ab")), broken], [step(2, bytes_of(1, 2, b"c"), bytes_of(2, 0, b"x"), final=True)]
    )
    assert (await read(jobs))[0] == {1: b"abc", 2: b"x"}
    assert jobs.asked == [(0, {}), (1, {1: 2})]


async def test_a_gap_is_told_once() -> None:
    gap = executor.TargetOutput(number=1, gap=command_pb2.LogGap(from_offset=0, to_offset=9, reason="limit"))
    jobs = Jobs([step(1, gap), step(0, gap), step(0, bytes_of(1, 9, b"x")), step(2, final=True)])
    assert (await read(jobs))[0] == {1: b"~x"}


async def test_a_client_goes_on_where_it_was() -> None:
    jobs = Jobs([step(8, bytes_of(3, 4, b"e")), step(9, final=True)])
    assert (await read(jobs, Position(6, {3: 4})))[0] == {3: b"e"}
    assert jobs.asked == [(6, {3: 4})]


async def test_an_end_without_a_final_state_is_no_end_and_an_outage_that_lasts_is_raised() -> None:
    jobs = Jobs([step(1)], [step(2, final=True)])
    await read(jobs)
    assert len(jobs.asked) == 2
    with pytest.raises(Unavailable) as lost:
        await read(Jobs([AWAY]), heal_s=0.2)
    assert lost.value.reason == "JOB_SOURCE_LOST"
    with pytest.raises(NotFound):
        await read(Jobs([NotFound("JOB_NOT_FOUND", "gone")]))
