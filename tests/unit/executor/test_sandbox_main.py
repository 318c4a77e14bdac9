"""The parent of a play."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from myx_executor.adapters import sandbox


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


# What libraries do with files that they make themselves goes on: the modes are the umask's.
ORDINARY = """
import os, resource, shutil, subprocess, sys
os.chdir(sys.argv[1])
open("a", "w").write("text")
os.chmod("a", 0o666)
os.utime("a")
shutil.copy2("a", "b")
shutil.copytree(".", "c", ignore=shutil.ignore_patterns("c"))
subprocess.run(["cp", "-p", "a", "d"], check=True)
subprocess.run(["bash", "-c", "ulimit -n >/dev/null; umask 0; touch e"], check=True)
with open("a", "r+") as file:
    file.truncate(2)
resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
os.sched_setaffinity(0, os.sched_getaffinity(0))
print(sorted(os.listdir()), oct(os.stat("a").st_mode & 0o777), open("a").read(), open("c/b").read())
"""


@pytest.mark.skipif(not sandbox.available(), reason="needs Landlock")
def test_files_of_a_play_are_its_users_alone(tmp_path: Path) -> None:
    done = run("--write", str(tmp_path), "--", sys.executable, "-I", "-c", ORDINARY, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['a', 'b', 'c', 'd', 'e'] 0o600 te text\n"
