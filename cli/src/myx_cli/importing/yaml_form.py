"""The YAML form: `servers:` with a mapping each, `defaults:` for all of them (docs/cli.md)."""

from typing import Any

from myx_cli.errors import UsageError
from myx_cli.importing.marked_yaml import Marked, load_marked
from myx_cli.importing.rows import Row


def rows_of(content: bytes, file: str) -> list[Row]:
    """The servers. UsageError for another form."""
    document: Any = load_marked(content, file)
    defaults: Any = {}
    if isinstance(document, dict):
        unknown = sorted(set(document) - {"servers", "defaults"})
        if unknown:
            raise UsageError(f"{file}: {unknown[0]} is not known here: servers and defaults are")
        document, defaults = document.get("servers"), document.get("defaults") or {}
    if not isinstance(document, list) or not isinstance(defaults, dict):
        raise UsageError(f"{file}: expected a list of servers (or servers: with one)")
    rows = []
    for number, item in enumerate(document, 1):
        if not isinstance(item, Marked):
            raise UsageError(f"{file}: server {number} is not a mapping with name and address")
        labels = _merged(defaults.get("labels"), item.get("labels"))
        rows.append(Row(f"{file}:{item.line}", {**defaults, **item, **({"labels": labels} if labels else {})}))
    return rows


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and (other is None or isinstance(other, dict)):
        return {**one, **(other or {})}
    return other if other is not None else one
