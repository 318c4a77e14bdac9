"""Small programs that the agent runs for itself, beside the commands that its supervisor owns."""

import asyncio
import contextlib
import os
import signal

_MAX_OUTPUT = 64 * 1024
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ProgramFailed(Exception):
    """It could not be started, or did not end in time and was killed. One line."""


class Programs:
    """Runs programs; whoever reaps this process's children passes their statuses to `ended`."""

    def __init__(self) -> None:
        self._running: dict[int, asyncio.Future[int]] = {}

    async def run(self, argv: list[str], timeout_s: float) -> tuple[int, str]:
        """(exit code, output), the code negative for a signal. Raises ProgramFailed."""
        output = os.memfd_create("output")
        try:
            pid = self._spawn(argv, output)
            ended = self._running[pid]
            try:
                async with asyncio.timeout(timeout_s):
                    status = await asyncio.shield(ended)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                raise ProgramFailed(f"{argv[0]} did not end within {timeout_s:.0f} s") from None
            return os.waitstatus_to_exitcode(status), os.pread(output, _MAX_OUTPUT, 0).decode(errors="replace")
        finally:
            os.close(output)

    def ended(self, pid: int, status: int) -> bool:
        """A child was reaped; True when it was one of ours."""
        future = self._running.pop(pid, None)
        if future is None:
            return False
        if not future.done():
            future.set_result(status)
        return True

    def _spawn(self, argv: list[str], output: int) -> int:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment.setdefault("PATH", _DEFAULT_PATH)
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGPIPE],
            )
        except OSError as error:
            raise ProgramFailed(f"{argv[0]}: {error.strerror}") from None
        self._running[pid] = asyncio.get_running_loop().create_future()
        return pid
