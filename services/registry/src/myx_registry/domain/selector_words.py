"""The words of a selector's text."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from myx_kit.errors import InvalidArgument

_WORD = re.compile(r"[A-Za-z0-9._/:@+*?%-]+", re.ASCII)
# Longer ones first.
_SIGNS: Final = ("!=", "!~", "==", ">=", "<=", "=", "~", ">", "<", "!", "(", ")", ",")
_SHOWN: Final = 40


class WordKind(StrEnum):
    """What a piece of the text is."""

    WORD = "word"
    QUOTED = "quoted"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of the text. `position` counts characters from 1."""

    kind: WordKind
    text: str
    position: int

    @property
    def keyword(self) -> str:
        """The word in lower case, if it may be a keyword."""
        return self.text.lower() if self.kind is WordKind.WORD else ""

    @property
    def sign(self) -> str:
        """The sign, if it is one."""
        return self.text if self.kind is WordKind.SIGN else ""

    @property
    def shown(self) -> str:
        """How a message names it."""
        if self.kind is WordKind.END:
            return "the end"
        return f"'{self.text}'" if len(self.text) <= _SHOWN else f"'{self.text[:_SHOWN]}…'"


def split(text: str) -> list[Word]:
    """The words of a text, the last one an END. Raises InvalidArgument `SELECTOR_INVALID`."""
    words = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        word, at = _next(text, at)
        words.append(word)
    return [*words, Word(WordKind.END, "", len(text) + 1)]


def selector_invalid(position: int, expected: str, found: str) -> InvalidArgument:
    """What was expected at a place of a selector's text."""
    return InvalidArgument(
        "SELECTOR_INVALID",
        f"At character {position} of the selector: expected {expected}, found {found}.",
        field="selector",
        position=str(position),
        expected=expected,
    )


def _next(text: str, at: int) -> tuple[Word, int]:
    if text[at] in "'\"":
        return _quoted(text, at)
    for sign in _SIGNS:
        if text.startswith(sign, at):
            return Word(WordKind.SIGN, sign, at + 1), at + len(sign)
    found = _WORD.match(text, at)
    if found is None:
        expected = "a letter, a digit or an operator; put other characters in quotes"
        raise selector_invalid(at + 1, expected, _named(text[at]))
    return Word(WordKind.WORD, found.group(), at + 1), found.end()


def _quoted(text: str, start: int) -> tuple[Word, int]:
    quote, parts, at = text[start], [], start + 1
    while at < len(text) and text[at] != quote:
        if text[at] == "\\":
            at += 1
            if text[at : at + 1] not in ("\\", "'", '"'):
                found = _named(text[at]) if at < len(text) else "the end"
                raise selector_invalid(at + 1, "a quote or \\ after \\", found)
        if unicodedata.category(text[at]) in ("Cc", "Cs"):
            raise selector_invalid(at + 1, "a character that can be shown", _named(text[at]))
        parts.append(text[at])
        at += 1
    if at >= len(text):
        raise selector_invalid(len(text) + 1, f"the closing {quote} of character {start + 1}", "the end")
    return Word(WordKind.QUOTED, "".join(parts), start + 1), at + 1


def _named(character: str) -> str:
    return f"'{character}'" if character.isprintable() else f"U+{ord(character):04X}"
