"""The file of variables: what came from users is data for ever, never a template."""

import json
from typing import Any

from myx_play.document import Document


def write(document: Document) -> str:
    """YAML in flow style. Every string from users, at any depth, carries the tag that keeps Jinja from reading it."""
    lines = [f"{json.dumps(name)}: {_node(value, unsafe=False)}" for name, value in document.trusted_vars.items()]
    for group in (document.extra_vars, document.secret_vars):
        lines += [f"{json.dumps(name)}: {_node(value, unsafe=True)}" for name, value in group.items()]
    return "---\n" + ("\n".join(lines) if lines else "{}") + "\n"


def _node(value: Any, *, unsafe: bool) -> str:
    if isinstance(value, dict):
        items = (f"{json.dumps(str(key))}: {_node(item, unsafe=unsafe)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_node(item, unsafe=unsafe) for item in value) + "]"
    if isinstance(value, str):
        return ("!unsafe " if unsafe else "") + quote(value)
    return json.dumps(value)


def quote(text: str) -> str:
    """A double-quoted YAML scalar; JSON's escapes are YAML's, but YAML has no surrogate pairs."""
    return "".join(f"\\U{ord(char):08x}" if ord(char) > 0xFFFF else json.dumps(char)[1:-1] for char in text).join('""')
