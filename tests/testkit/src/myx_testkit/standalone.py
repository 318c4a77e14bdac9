"""A whole MyX on this machine for tests, run by `myx-standalone up` in a throw-away folder."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from myx_standalone import leftovers
from myx_standalone.api import Api, ApiUnavailable
from myx_standalone.home import Home
from myx_testkit.process import Program, is_alive
from myx_testkit.wait import until_sync

BIN = Path(sys.executable).parent
PARTS = ("agent", "executor", "gateway", "heartbeat", "registry", "nats", "postgres")
START_WITHIN_S = 90.0
STOP_WITHIN_S = 15.0
CLI_TIMEOUT_S = 60.0


class Standalone:
    """`start()` returns at the ready line, `stop()` at the exit. The port is a free one and is kept over restarts."""

    def __init__(
        self, folder: Path, *, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.home = Home(folder)
        self.port = 0
        self.prefix = list(prefix)
        # A login of whoever runs the tests is none of theirs.
        own = {"MYX_HOME": str(self.home.path), "XDG_CONFIG_HOME": str(folder.with_name(folder.name + ".config"))}
        self.environment = dict(os.environ) | own | dict(environment or {})
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.console = folder.with_name(folder.name + ".console")
        self.program = self._program()

    def _program(self) -> Program:
        argv = [*self.prefix, str(BIN / "myx-standalone"), "up", "--port", str(self.port), "--log-level", "debug"]
        return Program("myx-standalone", argv, self.console, self.environment)

    def start(self) -> None:
        """Start and wait for the ready line. AssertionError: it ended, or took too long."""
        self.program = self._program()
        seen = len(self.said())
        self.program.start()
        until_sync(
            lambda: "MyX is ready at" in self.said()[seen:] or not self.program.is_running(),
            START_WITHIN_S,
            interval_s=0.02,
            what="MyX is ready",
        )
        assert self.program.is_running(), self.program.output()
        self.port = int(re.findall(r"ready at http://127\.0\.0\.1:(\d+)", self.said())[-1])

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the supervisor to stop; its exit status."""
        return self.program.stop(signal_number, STOP_WITHIN_S)

    def said(self) -> str:
        """Everything on the console since the first start."""
        with contextlib.suppress(FileNotFoundError):
            return self.console.read_text()
        return ""

    def pids(self, part: str) -> list[int]:
        """Process ids of a part (PARTS), or of what watches the agent's commands (`commands`)."""
        if part == "commands":
            return [process.pid for process in self.command_processes()]
        return sorted(pid for pid, name in leftovers.of_home(self.home).items() if name == part)

    def command_processes(self) -> list[psutil.Process]:
        """What the agent started and what outlives it: found by its spool folder among arguments and open files."""
        spool, agents = str(self.home.agent), set(self.pids("agent"))
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid in agents or process.pid == os.getpid() or not is_alive(process):
                    continue
                arguments = " ".join(process.cmdline())
                if spool in arguments or any(file.path.startswith(spool) for file in process.open_files()):
                    found.append(process)
        return found

    def kill9(self, part: str) -> None:
        """SIGKILL a part and wait until its processes are gone; the supervisor starts it again."""
        processes = [psutil.Process(pid) for pid in self.pids(part)]
        assert processes, f"{part} does not run"
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        until_sync(lambda: not any(is_alive(process) for process in processes), 5, what=f"{part} is gone")

    def rss_bytes(self, part: str) -> int:
        """Resident memory of a part's processes together; 0 when it does not run now."""
        total = 0
        for pid in self.pids(part):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += int(psutil.Process(pid).memory_info().rss)
        return total

    def wait_until_well(self) -> None:
        """Wait until every service answers and the agent of this machine is online."""

        def is_well() -> bool:
            try:
                status = self.api().request("GET", "/status")
                return set(status["services"].values()) == {"ok"} and self.api().check("local")[0]
            except (ApiUnavailable, FileNotFoundError):
                return False

        until_sync(is_well, 30, interval_s=0.1, what="MyX is well")

    def api(self) -> Api:
        """The public API as the admin."""
        facts = json.loads(self.home.standalone_file.read_text())
        return Api(self.port, facts["token"])

    def cli(
        self, *arguments: str, timeout_s: float = CLI_TIMEOUT_S, **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `myx` to its end."""
        return subprocess.run(
            self.cli_argv(*arguments),
            env=self.environment,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            **options,
        )

    def follow(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `myx`; its output through pipes."""
        return subprocess.Popen(
            self.cli_argv(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def follow_first_line(self, command_id: str) -> bytes:
        """The first line of a command's output as soon as it is there."""
        follower = self.follow("logs", "-f", command_id)
        try:
            assert follower.stdout is not None
            return follower.stdout.readline()
        finally:
            follower.kill()
            follower.communicate()

    def cli_argv(self, *arguments: str) -> list[str]:
        """The command line of `myx` with these arguments."""
        return [*self.prefix, str(BIN / "myx"), *arguments]
