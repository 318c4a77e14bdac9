import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from myx_standalone import child as child_module
from myx_standalone.accounts import bound_to_parent
from myx_standalone.child import Child, Service
from myx_standalone.errors import StandaloneError
from myx_standalone.logs import Logs
from myx_testkit import wait

READY = "import os, signal; os.write(int(os.environ['MYX_READY_FD']), b'READY\\n')\n"


class Stage:
    """Children of a test and what they said."""

    def __init__(self, folder: Path) -> None:
        self.logs = Logs(folder)
        self.said: list[str] = []
        self.children: list[Child] = []

    def child(self, script: str, stop_within_s: float = 1.0) -> Child:
        program = [sys.executable, "-c", script]
        service = Service(
            "it", lambda: bound_to_parent(program, signal.SIGKILL), dict(os.environ), stop_within_s=stop_within_s
        )
        made = Child(service, self.logs, self.said.append)
        self.children.append(made)
        return made


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    yield made
    for child in made.children:
        await child.kill()


def pid(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


async def test_it_is_up_when_it_says_ready(stage: Stage) -> None:
    child = stage.child(READY + "signal.pause()")
    await child.start()
    await child.stop()
    assert child.process is not None
    assert child.process.returncode == -signal.SIGTERM
    assert stage.said == []


async def test_it_is_started_again_when_killed(stage: Stage) -> None:
    child = stage.child("print('up', flush=True)\n" + READY + "signal.pause()")
    await child.start()
    first = pid(child)
    os.kill(first, signal.SIGKILL)
    await wait.until(lambda: stage.logs.tail("it").count("up") == 2)
    assert pid(child) != first
    assert stage.said == [f"it was ended by SIGKILL; it is started again (log: {stage.logs.path('it')})"]


async def test_it_is_started_again_and_again_when_it_does_not_come_up(stage: Stage, tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    lives.write_text("x")
    child = stage.child(
        "import pathlib, sys\n"
        f"lives = pathlib.Path({str(lives)!r})\n"
        "text = lives.read_text()\n"
        "lives.write_text(text + 'x')\n"
        "if len(text) in (2, 3): sys.exit(3)\n" + READY + "signal.pause()"
    )
    await child.start()
    os.kill(pid(child), signal.SIGKILL)
    await wait.until(lambda: lives.read_text() == "xxxxx")
    assert [text for text in stage.said if "exit status 3 while starting" in text]


async def test_it_is_started_again_when_the_machine_has_no_room_for_it_at_first(stage: Stage) -> None:
    child = stage.child(READY + "signal.pause()")
    await child.start()
    troubles = [OSError(errno.EAGAIN, "try again"), OSError(errno.ENOMEM, "no memory")]
    argv = child.service.argv

    def before_start() -> None:
        if len(troubles) == 2:
            raise troubles.pop()

    def scarce() -> list[str]:
        if troubles:
            raise troubles.pop()
        return argv()

    child.service = replace(child.service, before_start=before_start, argv=scarce)
    first = pid(child)
    os.kill(first, signal.SIGKILL)
    await wait.until(lambda: pid(child) != first)
    assert stage.said == [
        f"it was ended by SIGKILL; it is started again (log: {stage.logs.path('it')})",
        "it cannot be started now, it is tried again: [Errno 12] no memory",
        "it cannot be started now, it is tried again: [Errno 11] try again",
    ]


async def test_a_first_start_that_fails_shows_the_log(stage: Stage) -> None:
    child = stage.child("import sys; sys.exit('no such setting')")
    with pytest.raises(
        StandaloneError, match=r"it ended with exit status 1 while starting; the end of .*it\.log:\nno such"
    ):
        await child.start()


async def test_a_first_start_that_takes_too_long_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "READY_WITHIN_S", 0.2)
    with pytest.raises(StandaloneError, match=r"it was not ready within 0\.2 s"):
        await stage.child("import signal; signal.pause()").start()


async def test_what_ignores_the_signal_is_killed_in_time(stage: Stage) -> None:
    child = stage.child(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY + "signal.pause()", 0.2
    )
    await child.start()
    async with asyncio.timeout(2):
        await child.stop()
    assert stage.said == ["it did not stop within 0.2 s and was killed"]


async def test_a_stopped_one_stays_stopped(stage: Stage) -> None:
    child = stage.child(READY + "signal.pause()")
    await child.start()
    os.kill(pid(child), signal.SIGKILL)
    await child.stop()
    last = pid(child)
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


async def test_one_that_runs_but_is_not_well_is_started_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "WELL_EVERY_S", 0.02)
    answers = iter([False, False, True, False, False, False])
    child = stage.child(READY + "signal.pause()")
    child.service = replace(child.service, is_well=lambda: next(answers, True))
    await child.start()
    first = pid(child)
    await wait.until(lambda: pid(child) != first)
    assert [line.split(" (log")[0] for line in stage.said] == [
        "it runs but does not work",
        "it was ended by SIGTERM; it is started again",
    ]
    await child.stop()


async def test_one_that_ends_while_it_is_asked_how_it_is_is_started_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "WELL_EVERY_S", 0.02)
    child = stage.child(READY + "signal.pause()")
    child.service = replace(child.service, is_well=lambda: True)
    await child.start()
    first = pid(child)
    os.kill(first, signal.SIGKILL)
    await wait.until(lambda: pid(child) != first)
    await child.stop()
