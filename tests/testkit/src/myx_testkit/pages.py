"""What pages of docs/ have people type."""

import re
import subprocess
import sys
from os import environ
from pathlib import Path

from myx_testkit.bundle import CHECKOUT


def lines_of(page: str, section: str) -> list[str]:
    """The indented lines of a section of a page below docs/, in their order."""
    text = (CHECKOUT / "docs" / page).read_text()
    (found,) = re.findall(rf"^## {re.escape(section)}$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for line in found.splitlines() if line.startswith("    ")]


def with_programs(folder: Path) -> Path:
    """A folder with the `.venv` of a checkout."""
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def typed(lines: list[str], folder: Path, within_s: float = 100) -> str:
    """What lines that are typed in a folder print. AssertionError: one of them failed."""
    done = subprocess.run(
        ["sh", "-e", "-x", "-c", "\n".join(lines)],
        cwd=folder,
        env={"PATH": environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
