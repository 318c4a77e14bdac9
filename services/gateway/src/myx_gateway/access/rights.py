"""Roles, grants and what follows from them. No network, no database."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from myx_kit.errors import InvalidArgument

# Outside of quotes only these bind; the words of a selector are split alike in the registry.
_PIECE: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[()]|[^()'"]""", re.DOTALL)


def closed(selector: str) -> str:
    """`selector`, if it stays what it is when it is put in parentheses; whether it is right says the registry.

    InvalidArgument `SELECTOR_INVALID` for `a) or (b`, which would end the parentheses early, and for open quotes.
    """
    depth = at = 0
    while at < len(selector):
        piece = _PIECE.match(selector, at)
        if piece is None:
            raise _invalid(at + 1, "the closing quote of this one")
        depth += {"(": 1, ")": -1}.get(piece[0], 0)
        if depth < 0:
            raise _invalid(at + 1, "no ')' without its '('")
        at = piece.end()
    if depth:
        raise _invalid(len(selector) + 1, "')'")
    return selector


def _invalid(position: int, expected: str) -> InvalidArgument:
    message = f"At character {position} of the selector: expected {expected}."
    fields = {"position": str(position), "expected": expected}
    return InvalidArgument("SELECTOR_INVALID", message, field="selector", **fields)


class Role(IntEnum):
    """What somebody may do with servers; each role includes those below it."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


# The selector of a grant that holds everywhere, also for what belongs to no server.
EVERYWHERE: Final = "all"


@dataclass(frozen=True)
class Grant:
    """A role on the servers that a selector matches (docs/selectors.md)."""

    role: Role
    selector: str = EVERYWHERE

    def __post_init__(self) -> None:
        closed(self.selector)


@dataclass(frozen=True)
class Rights:
    """The grants of a principal, perhaps narrowed by those of the token that it came with."""

    grants: tuple[Grant, ...] = ()
    # Of a token: never more than this role, and only on servers that this selector matches too.
    cap: Grant = Grant(Role.ADMIN)

    def selector(self, role: Role) -> str | None:
        """Which servers `role` is held on: `all`, another selector, or None for none."""
        if self.cap.role < role:
            return None
        held = sorted({grant.selector for grant in self.grants if grant.role >= role})
        if not held:
            return None
        granted = EVERYWHERE if EVERYWHERE in held else _joined(held, "or")
        narrow = [one for one in (granted, self.cap.selector) if one != EVERYWHERE]
        return _joined(narrow, "and") if narrow else EVERYWHERE

    def everywhere(self, role: Role) -> bool:
        """Whether `role` is held on every server, and so on what belongs to none."""
        return self.selector(role) == EVERYWHERE

    def anywhere(self, role: Role) -> bool:
        """Whether `role` is held on some selector, whether or not that matches a server now."""
        return self.selector(role) is not None

    def narrowed(self, role: Role, selector: str) -> str | None:
        """`selector` within what `role` is held on, as a selector; None when it is held nowhere."""
        held = self.selector(role)
        if held is None or held == EVERYWHERE:
            return selector if held else None
        return _joined([held, closed(selector)], "and")


def _joined(selectors: Sequence[str], word: str) -> str:
    """One stays as it is: who puts it beside others puts it in parentheses."""
    return selectors[0] if len(selectors) == 1 else f" {word} ".join(f"({selector})" for selector in selectors)
