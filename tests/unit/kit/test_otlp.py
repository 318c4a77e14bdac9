"""Spans as OpenTelemetry's SDK has them."""

import subprocess
import sys

import pytest

from myx_kit.tracing import Kind, Place

pytest.importorskip("opentelemetry.sdk", reason="tracing is an extra")

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from myx_kit.otlp import OtlpRecorder

PARENT = Place("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


def test_a_span_has_its_parent_kind_attributes_and_end(exporter):
    recorder = OtlpRecorder("executor", "", 0.0, exporter)
    span = recorder.begin("first", Kind.CLIENT, PARENT, {"a": 1})
    assert (span.place.trace_id, span.place.is_sampled) == (PARENT.trace_id, True)
    span.rename("second")
    span.set("b", "two")
    span.end("NOT_THERE")
    recorder.close()
    (seen,) = exporter.get_finished_spans()
    assert (seen.name, seen.kind.name, dict(seen.attributes)) == ("second", "CLIENT", {"a": 1, "b": "two"})
    assert f"{seen.parent.span_id:016x}" == PARENT.span_id
    assert (seen.status.status_code.name, seen.status.description) == ("ERROR", "NOT_THERE")
    assert seen.resource.attributes["service.name"] == "myx-executor"


@pytest.mark.parametrize(
    ("share", "parent", "is_sampled"),
    [
        (0.0, None, False),
        (1.0, None, True),
        (0.0, PARENT, True),
        (1.0, Place(PARENT.trace_id, PARENT.span_id, False), False),
    ],
)
def test_who_begins_a_trace_decides_whether_it_is_recorded(exporter, share, parent, is_sampled):
    recorder = OtlpRecorder("gateway", "", share, exporter)
    span = recorder.begin("x", Kind.SERVER, parent, {})
    assert span.place.is_sampled is is_sampled
    span.end("")
    recorder.close()
    assert len(exporter.get_finished_spans()) == is_sampled


@pytest.mark.parametrize("service", ["registry", "heartbeat", "executor", "gateway"])
def test_a_service_loads_neither_the_sdk_nor_alembic(service):
    script = (
        f"import sys, myx_{service}.__main__;"
        "print([name for name in ('opentelemetry.sdk', 'alembic', 'ansible_runner') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "[]\n"
