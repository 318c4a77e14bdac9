"""Selectors: which servers are meant. The tree of one, and what can be asked of a server (docs/selectors.md).

A term is true or false of every server: of what a server does not have every comparison is false, and so `a!=b` and
`not a=b` are the same and true.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias


class Source(StrEnum):
    """Where an attribute of a server comes from."""

    SERVER = "server"
    LABEL = "label"
    FACT = "fact"


class Kind(StrEnum):
    """What an attribute's values are, and with it which operators it has."""

    TEXT = "text"
    NUMBER = "number"
    # One of few words.
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Attribute:
    """What a term is about."""

    source: Source
    name: str
    kind: Kind = Kind.TEXT


@dataclass(frozen=True, slots=True)
class All:
    """Every server."""


@dataclass(frozen=True, slots=True)
class And:
    """Two or more terms, all of them true."""

    terms: tuple["Selector", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Two or more terms, at least one of them true."""

    terms: tuple["Selector", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """A term that is false."""

    term: "Selector"


@dataclass(frozen=True, slots=True)
class Exists:
    """A server has it: the label, or a fact that is not empty."""

    attribute: Attribute


@dataclass(frozen=True, slots=True)
class In:
    """The whole text is one of these."""

    attribute: Attribute
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The whole text has this form: `*` any text, `?` any one character."""

    attribute: Attribute
    pattern: str


@dataclass(frozen=True, slots=True)
class Compare:
    """The number is `=`, `<`, `<=`, `>` or `>=` this one."""

    attribute: Attribute
    operator: str
    number: Decimal


Selector: TypeAlias = All | And | Or | Not | Exists | In | Like | Compare

STATUSES: Final = ("online", "offline", "unknown", "pending", "none")

# `none`: no agent is allocated.
OF_SERVERS: Final[Mapping[str, Attribute]] = {
    "name": Attribute(Source.SERVER, "name"),
    "address": Attribute(Source.SERVER, "address"),
    "id": Attribute(Source.SERVER, "id", Kind.CHOICE),
    "status": Attribute(Source.SERVER, "status", Kind.CHOICE),
}

_TEXT_FACTS: Final = (
    "os",
    "os_name",
    "os_version",
    "arch",
    "kernel",
    "hostname",
    "python",
    "version",
    "machine_id",
    "boot_id",
    "bundle_version",
    "deployment_tool_version",
)
_NUMBER_FACTS: Final = ("cpus", "memory_mb", "memory_available_mb", "load_1m", "load_5m", "load_15m", "uptime_s")
FACTS: Final[Mapping[str, Attribute]] = {name: Attribute(Source.FACT, name) for name in _TEXT_FACTS} | {
    name: Attribute(Source.FACT, name, Kind.NUMBER) for name in _NUMBER_FACTS
}
# Facts that need no `fact.` before them.
SHORT_FACTS: Final = ("os", "os_version", "arch", "kernel", "hostname", "version", "cpus", "memory_mb")
