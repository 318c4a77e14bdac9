"""Roles, grants and what follows from them. No network, no database."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final


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
        return _joined([held, selector], "and")


def _joined(selectors: Iterable[str], word: str) -> str:
    return f" {word} ".join(f"({selector})" for selector in selectors)
