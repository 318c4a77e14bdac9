"""Secrets in text become stars, in whatever form a play is likely to print them."""

import base64
import json
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

MASK = "********"
SHORTEST = 4
_SHORTEST_LINE = 8
_SHORTEST_NUMBER = 6


class Masker:
    """Masks the values given; `text` for a string, `deep` for a whole document."""

    def __init__(self, values: Any) -> None:
        forms = {form for value in _leaves(values) if len(value) >= SHORTEST for form in _forms(value)}
        ordered = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text

    def deep(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.deep(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.deep(item) for item in value]
        return value


def _leaves(value: Any) -> Iterator[str]:
    """Every value in a document as text. Names are no secrets, nor are true, false and short numbers (ports)."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool) and len(json.dumps(value)) >= _SHORTEST_NUMBER:
        yield json.dumps(value)


def _forms(value: str) -> Iterator[str]:
    """The value as it stands, escaped, quoted and encoded; of one with many lines also each long line."""
    lines = [line.strip() for line in value.splitlines()] if "\n" in value else []
    for text in (value, value.strip(), *(line for line in lines if len(line) >= _SHORTEST_LINE)):
        if len(text) < SHORTEST:
            continue
        raw = text.encode(errors="surrogateescape")
        yield text
        for inner in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
            yield inner
            yield json.dumps(inner)[1:-1]
        yield repr(text)[1:-1]
        yield text.replace("'", "''")
        yield text.replace("'", "'\"'\"'")
        yield urllib.parse.quote(text, safe="", errors="surrogateescape")
        yield raw.hex()
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(raw).decode()
            yield encode(raw).decode().rstrip("=")
            yield encode(raw + b"\n").decode()
