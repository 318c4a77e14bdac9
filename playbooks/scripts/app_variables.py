"""Variables of a deployment: read once, checked, with errors that name the variable and what would be right."""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from typing import Any

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
SHA256 = re.compile(r"[0-9a-f]{64}")
VERSION = re.compile(r"v?[0-9][0-9A-Za-z.+_-]{0,63}")
VALUE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
PLACEHOLDER = re.compile(r"@@([A-Za-z_][A-Za-z0-9_]{0,63})@@")
MAX_CONFIG_BYTES = 4 * 1024 * 1024


class BadVariable(ValueError):
    """A variable is not as it must be; the text names it and says what would be right."""


class Variables:
    """The user's variables of one deployment; names are told with their prefix (`caddy_version`)."""

    def __init__(self, values: dict[str, Any], prefix: str, known: tuple[str, ...]) -> None:
        self.prefix = prefix
        self._values = {name: value for name, value in values.items() if value is not None}
        for name in sorted(set(self._values) - set(known)):
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {prefix}{near[0]}?" if near else "there are " + ", ".join(prefix + k for k in known)
            raise BadVariable(f"{prefix}{name} is not a variable of this playbook; {hint}")

    def wrong(self, name: str, right: str) -> BadVariable:
        """The error to raise for a variable that is not as it must be."""
        return BadVariable(f"{self.prefix}{name} must be {right}")

    def has(self, name: str) -> bool:
        return bool(self._values.get(name, "") != "")

    def get(self, name: str) -> Any:
        return self._values.get(name)

    def text(self, name: str, default: str = "", pattern: re.Pattern[str] | None = None, right: str = "text") -> str:
        value = self._values.get(name, default)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or "\0" in value or (value and pattern and not pattern.fullmatch(value)):
            raise self.wrong(name, f"{right}, not {value!r}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self._values.get(name, default)
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        if isinstance(value, bool):
            return value
        if str(value).lower() not in words:
            raise self.wrong(name, f"true or false, not {value!r}")
        return words[str(value).lower()]

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        value = self._values.get(name, default)
        if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,12}", str(value)) or not low <= int(value) <= high:
            raise self.wrong(name, f"a whole number from {low} to {high}, not {value!r}")
        return int(value)

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self._values.get(name, default)
        if value not in allowed:
            raise self.wrong(name, f"one of {', '.join(allowed)}, not {value!r}")
        return str(value)

    def items(self, name: str) -> list[Any] | None:
        """The list, or None when the variable is not given; JSON text of a list counts (`-e x=[80,443]`)."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = _parsed(value) if value.strip().startswith("[") else [part for part in value.split(",") if part]
        if value is not None and not isinstance(value, (list, tuple)):
            raise self.wrong(name, "a list")
        return None if value is None else list(value)

    def mapping(self, name: str) -> dict[str, str] | None:
        """Names and one-line texts, or None when the variable is not given; values never appear in errors."""
        value = self._values.get(name)
        if isinstance(value, str):
            value = _parsed(value)
        if value is None and name not in self._values:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "a mapping of names to values")
        for key, entry in value.items():
            if not isinstance(key, str) or not VALUE_NAME.fullmatch(key):
                raise self.wrong(name, f"a mapping whose names are letters, digits and _, not {key!r}")
            if isinstance(entry, (dict, list)) or entry is None or any(c in str(entry) for c in "\n\r\0"):
                raise self.wrong(name, f"a mapping of one-line values; that of {key} is none")
        return {key: _plain(entry) for key, entry in value.items()}

    def path(self, name: str) -> str:
        """An absolute path without detours, or empty."""
        value = self.text(name)
        if value and (not value.startswith("/") or ".." in value.split("/") or any(c in value for c in "\n\r")):
            raise self.wrong(name, f"an absolute path without .., not {value!r}")
        return value

    def name(self, default: str) -> str:
        """The instance's name: of its folder, its unit and its user, so nothing but a-z, 0-9 and -."""
        return self.text("name", default, NAME, "a name of a-z, 0-9 and -, beginning with a letter, at most 31 long")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def fill(template: str, values: dict[str, str], prefix: str, as_json: bool) -> str:
    """The template with every @@NAME@@ replaced; without values the text is left exactly as it is."""

    def value_of(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise BadVariable(f"the configuration uses @@{match[1]}@@, but {prefix}config_values has no {match[1]}")
        return json.dumps(values[match[1]])[1:-1] if as_json else values[match[1]]

    return PLACEHOLDER.sub(value_of, template) if values else template


def mask(text: str, secrets: set[str]) -> str:
    """The text with every secret of at least four characters replaced, also in its JSON form."""
    forms = {form for secret in secrets if len(secret) >= 4 for form in (secret, json.dumps(secret)[1:-1])}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "********")
    return text


def listen_port(text: str) -> tuple[str, int] | None:
    """(address to try, port) of a listen address such as ":443" or "0.0.0.0:80"; None when it is no single TCP port."""
    kind, _, rest = text.rpartition("/")
    host, _, port = rest.rpartition(":")
    if kind not in {"", "tcp", "tcp4", "tcp6"} or not port.isdigit() or not 1 <= int(port) <= 65535:
        return None
    return reachable(host), int(port)


def reachable(host: str) -> str:
    """Where a listener on that address can be reached from the same machine."""
    bare = host.strip("[]")
    if bare in {"", "0.0.0.0", "localhost"}:  # noqa: S104 -- compared, not bound
        return "127.0.0.1"
    try:
        parsed = ipaddress.ip_address(bare)
    except ValueError:
        return bare
    return ("127.0.0.1" if parsed.version == 4 else "::1") if parsed.is_unspecified else bare
