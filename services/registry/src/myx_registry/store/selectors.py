"""Selectors as conditions. Values and keys are bound, never part of the statement; no condition is ever null."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from myx_registry.domain.selector import (
    All,
    And,
    Attribute,
    Compare,
    Exists,
    In,
    Kind,
    Like,
    Not,
    Or,
    Selector,
    Source,
)
from myx_registry.models import agent, server

_MIB: Final = 1 << 20
# Facts whose name in the document is another.
_DOCUMENT_NAMES: Final[Mapping[str, str]] = {
    "os": "os_id",
    "os_name": "os",
    "memory_mb": "memory_total_bytes",
    "memory_available_mb": "memory_available_bytes",
}
# 0 is what an agent says that cannot tell.
_UNKNOWN_IS_ZERO: Final = ("cpus", "memory_mb", "memory_available_mb", "uptime_s")
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": lambda left, right: left == right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def condition(tree: Selector) -> sa.ColumnElement[bool]:
    """True or false for each row of `server` joined, from the left, with `agent`."""
    match tree:
        case All():
            return sa.true()
        case And(terms):
            return sa.and_(*map(condition, terms))
        case Or(terms):
            return sa.or_(*map(condition, terms))
        case Not(term):
            return sa.not_(condition(term))
        case _:
            return sa.func.coalesce(_term(tree), sa.false())


def _term(tree: Exists | In | Like | Compare) -> Any:
    match tree:
        case Exists(attribute):
            if attribute.source is Source.LABEL:
                return server.c.labels.has_key(attribute.name)
            return _value(attribute).is_not(None)
        case In(attribute, values):
            if attribute.name == "id" and attribute.source is Source.SERVER:
                return server.c.id == sa.any_(sa.literal([UUID(one) for one in values], ARRAY(sa.Uuid)))
            return _value(attribute) == sa.any_(sa.literal(list(values), ARRAY(sa.Text)))
        case Like(attribute, pattern):
            return _value(attribute).like(sa.literal(_like(pattern), sa.Text), escape="\\")
        case Compare(attribute, operator, number):
            return _OPERATORS[operator](_value(attribute), sa.literal(number, sa.Numeric))


def _value(attribute: Attribute) -> Any:
    name = attribute.name
    if attribute.source is Source.LABEL:
        return server.c.labels[sa.literal(name, sa.Text)].astext
    if attribute.source is Source.FACT:
        return _fact(attribute)
    if name == "status":
        return sa.func.coalesce(agent.c.status, "none")
    return server.c[name]


def _fact(attribute: Attribute) -> Any:
    if attribute.name == "version":
        return sa.func.nullif(agent.c.version, "")
    found = agent.c.facts[sa.literal(_DOCUMENT_NAMES.get(attribute.name, attribute.name), sa.Text)]
    if attribute.kind is Kind.TEXT:
        return sa.func.nullif(found.astext, "")
    number: Any = sa.case((sa.func.jsonb_typeof(found) == "number", sa.cast(found.astext, sa.Numeric)), else_=sa.null())
    if attribute.name in _UNKNOWN_IS_ZERO:
        number = sa.func.nullif(number, 0)
    return sa.func.floor(number / _MIB) if attribute.name.endswith("_mb") else number


def _like(pattern: str) -> str:
    for plain in ("\\", "%", "_"):
        pattern = pattern.replace(plain, f"\\{plain}")
    return pattern.replace("*", "%").replace("?", "_")
