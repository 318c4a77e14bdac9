"""Questions at the terminal."""

import sys

from myx_cli.output import note


def can_ask() -> bool:
    """Whether somebody sits at standard input."""
    return sys.stdin is not None and sys.stdin.isatty()


def yes(question: str) -> bool:
    """Whether the answer to `question` is yes; anything else is no."""
    sys.stderr.write(question)
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except (OSError, UnicodeDecodeError):
        note("no answer could be read")
        return False
