"""The parent of a play."""

import os
import subprocess
import sys
from pathlib import Path


def run(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", "-m", "myx_executor.adapters.sandbox_main", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def test_it_runs_a_program_for_the_parent_that_is_there() -> None:
    done = run("--parent", str(os.getpid()), "--open", "--", "/bin/sh", "-c", "echo said; exit 3")
    assert (done.returncode, done.stdout) == (3, "said\n")


def test_a_parent_that_went_before_it_began_has_no_play(tmp_path: Path) -> None:
    done = run("--parent", "1", "--open", "--", "/bin/sh", "-c", f"touch {tmp_path}/started")
    assert done.returncode == 137
    assert not (tmp_path / "started").exists()
