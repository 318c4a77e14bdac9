"""Plays over SSH: Ansible beside the executor, in a process that holds no credential."""

from collections.abc import AsyncIterator
from pathlib import Path

from myx_executor.adapters.ssh import SshSession
from myx_executor.domain.ssh import PlayItem, PlaySpec


class PlayOverSsh:
    """Starts plays; `run_play` is the shipped tool's scripts/run_play.py, `work_dir` scratch (None: the system's)."""

    def __init__(self, run_play: Path, work_dir: Path | None = None) -> None:
        self._run_play = run_play
        self._work_dir = work_dir

    async def start(self, session: SshSession, spec: PlaySpec) -> "RunningPlay":
        """A play on the session's host. FailedPrecondition `ISOLATION_UNAVAILABLE` for pushed projects without Landlock."""
        raise NotImplementedError


class RunningPlay:
    """`async with` it or call close(): nothing of it is left then."""

    def items(self) -> AsyncIterator[PlayItem]:
        """Output and events as they come, PlayEnd last; slow readers slow the play down."""
        raise NotImplementedError

    async def cancel(self, grace_s: float = 10.0) -> None:
        """TERM, then KILL of the play and of what it had running on the host; items() ends with PlayEnd(cancelled)."""
        raise NotImplementedError

    async def close(self) -> None:
        """Kills what still runs and removes its folder."""
        raise NotImplementedError

    async def __aenter__(self) -> "RunningPlay":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
