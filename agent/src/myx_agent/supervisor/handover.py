"""What of a command is in a supervisor's memory only, and goes to the one that replaces it."""

import base64
from dataclasses import dataclass, field
from typing import Any

from myx_agent.supervisor.command import Command


@dataclass(slots=True)
class Handover:
    """What a supervisor that replaces itself passes on for one command; there is none after a crash."""

    secrets: list[bytes] = field(default_factory=list)
    held: dict[int, bytes] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Pending:
    """A command that could not be taken over yet. `status`: of its leader, reaped meanwhile at `ended_at`."""

    handover: Handover | None
    pid: int = 0
    tries: int = 0
    status: int | None = None
    ended_at: float = 0.0


def handover_of(command: Command) -> Handover:
    return Handover(
        secrets=list(command.mask[1].secrets),
        held={stream: mask.held for stream, mask in command.mask.items()},
        dropped=dict(command.log.dropped),
    )


def encode_handover(handover: Handover) -> dict[str, Any]:
    return {
        "secrets": [base64.b64encode(secret).decode() for secret in handover.secrets],
        "held": {str(stream): base64.b64encode(held).decode() for stream, held in handover.held.items()},
        "dropped": {str(stream): count for stream, count in handover.dropped.items()},
    }


def decode_handover(document: dict[str, Any]) -> Handover:
    return Handover(
        secrets=[base64.b64decode(secret) for secret in document["secrets"]],
        held={int(stream): base64.b64decode(text) for stream, text in document["held"].items()},
        dropped={int(stream): count for stream, count in document["dropped"].items()},
    )
