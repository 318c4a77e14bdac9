"""Bases of what is generated."""

from enum import StrEnum
from typing import Self

from msgspec import Struct


class OpenEnum(StrEnum):
    """Names that MyX may have more of one day: one that is not known here is a member of its own, not an error."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = member._value_ = value
        return member


def shown(struct: Struct, secret: frozenset[str]) -> str:
    """A struct for people, without the values of its `secret` fields."""
    fields = ((name, getattr(struct, name)) for name in struct.__struct_fields__)
    told = (f"{name}={'…' if name in secret and value else repr(value)}" for name, value in fields)
    return f"{type(struct).__name__}({', '.join(told)})"
