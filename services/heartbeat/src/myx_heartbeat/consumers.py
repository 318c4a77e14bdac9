"""Events that change the fleet."""

from collections.abc import Callable

from myx_kit.events.bus import Bus
from myx_kit.events.subjects import event_subject

_AGENT_VERBS = ("registered", "rotated", "removed", "quarantined")
_SUBJECTS = (*(event_subject("agent", verb, "*") for verb in _AGENT_VERBS), event_subject("server", "*", "*"))


def consume_fleet_events(bus: Bus, changed: Callable[[], None]) -> None:
    """Call `changed` when agents or servers come, go or change, and when events may have been missed."""

    async def handle(*_: object) -> None:
        changed()

    for subject in _SUBJECTS:
        bus.consume_ephemeral(subject, handle, on_lost=changed)
