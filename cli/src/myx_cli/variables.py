"""Variables of plays from the command line."""

import json
from collections.abc import Sequence
from typing import Any

from myx_cli.api import Document
from myx_cli.errors import UsageError
from myx_cli.places import expanded
from myx_cli.secrets import ask, from_file
from myx_cli.text import clean
from myx_cli.yaml_files import load

_LIMIT_BYTES = 2 * 1024 * 1024


def extra_vars(texts: Sequence[str]) -> Document:
    """The variables of all `-e`: K=V (text), a JSON object, or @FILE (YAML or JSON); later ones win. UsageError."""
    variables: Document = {}
    for text in texts:
        if text.startswith("@"):
            variables.update(_from_file(text[1:]))
        elif text.lstrip().startswith("{"):
            variables.update(_object(_json(text, "-e"), "-e"))
        else:
            name, equals, value = text.partition("=")
            if not name or not equals:
                raise UsageError(f"-e {name!r} is not K=V, @FILE or a JSON object")
            variables[name] = value
    return variables


def secret_vars(given: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """The values of all `--secret`: from files, else asked for at the terminal. UsageError."""
    values = {}
    for name, path in given:
        option = f"--secret {clean(name)}"
        values[name] = from_file(path, option) if path else ask(clean(name), f"{option}: no terminal to ask at")
    return values


def tags(texts: Sequence[str]) -> list[str]:
    """`a,b` and `c` as three."""
    return [tag.strip() for text in texts for tag in text.split(",") if tag.strip()]


def _from_file(path: str) -> Document:
    option = f"-e @{clean(path)}"
    try:
        with expanded(path).open("rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{option} cannot be read: {error.strerror or 'unreadable'}") from None
    if len(content) > _LIMIT_BYTES:
        raise UsageError(f"{option} is larger than {_LIMIT_BYTES // (1024 * 1024)} MiB")
    value = _json(content.decode(errors="replace"), option) if path.endswith(".json") else load(content, option)
    return _object(value, option)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {clean(error)}") from None


def _object(value: Any, where: str) -> Document:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"{where} holds no mapping of names to values")
    for name, item in value.items():
        try:
            json.dumps(item, allow_nan=False)
        except (TypeError, ValueError):
            raise UsageError(f"{where}: {clean(name)} holds no JSON (a date?): put it in quotes") from None
    return value
