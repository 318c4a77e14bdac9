"""One running command: its pipes, its clocks, its end."""

import contextlib
import functools
import json
import os
import select
import signal
import time
from typing import Protocol

from myx_agent.spool import layout
from myx_agent.supervisor import pipes, processes
from myx_agent.supervisor.cgroup import Cgroup
from myx_agent.supervisor.loop import Loop, Timer
from myx_agent.supervisor.mask import Mask
from myx_agent.supervisor.output import OutputLog
from myx_agent.supervisor.result import Ending, make_result
from myx_agent.supervisor.tree import Tree

EOF_GRACE_S = 1.0
PROOF_WAIT_S = 10.0
REAP_WAIT_S = 2.0
LOOK_S = 1.0
RESULT_RETRY_S = 1.0


class Owner(Protocol):
    """What a command needs of its supervisor."""

    loop: Loop

    def orphans_of(self, command: "Command") -> set[int]: ...
    def ended(self, command: "Command") -> None: ...


class Command:
    """A command from its fork (or adoption) to its result. All methods run in the supervisor's loop."""

    def __init__(  # noqa: PLR0917 - what a command is made of
        self,
        owner: Owner,
        command_id: str,
        folder: str,
        log: OutputLog,
        mask: dict[int, Mask],
        cgroup: Cgroup | None,
    ) -> None:
        self.id = command_id
        self.folder = folder
        self.log = log
        self.cgroup = cgroup
        self.digest = ""
        self.pid = 0
        self.start_ticks = 0
        self.started_at = 0.0
        self.started_mono = 0.0
        self.executed = False
        self.is_child = True
        self.ran_alone = True  # no other command ran at any time of its life
        self.mask = mask
        self.result: dict[str, object] | None = None
        self._owner = owner
        self._loop = owner.loop
        self._pipes: dict[int, int] = {}
        self._error_pipe: int | None = None
        self._spawn_error: str | None = None
        self._pidfd: int | None = None
        self._status: int | None = None
        self._exited = False
        self._ended_at = 0.0
        self._stop_reason: str | None = None
        self._kill_from: float | None = None
        self._last_output = 0.0
        self._no_output_timeout_s: float | None = None
        self._timers: list[Timer] = []
        self._eof_timer: Timer | None = None

    def open_pipes(self) -> None:
        """Open the reading ends of the FIFOs and drain them from now on."""
        self._pipes = pipes.open_readers(self.folder)
        for stream, fd in self._pipes.items():
            self._loop.add(fd, functools.partial(self._on_output, stream))

    def watch_errors(self, fd: int) -> None:
        """Learn by the child's pipe whether it was executed."""
        self._error_pipe = fd
        self._loop.add(fd, lambda _events: self._read_error_pipe())

    def watch_pidfd(self) -> None:
        """Learn of the leader's end though it is not our child. It has ended already when there is none."""
        self.is_child = False
        try:
            self._pidfd = os.pidfd_open(self.pid)
            self._loop.add(self._pidfd, lambda _events: self.gone_without_status())
        except ProcessLookupError:
            self.gone_without_status()
        except OSError:  # an old kernel, or no descriptor is left
            self._close_pidfd()
            self._watch_process()

    def _watch_process(self) -> None:
        if self._exited:
            return
        if self._leader_has_ended():
            self.gone_without_status()
        else:
            self._loop.call_later(LOOK_S, self._watch_process)

    def abandon(self) -> None:
        """Undo an adoption that failed half-way: this object does nothing any more, the command lives on."""
        self._exited, self._kill_from = True, None
        self._cancel_timers()
        if self._eof_timer is not None:
            self._eof_timer.cancel()
        self._close_pidfd()
        for fd in self.give_pipes().values():
            os.close(fd)

    def set_clocks(self, timeout_s: float | None, no_output_timeout_s: float | None) -> None:
        self._last_output = time.monotonic()
        self._no_output_timeout_s = no_output_timeout_s
        if timeout_s:
            self._timers.append(self._loop.call_at(self.started_mono + timeout_s, lambda: self.terminate("timeout")))
        if no_output_timeout_s:
            self._timers.append(self._loop.call_later(no_output_timeout_s, self._check_output))

    def resume_termination(self) -> None:
        """Go on with a termination that an earlier supervisor began."""
        text = layout.read_whole(f"{self.folder}/{layout.CANCEL}")
        if text is not None and self.result is None and not self._exited:
            begun = json.loads(text)
            self._begin_termination(begun["reason"], max(0.0, begun["at"] + begun["grace_s"] - time.time()))

    @property
    def starting(self) -> bool:
        """It is not known yet whether the child was executed."""
        return self._error_pipe is not None

    @property
    def stopping(self) -> bool:
        return self._stop_reason is not None

    def terminate(self, reason: str, grace_s: float = 10.0) -> None:
        """TERM to the whole tree, KILL after `grace_s`. A leader that had already ended keeps its own outcome."""
        if self.result is not None or self._exited or self._leader_has_ended():
            return
        if self._stop_reason is not None:
            if self._kill_from is not None:
                self._kill_from = min(self._kill_from, time.monotonic() + grace_s)
            return
        record_termination(self.folder, reason, grace_s)
        self._begin_termination(reason, grace_s)

    def reaped(self, status: int | None, ended_at: float | None = None) -> None:
        """The leader is gone; `status` as of waitpid, None when nobody could tell. `ended_at`: it is on record."""
        if self._exited:
            return
        self._exited = True
        self._status = status
        self._ended_at = ended_at or time.time()
        if self._error_pipe is not None:
            self._read_error_pipe()
        if status is not None and ended_at is None and self._spawn_error is None:
            self._note(f"exit {status} {self._ended_at}\n")  # for the next supervisor: its pipes may stay open a while
        self._cancel_timers()
        self._close_pidfd()
        if self._stop_reason is None:
            self._eof_timer = self._loop.call_later(EOF_GRACE_S, self._finish)
        self._finish_if_done()

    @property
    def pipe_fds(self) -> list[int]:
        return list(self._pipes.values())

    def give_pipes(self) -> dict[int, int]:
        """The pipes that background processes still hold; whoever takes them drains them."""
        given, self._pipes = self._pipes, {}
        for fd in given.values():
            self._loop.remove(fd)
        return given

    def _on_output(self, stream: int, _events: int) -> None:
        try:
            size = os.readv(self._pipes[stream], [pipes.buffer])
        except BlockingIOError:
            return
        if size == 0:
            self._close_pipe(stream)
            self._finish_if_done()
            return
        if self.result is not None:
            return  # the end is said: what comes now is drained to nowhere
        self._last_output = self._loop.now
        mask = self.mask[stream]
        if mask.active:
            self.log.write(stream, memoryview(mask.feed(bytes(pipes.view[:size]))))
        else:
            self.log.write(stream, pipes.view[:size])

    def _close_pipe(self, stream: int) -> None:
        fd = self._pipes.pop(stream)
        self._loop.remove(fd)
        os.close(fd)
        pipes.remove(self.folder, stream)

    def _read_error_pipe(self) -> None:
        fd = self._error_pipe
        if fd is None:
            return
        try:
            text = os.read(fd, 64)
        except BlockingIOError:
            return
        self._error_pipe = None
        self._loop.remove(fd)
        os.close(fd)
        if text:
            self._spawn_error = text.decode()
            return
        self.executed = True
        if self.stopping and not self._exited:
            self._tree().signal(signal.SIGTERM)  # before, the child still ignored it as its supervisor does
        self._note("exec\n")

    def _note(self, line: str) -> None:
        """Add a line to the record of this start."""
        with contextlib.suppress(OSError):
            record = os.open(f"{self.folder}/{layout.PID}", os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.write(record, line.encode())
            finally:
                os.close(record)

    def _check_output(self) -> None:
        if self._exited or self._no_output_timeout_s is None:
            return
        due = self._last_output + self._no_output_timeout_s
        if due <= time.monotonic():
            self.terminate("no_output_timeout")
        else:
            self._timers.append(self._loop.call_at(due, self._check_output))

    def _leader_has_ended(self) -> bool:
        if self.is_child:
            with contextlib.suppress(ChildProcessError):
                return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
            return True
        if self._pidfd is None:
            return processes.has_ended(self.pid, self.start_ticks)
        poll = select.poll()  # select() knows the first thousand descriptors only
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def gone_without_status(self) -> None:
        """Not our child: whoever reaped it may still tell its status (`reaped`); else the outcome is lost."""
        if self._pidfd is not None:
            self._loop.remove(self._pidfd)
        if not self._exited:
            self._timers.append(self._loop.call_later(REAP_WAIT_S, lambda: self.reaped(None)))

    def _close_pidfd(self) -> None:
        if self._pidfd is not None:
            self._loop.remove(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _tree(self) -> Tree:
        sure = (lambda: self._owner.orphans_of(self)) if self.is_child and self.ran_alone else set[int]
        return Tree(self.id, self.pid, self.start_ticks, self.cgroup, sure)

    def _begin_termination(self, reason: str, grace_s: float) -> None:
        self._stop_reason = reason
        self._kill_from = time.monotonic() + grace_s
        if grace_s > 0:
            self._tree().signal(signal.SIGTERM, search_all=not self.is_child)
        self._pursue(0.01)

    def _pursue(self, pause_s: float) -> None:
        """Look after a termination until the tree is gone: wait for the grace, then kill and look again."""
        if self.result is not None or self._kill_from is None:
            return
        late = time.monotonic() - self._kill_from
        left = {self.pid}
        if late >= 0:
            left = self._tree().kill()
        elif self._exited:
            left = self._tree().members(search_all=not self.is_child)
        if not left and self._exited and (self.cgroup is None or self.cgroup.is_empty()):
            self._finish_if_done()
            if self.result is None and self._eof_timer is None:
                self._eof_timer = self._loop.call_later(EOF_GRACE_S, self._finish)
            return
        if self._exited and late > PROOF_WAIT_S:
            self._finish()
            return
        wait = pause_s if late >= 0 else min(pause_s, -late)
        self._loop.call_later(wait, lambda: self._pursue(min(pause_s * 1.5, 1.0 if late > 1 else 0.1)))

    def _finish_if_done(self) -> None:
        if self.result is None and self._exited and not self._pipes and (not self.stopping or self._tree_is_gone()):
            self._finish()

    def _tree_is_gone(self) -> bool:
        """Proved, not believed: by the cgroup, and by the subreaper's view where the command is our own child."""
        if self.cgroup is not None and not self.cgroup.is_empty():
            return False
        if self.stopping and self._tree().members(search_all=not self.is_child):
            return False
        return not self._owner.orphans_of(self) if self.is_child else self.cgroup is not None

    def _finish(self) -> None:
        if self.result is not None:
            return
        for stream, mask in self.mask.items():
            self.log.write(stream, memoryview(mask.finish()))
        if self._eof_timer is not None:
            self._eof_timer.cancel()
        ending = Ending(
            status=self._status,
            executed=self.executed or self.log.end > 0,
            spawn_error=self._spawn_error,
            stop_reason=self._stop_reason,
            started_at=self.started_at,
            ended_at=self._ended_at,
            tree_gone=self._tree_is_gone(),
        )
        self.result = make_result(ending, self.log, self.digest)
        self._write_result()

    def _write_result(self) -> None:
        """Publish the end. On a full disk it is tried again until it can be written: no command ends unsaid."""
        try:
            layout.write_whole(f"{self.folder}/{layout.RESULT}", json.dumps(self.result).encode())
        except FileNotFoundError:
            pass  # somebody removed the folder; nobody can ask for it any more
        except OSError:
            self._loop.call_later(RESULT_RETRY_S, self._write_result)
            return
        self.log.close()
        self._owner.ended(self)

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


def record_termination(folder: str, reason: str, grace_s: float) -> None:
    """Have the next supervisor, or the next adoption, go on with a termination."""
    text = json.dumps({"reason": reason, "grace_s": grace_s, "at": time.time()})
    with contextlib.suppress(OSError):
        layout.write_whole(f"{folder}/{layout.CANCEL}", text.encode())
