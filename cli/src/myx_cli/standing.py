"""Where something stands: since when, why, what happens next, and how it came there."""

from myx_cli.api import Document
from myx_cli.tables import Status, When
from myx_cli.text import clean

Fact = tuple[str, object]


def standing(document: Document) -> list[Fact]:
    """State, since, cause, owner, deadline and what happens next of a command, deployment or job."""
    return [
        ("status", Status(document.get("status") or "")),
        ("since", When(document.get("status_since") or "")),
        ("reason", document.get("reason")),
        ("message", document.get("message")),
        ("next", document.get("next")),
        ("deadline", When(document.get("deadline_at") or "")),
        ("owner", document.get("owner")),
    ]


def history(document: Document) -> list[Fact]:
    """Every change of state, one a line."""
    return [("history", _change(change)) for change in document.get("changes") or []]


def _change(change: Document) -> str:
    before = change.get("from")
    step = f"{before} → {change.get('to')}" if before else str(change.get("to"))
    facts = [clean(change.get(name) or "") for name in ("cause", "evidence")]
    why = ": ".join(fact for fact in facts if fact)
    actor = clean(change.get("actor") or "")
    return f"{change.get('at')}  {clean(step)}  {why}{f'  ({actor})' if actor else ''}"
