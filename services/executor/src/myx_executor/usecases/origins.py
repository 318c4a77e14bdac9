"""From which request and in which trace work came that waits in the database: known to the replica that accepted it.

Of no weight: another replica that takes it over works for no request, and finds it in the log by its id.
"""

from collections import OrderedDict
from typing import Final
from uuid import UUID

from myx_kit import correlation, tracing

_MAX: Final = 10_000
_origins: OrderedDict[UUID, tuple[str, str]] = OrderedDict()


def remember(work_id: UUID) -> None:
    """This work came from what the task at hand works for."""
    origin = (correlation.request_id(), tracing.traceparent())
    if any(origin):
        _origins[work_id] = origin
        if len(_origins) > _MAX:
            _origins.popitem(last=False)


def recall(*work_ids: UUID | None) -> None:
    """The task at hand works for what the first known of these came from, unless it knows itself."""
    if correlation.request_id() or tracing.current() is not None:
        return
    for work_id in work_ids:
        origin = _origins.get(work_id) if work_id is not None else None
        if origin is not None:
            correlation.enter(*origin)
            return
