"""Small texts: cleaned of control characters, durations, sizes."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]+")
# JSON itself escapes those below U+0020.
_RAW_IN_JSON = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]")
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)?")
_UNIT_S = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def clean(text: object) -> str:
    """One line of `text` that cannot steer a terminal: control and direction characters become a space."""
    return _CONTROL.sub(" ", str(text)).strip()


def escaped(document: str) -> str:
    """The same JSON, with control and direction characters that a terminal heeds as `\\u` escapes."""
    return _RAW_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def parse_duration(text: str) -> float:
    """Seconds of `90`, `1.5s`, `500ms`, `5m`, `2h` or `1d`. ValueError for anything else, negative numbers included."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return float(match[1]) * _UNIT_S[match[2]]


def format_duration(seconds: float) -> str:
    """`24 ms`, `1.3 s`, `42 s`, `5 min`, `3 h`, `2 d`: the largest unit that fits, for people."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def format_size(size: object) -> str:
    """Bytes as `512 B`, `3.4 kB`, `100 MB`."""
    if not isinstance(size, int | float):
        return ""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
