"""The terminal at stdout: its size, its characters, and a picture that is drawn anew in its place."""

import codecs
import os
from collections.abc import Sequence
from typing import NamedTuple

from myx_cli.jobs.cells import columns
from myx_cli.output import STDOUT, paint, print_bytes, set_erase

_FALLBACK = (80, 24)
_STYLES = {"success": "32", "bad": "31", "away": "35", "running": "36", "waiting": "33", "dim": "2", "bold": "1"}


class Glyphs(NamedTuple):
    """What bars and lists are made of."""

    done: str
    running: str
    waiting: str
    more: str


_UNICODE = Glyphs("█", "▒", "░", "…")
_ASCII = Glyphs("#", "=", ".", "...")


def is_live() -> bool:
    """Whether stdout is a terminal that can be drawn on."""
    return os.isatty(STDOUT) and os.environ.get("TERM", "dumb") not in {"dumb", ""}


class Terminal:
    """Draws pictures at the end of the output; lines of others go above them."""

    def __init__(self) -> None:
        self._encoding = _encoding()
        self._colours = not os.environ.get("NO_COLOR")
        self._drawn: list[int] = []
        self.glyphs = _UNICODE if self._takes("".join(_UNICODE)) else _ASCII
        set_erase(self._erase)

    def size(self) -> tuple[int, int]:
        """Columns and rows, as they are now."""
        try:
            width, height = os.get_terminal_size(STDOUT)
        except OSError:
            return _FALLBACK
        return width or _FALLBACK[0], height or _FALLBACK[1]

    def style(self, text: str, style: str) -> str:
        """`text` in a colour, where colours are wanted."""
        code = _STYLES.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if code and self._colours else text

    def draw(self, lines: Sequence[tuple[str, int]]) -> None:
        """Shows lines, each with its width, in the place of those that were drawn before."""

        def picture() -> bytes:
            # Only what is new is written between two moves: a slow line sees no flicker of empty rows.
            text = self._up() + "".join(f"{line}\x1b[K\r\n" for line, _ in lines) + "\x1b[J"
            self._drawn = [width for _, width in lines]
            return text.encode(self._encoding, "replace")

        paint(picture)

    def clear(self) -> None:
        """Takes the picture away."""
        paint(self._erase)

    def line(self, text: str = "") -> None:
        """One line that stays. `text` is inert already, but for our own colours."""
        print_bytes(text.encode(self._encoding, "replace"))

    def _erase(self) -> bytes:
        """What takes the picture away; called with the lock of the output held."""
        if not self._drawn:
            return b""
        text = f"{self._up()}\x1b[J"
        self._drawn = []
        return text.encode()

    def _up(self) -> str:
        """To the first row of the picture: narrower than before, the terminal has broken its lines."""
        width = max(1, self.size()[0])
        rows = sum(max(1, -(-drawn // width)) for drawn in self._drawn)
        return f"\x1b[{rows}A\r" if rows else "\r"

    def _takes(self, text: str) -> bool:
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            return False
        return True


def shown(text: str) -> tuple[str, int]:
    """A line without colours, and its width."""
    return text, columns(text)


def _encoding() -> str:
    """Of the locale; Python's own word is no help, because it takes the C locale for UTF-8 (PEP 538)."""
    environment = os.environ
    own = environment.get("LC_CTYPE", "")
    name = environment.get("LC_ALL") or (own if own != "C.UTF-8" else "") or environment.get("LANG") or own
    if name in {"C", "POSIX"}:
        return "ascii"
    codeset = name.partition(".")[2].partition("@")[0] or ("latin-1" if name else "utf-8")
    try:
        return codecs.lookup(codeset).name
    except LookupError:
        return "ascii"
