"""Reading ends of running commands' pipes, held so that bytes in them survive a killed supervisor. Never read here."""

import contextlib
import os
from pathlib import Path

from myx_agent.spool import layout

_SWEEP_FROM = 16


class Holds:
    """Descriptors by command. Those of ended commands are let go at every doubling, and at `sweep`."""

    def __init__(self, spool: Path) -> None:
        self._commands = spool / layout.COMMANDS
        self._fds: dict[str, list[int]] = {}
        self._sweep_at = _SWEEP_FROM

    def hold(self, command_id: str) -> None:
        """Hold the pipes of a command that was just started; one that has ended already has none."""
        if command_id in self._fds:
            return
        fds = []
        for name in layout.STREAMS:
            with contextlib.suppress(OSError):
                fds.append(os.open(self._commands / command_id / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        if fds:
            self._fds[command_id] = fds
        if len(self._fds) >= self._sweep_at:
            self.sweep()
            self._sweep_at = max(_SWEEP_FROM, 2 * len(self._fds))

    def hold_all(self) -> None:
        """Hold the pipes of everything that runs."""
        for folder in self._commands.iterdir():
            if not (folder / layout.RESULT).exists():
                self.hold(folder.name)

    def sweep(self) -> None:
        """Let go of commands that have ended."""
        for command_id in list(self._fds):
            folder = self._commands / command_id
            if (folder / layout.RESULT).exists() or not folder.exists():
                self._let_go(command_id)

    def close(self) -> None:
        for command_id in list(self._fds):
            self._let_go(command_id)

    def _let_go(self, command_id: str) -> None:
        for fd in self._fds.pop(command_id):
            os.close(fd)
