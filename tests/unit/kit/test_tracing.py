"""Places in traces, spans with and without a recorder, and what goes along with calls."""

import asyncio

import pytest
import structlog

from myx_kit import correlation, tracing
from myx_kit.errors import FailedPrecondition, NotFound
from myx_kit.tracing import Kind, Place

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{SPAN}-01"


class Open:
    def __init__(self, number: int, parent: Place | None) -> None:
        trace_id = parent.trace_id if parent else f"{number:032x}"
        self.place = Place(trace_id, f"{number:016x}", True)
        self.attributes: dict = {}
        self.error: str | None = None
        self.name = ""

    def set(self, name, value):
        self.attributes[name] = value

    def rename(self, name):
        self.name = name

    def end(self, error):
        self.error = error


class Recorder:
    def __init__(self) -> None:
        self.begun: list[tuple] = []
        self.open: list[Open] = []
        self.closed = False

    def begin(self, name, kind, parent, attributes):
        one = Open(len(self.open) + 1, parent)
        self.begun.append((name, kind, parent, attributes))
        self.open.append(one)
        return one

    def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def clean():
    correlation.enter("", "")
    yield
    correlation.enter("", "")


@pytest.fixture
def recorder():
    one = Recorder()
    stop = tracing.start(one)
    yield one
    stop()
    assert one.closed


def test_a_header_names_a_place():
    assert tracing.parse(HEADER) == Place(TRACE, SPAN, True)
    assert tracing.parse(HEADER[:-2] + "00").is_sampled is False
    assert tracing.parse(HEADER).traceparent == HEADER
    assert tracing.parse(f"01-{TRACE}-{SPAN}-01-more") == Place(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        HEADER.upper(),
        HEADER + "-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        HEADER + "\n",
    ],
)
def test_what_is_no_header_names_none(wrong):
    assert tracing.parse(wrong) is None
    assert tracing.enter(wrong) is None
    assert tracing.traceparent() == ""


def test_without_a_recorder_the_trace_is_passed_on_as_it_came():
    correlation.enter("r-1", HEADER)
    with tracing.span("x", Kind.CLIENT, a=1) as one:
        one.set("b", 2)
        one.rename("y")
        one.fail("REASON")
        assert dict(correlation.outgoing()) == {"myx-request-id": "r-1", "traceparent": HEADER}
    assert not tracing.is_recording()


def test_spans_are_children_of_those_around_them(recorder):
    correlation.enter("", HEADER)
    with tracing.span("outer", Kind.SERVER, rpc__system="grpc"):
        with tracing.span("inner", Kind.CLIENT):
            assert tracing.traceparent() == recorder.open[1].place.traceparent
        assert tracing.current() == recorder.open[0].place
    assert tracing.traceparent() == HEADER
    names = [(name, kind, parent) for name, kind, parent, _ in recorder.begun]
    assert names == [
        ("outer", Kind.SERVER, Place(TRACE, SPAN, True)),
        ("inner", Kind.CLIENT, recorder.open[0].place),
    ]
    assert recorder.begun[0][3] == {"rpc.system": "grpc"}
    assert [one.error for one in recorder.open] == ["", ""]


def test_outside_of_a_trace_only_what_begins_one_makes_a_span(recorder):
    with tracing.span("work of our own"):
        assert tracing.current() is None
    with tracing.span("request", begins=True):
        correlation.note_trace()
        assert structlog.contextvars.get_contextvars()["trace_id"] == recorder.open[0].place.trace_id
    assert [begun[0] for begun in recorder.begun] == ["request"]


@pytest.mark.parametrize(
    ("error", "said"),
    [(NotFound("NOT_THERE", "the secret is hunter2"), "NOT_THERE"), (ValueError("hunter2"), "ValueError")],
)
def test_a_failure_is_told_by_its_name_and_not_by_its_text(recorder, error, said):
    with pytest.raises(type(error)), tracing.span("x", begins=True):
        raise error
    assert recorder.open[0].error == said


async def test_tasks_stand_where_they_were_started_and_not_where_others_went(recorder):
    async def child():
        await asyncio.sleep(0)
        return tracing.traceparent(), correlation.request_id()

    correlation.enter("r-1", HEADER)
    task = asyncio.create_task(child())
    correlation.enter("r-2", "")
    assert await task == (HEADER, "r-1")
    assert correlation.outgoing() == (("myx-request-id", "r-2"),)


@pytest.mark.parametrize("wrong", ["", "a b", "x" * 65, 'a"b', "a\n", "é"])
def test_an_id_that_cannot_stand_in_a_log_is_not_taken(wrong):
    correlation.enter(wrong, "")
    assert correlation.outgoing() == ()
    assert correlation.choose_request_id(wrong) not in {"", wrong}
    assert correlation.choose_request_id("good-1._") == "good-1._"


def test_every_line_has_what_was_noted_and_nothing_of_the_request_before():
    correlation.enter("r-1", HEADER)
    correlation.note(command_id="c")
    assert structlog.contextvars.get_contextvars() == {"request_id": "r-1", "trace_id": TRACE, "command_id": "c"}
    correlation.enter("r-2", "")
    assert structlog.contextvars.get_contextvars() == {"request_id": "r-2"}


def test_without_the_libraries_tracing_says_how_to_get_them(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "myx_kit.otlp", None)
    with pytest.raises(FailedPrecondition) as caught:
        tracing.start_otlp("registry", "http://127.0.0.1:1", 1.0)
    assert caught.value.reason == "TRACING_NOT_INSTALLED"
    assert "myx-kit[tracing]" in caught.value.message
