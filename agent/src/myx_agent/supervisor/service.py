"""What the agent can ask of the supervisor: start, cancel, release, status. Keeps the running commands."""

import contextlib
import json
import os
import signal
import time
from typing import Any

from myx_agent.spool import layout
from myx_agent.supervisor import pipes, processes, spawn
from myx_agent.supervisor.cgroup import Cgroup, CgroupRoot
from myx_agent.supervisor.command import Command, record_termination
from myx_agent.supervisor.handover import Pending
from myx_agent.supervisor.loop import Loop
from myx_agent.supervisor.mask import Mask
from myx_agent.supervisor.output import OutputLog, Quota
from myx_agent.supervisor.store import Limits, Store, events_bytes, remove_folder

FLUSH_DELAY_S = 1.0
EXPIRE_INTERVAL_S = 3600.0
MAX_LISTED = 400
CGROUPS_SWEPT = 8


class Refused(Exception):
    """A request that cannot be done; `reason` is one of the protocol's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def _released() -> Refused:
    return Refused("COMMAND_RELEASED", "a command with this command_id has ended and was released")


class Service:
    """Owner of all commands of one spool."""

    def __init__(self, spool: str, limits: Limits, loop: Loop, cgroups: CgroupRoot | None) -> None:
        self.spool = spool
        self.loop = loop
        self.cgroups = cgroups
        self.limits = limits
        self.store = Store(spool, limits)
        self.boot_id = layout.boot_id()
        self.running: dict[str, Command] = {}
        self.lingering: dict[str, pipes.Drain] = {}
        # Of an earlier supervisor, and not taken over yet: they count as running.
        self.pending: dict[str, Pending] = {}
        # The ends that the spool does not hold, as result.json would have them. No digest: not known.
        self.unsaid: dict[str, dict[str, Any]] = {}
        self._leaders: dict[int, Command] = {}
        self._unsynced: list[str] = []
        self._flusher = 0
        self._flush_planned = False
        self._cgroups_left: dict[str, Cgroup] = {}
        loop.watch_signal(signal.SIGCHLD, self.reap)
        loop.call_later(EXPIRE_INTERVAL_S, self._expire)

    def quota(self) -> Quota:
        return Quota(self.limits.command_bytes, self.limits.min_free_bytes, self.store.make_room)

    def start(self, spec: dict[str, Any], stdin: int | None) -> dict[str, Any]:
        """Run a command unless its id is known. Returns {state, existing}."""
        command_id, digest = spec["command_id"], spec["digest"]
        known = self._known(command_id)
        if known is not None:
            state, known_digest = known
            if known_digest not in {digest, ""}:
                raise Refused("COMMAND_CONFLICT", "this command_id belongs to a command with other arguments")
            return {"state": state, "existing": True}
        if self.store.was_released(command_id):
            raise _released()
        if len(self.running) >= self.limits.max_running:
            raise Refused("TOO_MANY_COMMANDS", "too many commands are running")
        folder = layout.command_dir(self.spool, command_id)
        try:
            self._start(spec, folder, stdin)
        except OSError as error:
            remove_folder(folder)
            raise Refused("SPOOL_UNAVAILABLE", f"the command cannot be recorded: {error.strerror}") from None
        return {"state": "running", "existing": False}

    def cancel(self, command_id: str, grace_s: float, *, forbid: bool = False) -> dict[str, Any]:
        """Begin to end a command. Returns {state}; of one that has ended nothing changes.

        One that is not known is refused, or with `forbid` never started: what was sent may still be on its way.
        """
        command = self.running.get(command_id)
        if command is not None:
            command.terminate("cancelled", grace_s)
            return {"state": "running"}
        if command_id in self.pending:
            record_termination(layout.command_dir(self.spool, command_id), "cancelled", grace_s)
            return {"state": "running"}
        known = self._known(command_id)
        if known is None and forbid:
            if not self.store.forbid(command_id):
                raise _released()
            return {"state": "forbidden"}
        if known is None:
            raise Refused("COMMAND_NOT_FOUND", "no such command")
        return {"state": known[0]}

    def release(self, command_id: str) -> None:
        if command_id in self.running or command_id in self.pending:
            raise Refused("COMMAND_RUNNING", "the command is still running")
        if self._known(command_id) is not None:
            self.unsaid.pop(command_id, None)
            self.store.release(command_id)

    def status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "running": len(self.running) + len(self.pending),
            "finished": self.store.finished_count,
            "used_bytes": self.store.used,
            "ids": sorted([*self.running, *self.pending])[:MAX_LISTED],
            "has_cgroups": self.cgroups is not None,
        }

    @property
    def is_idle(self) -> bool:
        """Nothing runs."""
        return not self.running and not self.pending

    def told_status(self, pid: int, status: int) -> None:
        """A process that is no child of ours was reaped by the agent."""
        command = self._leaders.get(pid)
        if command is None or not command.is_child:
            self._reaped(pid, status)

    def enlist(self, command: Command) -> None:
        for other in self.running.values():
            other.ran_alone = command.ran_alone = False
        self.running[command.id] = command
        self._leaders[command.pid] = command

    def dismiss(self, command: Command) -> None:
        """Undo `enlist`."""
        self.running.pop(command.id, None)
        self._leaders.pop(command.pid, None)
        command.abandon()

    def orphans_of(self, command: Command) -> set[int]:
        """Children of ours that are, or may be, left of `command`: proof that it is gone is that there are none."""
        children = processes.children_of_self()
        if children is None:
            children = [process.pid for process in processes.table().values() if process.parent == os.getpid()]
        found = set()
        for pid in children:
            if pid in self._leaders or pid == self._flusher:
                continue
            process = processes.read_process(pid)
            if process is None or not process.alive or process.start_ticks < command.start_ticks:
                continue
            if processes.tag_of(pid) in {None, command.id}:  # one that wiped its environment may be anybody's
                found.add(pid)
        return found

    def ended(self, command: Command) -> None:
        self.running.pop(command.id, None)
        self._leaders.pop(command.pid, None)
        self.store.give_back(command.log.reserved)
        if self._exists(command.folder):
            disk_bytes = command.log.disk_bytes + events_bytes(command.folder)
            self.store.add_finished(command.id, time.time(), disk_bytes)
            self._plan_flush(command.folder)
        self.drain(command.id, command.folder, command.give_pipes())
        if command.cgroup is not None:
            self._cgroups_left[command.id] = command.cgroup
        for name in list(self._cgroups_left)[:CGROUPS_SWEPT]:
            cgroup = self._cgroups_left.pop(name)
            if not cgroup.remove():
                self._cgroups_left[name] = cgroup  # processes are in it: at the end of the queue

    def drain(self, command_id: str, folder: str, readers: dict[int, int]) -> None:
        """Keep the pipes of an ended command flowing until the last background process closed them."""
        if readers:
            self.lingering[command_id] = pipes.Drain(self.loop, folder, readers, lambda: self._drained(command_id))

    def reap(self) -> None:
        """Collect every child that has ended: leaders, and orphans that fell to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._flusher:
                self._flusher = 0
            else:
                self._reaped(pid, status)

    def _drained(self, command_id: str) -> None:
        self.lingering.pop(command_id, None)

    def _start(self, spec: dict[str, Any], folder: str, stdin: int | None) -> None:
        command_id = spec["command_id"]
        user = spawn.User(**spec["user"]) if spec["user"] else None
        remove_folder(folder)  # of an earlier start that provably never happened
        os.mkdir(folder, 0o700)  # noqa: PTH102
        layout.write_whole(f"{folder}/{layout.META}", json.dumps(spec["meta"]).encode())
        pipes.make(folder, user)
        cgroup = self.cgroups.of(command_id) if self.cgroups else None
        if cgroup is not None:
            try:
                cgroup.make()
            except OSError:
                cgroup = None
        secrets = [value.encode(errors="surrogateescape") for value in spec["secrets"]]
        log = OutputLog(folder, self.quota())
        command = Command(self, command_id, folder, log, {1: Mask(secrets), 2: Mask(secrets)}, cgroup)
        command.digest = spec["digest"]
        writers = pipes.open_writers(folder)
        program = spawn.Program(spec["argv"], spec["env"], spec["cwd"], user)
        try:
            child = spawn.fork(program, folder, stdin, writers, cgroup)
        except OSError:
            log.close()
            raise
        finally:
            for fd in writers:
                os.close(fd)
        self._record_start(command, child)
        if not child.in_cgroup:
            command.cgroup = None
        command.open_pipes()
        command.watch_errors(child.errors)
        self.enlist(command)
        command.set_clocks(spec["timeout_s"], spec["no_output_timeout_s"])
        spawn.release(child)

    def _record_start(self, command: Command, child: spawn.Child) -> None:
        process = processes.read_process(child.pid)
        command.pid = child.pid
        command.start_ticks = process.start_ticks if process else 0
        command.started_at, command.started_mono = time.time(), time.monotonic()
        text = f"{child.pid} {command.start_ticks} {command.started_mono} {command.started_at} {self.boot_id}\n"
        try:
            layout.write_whole(f"{command.folder}/{layout.PID}", text.encode())
        except OSError:
            os.kill(child.pid, signal.SIGKILL)  # it waits for its go: nothing was executed
            os.close(child.go)
            os.close(child.errors)
            command.log.close()
            raise

    def _known(self, command_id: str) -> tuple[str, str] | None:
        """(state, digest) of a command; None when there is none. The digest is empty where it was lost."""
        command = self.running.get(command_id)
        if command is not None:
            return "running", command.digest
        if command_id in self.pending:
            return "running", ""
        text = layout.read_whole(f"{layout.command_dir(self.spool, command_id)}/{layout.RESULT}")
        record = layout.parse_result(text) or self.unsaid.get(command_id)
        return None if record is None else (record["state"], record["digest"])

    def _reaped(self, pid: int, status: int) -> None:
        command = self._leaders.get(pid)
        if command is not None:
            command.reaped(status)
            return
        for pending in self.pending.values():
            if pending.pid == pid and pending.status is None:
                pending.status, pending.ended_at = status, time.time()

    def _exists(self, folder: str) -> bool:
        return os.path.isdir(folder)  # noqa: PTH112

    def _expire(self) -> None:
        self.store.expire()
        self.loop.call_later(EXPIRE_INTERVAL_S, self._expire)

    def _plan_flush(self, folder: str) -> None:
        if len(self._unsynced) < 10_000:
            self._unsynced.append(folder)
        if not self._flush_planned:
            self._flush_planned = True
            self.loop.call_later(FLUSH_DELAY_S, self._flush)

    def _flush(self) -> None:
        """Make results durable in a child, so that a slow disk stops nobody."""
        if self._flusher:
            self.loop.call_later(FLUSH_DELAY_S, self._flush)
            return
        self._flush_planned = False
        folders, self._unsynced = self._unsynced, []
        with contextlib.suppress(OSError):
            pid = os.fork()
            if pid == 0:
                _sync(folders)
            self._flusher = pid


def _sync(folders: list[str]) -> None:
    try:
        os.closerange(3, 65536)  # above all the lock: it must not outlive the supervisor here
        for folder in folders:
            for name in (layout.LOG, layout.INDEX, layout.EVENTS, layout.RESULT, ""):
                with contextlib.suppress(OSError):
                    layout.fsync_path(f"{folder}/{name}")
    finally:
        os._exit(0)
