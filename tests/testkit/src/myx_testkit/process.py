"""Programs under test: started with their output in a file, which is shown when a test fails."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import psutil

from myx_testkit.wait import until_sync

OUTPUT_TAIL_BYTES = 6000
KILL_WAIT_S = 10


class Program:
    """A program with its arguments, that can be started, killed and started again. It writes (both streams) to `log`.

    All programs started since a test began are in `Program.recent`; the plugin shows their output when the test fails.
    """

    recent: ClassVar[list["Program"]] = []

    def __init__(
        self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.name, self.argv, self.log, self.env, self.cwd = name, list(argv), log, env, cwd
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running (or last) process. AssertionError: never started."""
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    def start(self) -> None:
        """Start it (again); its own session, standard input closed."""
        assert not self.is_running(), f"{self.name} runs already"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.argv,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if self not in Program.recent:
            Program.recent.append(self)

    def is_running(self) -> bool:
        """Whether the process is there (a zombie is not)."""
        return self.process is not None and self.process.poll() is None

    def kill9(self, *, with_children: bool = False) -> None:
        """SIGKILL the process and wait until it is gone; with its descendants where asked."""
        assert self.process is not None
        family = []
        if with_children:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = psutil.Process(self.process.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(KILL_WAIT_S)
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        until_sync(lambda: not any(is_alive(member) for member in family), KILL_WAIT_S, what="its children are gone")

    def stop(self, signal_number: signal.Signals = signal.SIGTERM, timeout_s: float = 10) -> int:
        """Ask it to stop and wait; its exit status. One that does not stop in time is killed and fails the test."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal_number)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill9(with_children=True)
            raise AssertionError(
                f"{self.name} did not stop within {timeout_s} s of {signal_number.name}\n{self.output()}"
            ) from None

    def output(self) -> str:
        """The end of what it wrote so far."""
        with contextlib.suppress(FileNotFoundError):
            return self.log.read_bytes()[-OUTPUT_TAIL_BYTES:].decode(errors="replace")
        return ""


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie that its parent has not collected yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
