"""Spans to an OpenTelemetry collector. Imported only where tracing is on: it brings the SDK and a thread."""

from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from myx_kit.tracing import Kind, OpenSpan, Place, Value

_SEND_EVERY_MS: Final = 2000
_SEND_WITHIN_S: Final = 5
# Beyond it new spans are dropped: a collector that is away costs a few megabytes at most.
_QUEUE: Final = 4096
_KINDS: Final = {Kind.SERVER: SpanKind.SERVER, Kind.CLIENT: SpanKind.CLIENT, Kind.INTERNAL: SpanKind.INTERNAL}


class OtlpRecorder:
    """Fits `Recorder`. The provider is ours alone: libraries that look for a global one record nothing."""

    def __init__(self, service: str, endpoint: str, share: float, exporter: SpanExporter | None = None) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: f"myx-{service}"}),
            sampler=ParentBased(TraceIdRatioBased(share)),
            shutdown_on_exit=False,
        )
        sender = exporter or OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_SEND_WITHIN_S)
        self._provider.add_span_processor(
            BatchSpanProcessor(sender, max_queue_size=_QUEUE, schedule_delay_millis=_SEND_EVERY_MS)
        )
        self._tracer = self._provider.get_tracer("myx")

    def begin(self, name: str, kind: Kind, parent: Place | None, attributes: Mapping[str, Value]) -> OpenSpan:
        """Start a span."""
        context = None if parent is None else trace.set_span_in_context(_remote(parent))
        return _OtlpSpan(self._tracer.start_span(name, context, kind=_KINDS[kind], attributes=dict(attributes)))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


class _OtlpSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.place = Place(f"{context.trace_id:032x}", f"{context.span_id:016x}", context.trace_flags.sampled)

    def set(self, name: str, value: Value) -> None:
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def end(self, error: str) -> None:
        if error:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


def _remote(place: Place) -> trace.Span:
    flags = TraceFlags(TraceFlags.SAMPLED if place.is_sampled else TraceFlags.DEFAULT)
    return NonRecordingSpan(SpanContext(int(place.trace_id, 16), int(place.span_id, 16), True, flags))
