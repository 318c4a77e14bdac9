"""The jsonb columns of an agent: facts and attempts as documents and back."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from myx_registry.domain.agents import AgentFacts, CallAttempt, Disk

_LISTS = ("running_command_ids", "capabilities")
_SCALARS = tuple(field.name for field in fields(AgentFacts) if field.name not in (*_LISTS, "disks", "reported_at"))


def attempts_document(attempts: Iterable[CallAttempt]) -> list[dict[str, Any]]:
    """A list of `{at, cause, message, wait_s}`, `at` in ISO 8601."""
    return [
        {"at": attempt.at.isoformat(), "cause": attempt.cause, "message": attempt.message, "wait_s": attempt.wait_s}
        for attempt in attempts
    ]


def attempts_of(document: Iterable[Mapping[str, Any]]) -> tuple[CallAttempt, ...]:
    """The attempts in a document."""
    return tuple(
        CallAttempt(
            at=datetime.fromisoformat(entry["at"]),
            cause=entry["cause"],
            message=entry["message"],
            wait_s=entry["wait_s"],
        )
        for entry in document
    )


def facts_document(facts: AgentFacts) -> dict[str, Any]:
    """An object with the fields of AgentFacts."""
    document: dict[str, Any] = {name: getattr(facts, name) for name in _SCALARS}
    document["disks"] = [[disk.mount, disk.total_bytes, disk.free_bytes] for disk in facts.disks]
    document |= {name: list(getattr(facts, name)) for name in _LISTS}
    document["reported_at"] = None if facts.reported_at is None else facts.reported_at.isoformat()
    return document


def facts_of(document: Mapping[str, Any]) -> AgentFacts:
    """The facts in a document; what an older version did not write keeps its default."""
    reported_at = document.get("reported_at")
    lists: dict[str, Any] = {name: tuple(document.get(name, ())) for name in _LISTS}
    return AgentFacts(
        **{name: document[name] for name in _SCALARS if name in document},
        **lists,
        disks=tuple(Disk(*disk) for disk in document.get("disks", ())),
        reported_at=None if reported_at is None else datetime.fromisoformat(reported_at),
    )
