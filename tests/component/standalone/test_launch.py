import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from myx_standalone.accounts import Account, bound_to_parent
from myx_testkit.wait import until_sync

NOBODY = Account(65534, 65534)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")


def run(program: list[str], account: Account | None = None) -> subprocess.CompletedProcess[str]:
    argv = bound_to_parent(program, signal.SIGKILL, account)
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")


def test_a_program_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import os, signal, subprocess, sys\n"
        "from myx_standalone.accounts import bound_to_parent\n"
        "child = subprocess.Popen(bound_to_parent(['/bin/sleep', '1000'], signal.SIGTERM))\n"
        "print(child.pid, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        until_sync(lambda: Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"/bin/sleep"))
        parent.kill()
        until_sync(lambda: not Path(f"/proc/{child}/cwd").exists())


def test_a_program_that_is_not_there_is_a_sentence() -> None:
    done = run(["/nowhere/to/be/found"])
    assert done.returncode == 1
    assert done.stderr == "cannot start /nowhere/to/be/found: [Errno 2] No such file or directory\n"


@needs_root
def test_another_account_reads_below_closed_folders_and_can_do_no_more(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    (closed / "file").write_text("content")
    (closed / "file").chmod(0o600)
    assert run(["/bin/cat", str(closed / "file")], NOBODY).stdout == "content"
    assert run(["/usr/bin/id", "-u"], NOBODY).stdout == "65534\n"
    assert run(["/usr/bin/id", "-G"], NOBODY).stdout == "65534\n"
    assert "denied" in run(["/usr/bin/touch", str(closed / "new")], NOBODY).stderr
    status = run(["/bin/cat", "/proc/self/status"], NOBODY).stdout
    assert "CapEff:\t0000000000000004" in status
    assert "CapPrm:\t0000000000000004" in status


@needs_root
def test_access_agrees_with_what_can_be_read(tmp_path: Path) -> None:
    """PostgreSQL finds itself by access(2), which looks at other rights than open(2) unless told not to."""
    tmp_path.chmod(0o700)
    (tmp_path / "file").touch(0o600)
    assert run(["/usr/bin/test", "-r", str(tmp_path / "file")], NOBODY).returncode == 0


@needs_root
def test_a_program_closed_to_others_can_be_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o700)
    assert run([str(program)], NOBODY).returncode == 0
