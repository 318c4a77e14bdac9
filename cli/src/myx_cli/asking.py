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
        answer = sys.stdin.readline()
    except (OSError, UnicodeDecodeError):
        note("no answer could be read")
        return False
    if not answer.endswith("\n"):  # Ctrl-D: the line of the question is not ended
        sys.stderr.write("\n")
    return answer.strip().lower() in {"y", "yes"}
