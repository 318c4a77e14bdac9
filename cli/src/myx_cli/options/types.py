"""Values on the command line: texts to what they mean, or ArgumentTypeError."""

import re
import time
from argparse import ArgumentTypeError
from contextlib import suppress

from myx_cli.text import parse_duration

_LONGEST_S = 315_360_000  # what the API takes
_LONGEST_GRACE_S = 3600
_SHORTEST_VALIDITY_S = 60
_LONGEST_VALIDITY_S = 365 * 86400
_MOST_TARGETS = 1_000_000
_GRANT = re.compile(r"\s*(viewer|operator|admin)(?:\s+on\s+(\S.*?))?\s*", re.DOTALL)
_SHARE = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,6}(?=%))?)(%)?")


def seconds(text: str) -> float:
    """A time."""
    try:
        return parse_duration(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a time: 90, 1.5s, 5m, 2h or 1d") from None


def limit(text: str) -> float:
    """A time that MyX takes as a limit."""
    value = seconds(text)
    if value > _LONGEST_S:
        raise ArgumentTypeError(f"{text!r} is too long: at most {_LONGEST_S // 86400} days; 0: no limit")
    return value


def grace(text: str) -> float:
    """A time between TERM and KILL."""
    value = seconds(text)
    if value > _LONGEST_GRACE_S:
        raise ArgumentTypeError(f"{text!r} is too long: at most {_LONGEST_GRACE_S} s")
    return value


def folder(text: str) -> str:
    """An absolute path on a server."""
    if not text.startswith("/"):
        raise ArgumentTypeError(f"{text!r} is not an absolute path: it is a folder of the server")
    return text


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def port(text: str) -> int:
    """A TCP port."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def offset(text: str) -> int:
    """A byte offset."""
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 63:
        raise ArgumentTypeError(f"{text!r} is not an offset: a whole number of bytes, 0 or more")
    return int(text)


def variable(text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{name!r} is not NAME=VALUE")
    return name, value


def variable_name(text: str) -> str:
    """NAME alone."""
    if not text or "=" in text:
        raise ArgumentTypeError("a name only, please: the value is read from your environment or asked for")
    return text


def secret(text: str) -> tuple[str, str | None]:
    """NAME=@FILE, or NAME alone, which is asked for; nothing that would be the secret itself."""
    name, equals, value = text.partition("=")
    if not name or (equals and (not value.startswith("@") or value == "@")):
        raise ArgumentTypeError("NAME=@FILE or NAME alone, please: a value here could be seen by others")
    return name, value[1:] if equals else None


def label_change(text: str) -> tuple[str, str | None]:
    """NAME=VALUE, or NAME- to take it away."""
    if "=" not in text and text.endswith("-") and len(text) > 1:
        return text[:-1], None
    name, value = variable(text)
    return name, value


def fingerprint(text: str) -> str:
    """A host key's fingerprint as ssh-keygen -lf shows it."""
    if not text.startswith("SHA256:") or len(text) != 50:
        raise ArgumentTypeError("not a fingerprint: SHA256: and 43 characters, as ssh-keygen -lf FILE shows it")
    return text


def share(text: str) -> str:
    """A number of servers, or a part of them: `10` or `10%`."""
    form = _SHARE.fullmatch(text)
    if form is None or not 0 < float(form[1]) <= (100 if form[2] else _MOST_TARGETS):
        raise ArgumentTypeError(f"{text!r} is not a share: a number above 0, or more than 0% to 100%")
    return text


def shares(text: str) -> list[str]:
    """Several, one after the other: `1,10%,50%`."""
    return [share(part.strip()) for part in text.split(",")]


def selector(text: str) -> str:
    """An expression that servers match."""
    if not text.strip():
        raise ArgumentTypeError("an empty selector is not everything: all is")
    return text


def allowed(text: str) -> str:
    """How much may go wrong: as a share, or 0."""
    return text if text == "0" else share(text)


def role(text: str) -> str:
    """A role."""
    if text not in {"viewer", "operator", "admin"}:
        raise ArgumentTypeError(f"{text!r} is not a role: viewer, operator or admin")
    return text


def grant(text: str) -> dict[str, str]:
    """A role on the servers that a selector matches, or on all."""
    form = _GRANT.fullmatch(text)
    if form is None:
        raise ArgumentTypeError(f"{text!r} is not a grant: 'viewer', 'operator on env=prod', 'admin on all'")
    return {"role": form[1], "selector": form[2] or "all"}


def validity(text: str) -> int:
    """How long a token is valid, in whole seconds."""
    value = seconds(text)
    if not _SHORTEST_VALIDITY_S <= value <= _LONGEST_VALIDITY_S:
        raise ArgumentTypeError(f"{text!r} is too {'long' if value > _SHORTEST_VALIDITY_S else 'short'}: 1m to 365d")
    return int(value)


def lifetime(text: str) -> int | None:
    """The same; None: for ever."""
    return None if text == "never" else validity(text)


def moment(text: str) -> str:
    """A point in time, or how long ago it was: as the API takes it."""
    from datetime import UTC, datetime

    # Without a unit it is a day (20260131) rather than seconds.
    if text.strip()[-1:].isalpha():
        with suppress(ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(time.time() - parse_duration(text), UTC).isoformat()
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is no time: 2026-01-31T12:00:00Z, or how long ago: 30m, 2h, 7d") from None


def head(text: str) -> dict[str, object]:
    """An entry of the audit trail by number and hash."""
    # The dashboard shows them with a space in between.
    number, _, digest = text.strip().replace(":", " ", 1).partition(" ")
    if not number.isascii() or not number.isdigit() or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ArgumentTypeError(f"{text!r} is not NUMBER:HASH, as myx audit verify tells it")
    return {"seq": int(number), "hash": digest}
