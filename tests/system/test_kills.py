"""kill -9 of any one part in the middle of a command: every line once, and the true exit code."""

import os
import threading
from contextlib import suppress

import pytest

from myx_testkit.standalone import PARTS, Standalone

LINES = 60
EXIT = 3
SCRIPT = f"i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; sleep 0.05; done; exit {EXIT}"


@pytest.mark.parametrize("part", PARTS)
def test_a_follower_sees_every_line_once(myx: Standalone, part: str) -> None:
    with myx.follow("run", "local", "--", "sh", "-c", SCRIPT) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        watchdog = threading.Timer(60, follower.kill)
        watchdog.start()
        try:
            seen = [follower.stdout.readline() for _ in range(10)]
            before = myx.pids(part)
            myx.kill9(part)
            seen += list(follower.stdout)
            said = follower.stderr.read()
            status = follower.wait()
        finally:
            watchdog.cancel()
    assert seen == [f"line {number}\n".encode() for number in range(1, LINES + 1)], said
    assert status == EXIT, said
    myx.wait_until_well()
    assert set(myx.pids(part)).isdisjoint(before)


def test_a_command_started_right_after_a_kill_runs(myx: Standalone) -> None:
    for part in ("executor", "agent"):
        myx.kill9(part)
        done = myx.cli("run", "local", "--", "echo", "there", timeout_s=60)
        assert (done.returncode, done.stdout) == (0, b"there\n"), (part, done.stderr)
    myx.wait_until_well()


def test_everything_killed_at_once_but_the_supervisor_comes_back(myx: Standalone) -> None:
    follower = myx.follow("run", "local", "--", "sh", "-c", SCRIPT)
    assert follower.stdout is not None
    seen = [follower.stdout.readline() for _ in range(10)]
    for part in PARTS:
        for pid in myx.pids(part):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
    rest, said = follower.communicate(timeout=60)
    lines = b"".join(seen) + rest
    assert lines == b"".join(f"line {number}\n".encode() for number in range(1, LINES + 1)), said
    assert follower.returncode == EXIT
    myx.wait_until_well()
