"""What the audit trail shows of the body of a request: fields that are known to hold no secret, each by name.

The body is not validated yet. Whatever is not named here is left out, so that a field that is new, or misspelt, cannot
carry a secret into the trail.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from myx_gateway.access.secrets import masked

# Characters of one text, items and characters of one list, and characters of all details together.
_MAX_TEXT: Final = 500
_MAX_ITEMS: Final = 40
_MAX_LIST: Final = 2000
_MAX_ALL: Final = 4000
_MAX_DEPTH: Final = 5

# Fields whose value is shown when it is a text, a number, a truth or a list of texts.
_SHOWN: Final = frozenset(
    {
        "accept_new_host_key",
        "address",
        "args",
        "batch_label",
        "batches",
        "check",
        "command",
        "concurrency",
        "count",
        "cron",
        "cwd",
        "deadline_s",
        "diff",
        "disabled",
        "display_name",
        "expires_in_s",
        "fingerprint",
        "force",
        "grace_s",
        "host_key_fingerprint",
        "jump_servers",
        "kind",
        "limit",
        "lock",
        "max_failed",
        "max_unreachable",
        "method",
        "missed",
        "missed_within_s",
        "name",
        "new_path",
        "new_port",
        "no_output_timeout_s",
        "offline",
        "overlap",
        "paused",
        "percent",
        "playbook",
        "port",
        "project",
        "queue_timeout_s",
        "reason",
        "repair_policy",
        "role",
        "selector",
        "server",
        "servers",
        "skip_tags",
        "statuses",
        "sudo",
        "tags",
        "time_zone",
        "timeout_s",
        "user",
    }
)
# Objects that are looked into.
_OPENED: Final = frozenset({"work", "command", "deployment", "job", "ssh", "options", "grants", "batches", "canary"})
# Maps of which all is shown.
_PLAIN_MAPS: Final = frozenset({"labels"})
# Maps of which the names are shown.
_NAMED: Final = frozenset({"env", "secret_env", "extra_vars", "secret_vars", "secrets"})
# Of these it is said that they were given.
_GIVEN: Final = frozenset(
    {"credential", "secret", "stdin", "password", "old_password", "new_password", "private_key", "passphrase"}
)
# How a shared credential can be called (its id too); below `ssh` it is named, elsewhere a `credential` is a secret.
_CREDENTIAL_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def details_of(operation: str, body: object) -> dict[str, Any]:
    """What is shown of the body of a call."""
    # People type passwords into the field of the name.
    if operation == "session.create" or not isinstance(body, Mapping):
        return {}
    return _Summary().of(body, 0)


def bounded(text: object, limit: int = _MAX_TEXT) -> str:
    """`text`, of bounded length, without API tokens, and such as PostgreSQL and every reader of UTF-8 can hold it."""
    clean = masked(str(text)[: limit + 1]).replace("\0", "\ufffd").encode(errors="replace").decode()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


class _Summary:
    def __init__(self) -> None:
        self._left = _MAX_ALL

    def of(self, body: Mapping[Any, Any], depth: int, within: str = "") -> dict[str, Any]:
        """What is shown of an object, which is the value of the field `within`."""
        shown: dict[str, Any] = {}
        for name, value in body.items():
            told = self._told(name, value, depth) if isinstance(name, str) else None
            if within == "ssh" and name == "credential" and _is_credential_name(value):
                told = value
            if told is None:
                continue
            self._left -= len(name) + len(str(told))
            if self._left < 0:
                shown["cut"] = True
                break
            shown[name] = told
        return shown

    def _told(self, name: str, value: object, depth: int) -> Any:
        """What is told of a field; None: nothing."""
        if isinstance(value, Mapping):
            return self._told_map(name, value, depth)
        if name in _OPENED and isinstance(value, list) and depth < _MAX_DEPTH:
            return [self.of(item, depth + 1, name) for item in value[:_MAX_ITEMS] if isinstance(item, Mapping)]
        if name in _SHOWN:
            return _plain(value)
        return "given" if name in _GIVEN and value is not None else None

    def _told_map(self, name: str, value: Mapping[Any, Any], depth: int) -> Any:
        if name in _GIVEN:
            return "given"
        if name in _NAMED:
            return _texts(value)
        if name in _PLAIN_MAPS:
            pairs = list(value.items())[:_MAX_ITEMS]
            return {bounded(key, 100): bounded(item, 100) for key, item in pairs if isinstance(item, str)}
        if name in _OPENED | _SHOWN and depth < _MAX_DEPTH:
            return self.of(value, depth + 1, name)
        return None


def _is_credential_name(value: object) -> bool:
    return isinstance(value, str) and _CREDENTIAL_NAME.fullmatch(value) is not None


def _plain(value: object) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        # As text where another program might round it, or write it otherwise.
        return value if isinstance(value, int) and abs(value) < 1 << 53 else bounded(value, 40)
    if isinstance(value, str):
        return bounded(value)
    return _texts(value) if isinstance(value, list) else None


def _texts(values: Iterable[Any]) -> list[str]:
    items = [item for item in values if isinstance(item, str)]
    shown: list[str] = []
    left = _MAX_LIST
    for item in items[:_MAX_ITEMS]:
        text = bounded(item)
        left -= len(text)
        if left < 0:
            break
        shown.append(text)
    more = len(items) - len(shown)
    return [*shown, f"and {more} more"] if more else shown
