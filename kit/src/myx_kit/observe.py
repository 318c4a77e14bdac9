"""What every service does to be observed: says who it is, watches its event loop, sends its spans."""

from contextlib import AsyncExitStack

from myx_kit import metrics, tracing
from myx_kit.loops import TaskOwner
from myx_kit.settings import Settings


def observe(settings: Settings, service: str, stack: AsyncExitStack) -> None:
    """The first thing that a service does when it starts; the stack ends it, and sends what spans are left.

    FailedPrecondition `TRACING_NOT_INSTALLED` when spans are to be sent and the libraries are not there.
    """
    metrics.describe_build(service)
    if settings.otlp_endpoint:
        stack.callback(tracing.start_otlp(service, settings.otlp_endpoint, settings.otlp_share))
    if settings.http_listen:
        owner = TaskOwner("observe")
        stack.push_async_callback(owner.close)
        owner.start(metrics.watch_event_loop(), name="event-loop")
