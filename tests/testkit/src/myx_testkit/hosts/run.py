"""Running the machine's own programs."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

WITHIN_S = 60.0


class Failed(AssertionError):
    """A program that should have succeeded did not; the message has what it said."""


def run(
    argv: Sequence[str | Path], *, stdin: str | None = None, timeout_s: float = WITHIN_S, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Its exit status and both outputs as text. Failed: it exited with another status than 0, where that is checked."""
    words = [str(word) for word in argv]
    given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    done = subprocess.run(
        words, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False, **given
    )
    if check and done.returncode:
        raise Failed(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done
