"""Take over the commands that an earlier supervisor (crashed, replaced, or of an earlier boot) left in the spool."""

import contextlib
import errno
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any

from myx_agent.spool import index, layout
from myx_agent.supervisor import pipes, processes
from myx_agent.supervisor.command import RESULT_RETRY_S, Command
from myx_agent.supervisor.handover import Handover, Pending
from myx_agent.supervisor.mask import Mask
from myx_agent.supervisor.output import OutputLog
from myx_agent.supervisor.result import Ending, make_result, unknown_result
from myx_agent.supervisor.service import Service
from myx_agent.supervisor.store import events_bytes, mark_evicted, remove_folder
from myx_agent.supervisor.tree import Tree

_EXEC_WAIT_S = 0.5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
TRIES = 8  # two minutes
CHECKED_RECORDS = 4 << 20  # of all indexes together at one start: about a second


def adopt_all(service: Service, handovers: dict[str, Handover]) -> None:
    """Read the whole spool: finished commands are counted, running ones go on, the rest gets its honest end.

    A folder that cannot be read costs its own command: it is tried again while the trouble may pass or the command
    lives; otherwise its end is unknown. It is never run again.
    """
    service.store.load_released()
    folder = f"{service.spool}/{layout.COMMANDS}"
    ended: list[tuple[float, str, dict[str, Any]]] = []
    for name in os.listdir(folder):  # noqa: PTH208
        record = _take_over(service, name, handovers.get(name))
        if record is not None:
            ended.append((float(record["ended_at"]), name, record))
    budget = _Budget(CHECKED_RECORDS)
    for _ended_at, name, record in sorted(ended, key=lambda item: item[:2]):
        _count(service, name, record, budget)
    if service.cgroups is not None:
        for name in service.cgroups.leftovers():
            if name not in service.running and name not in service.pending:
                service.cgroups.of(name).remove()


def _take_over(service: Service, name: str, handover: Handover | None) -> dict[str, Any] | None:
    """Go on with one command. Returns what result.json says once it has ended."""
    path = layout.command_dir(service.spool, name)
    try:
        record = _read_result(path)
        if record is None:
            _adopt(service, name, path, handover)
            record = _read_result(path)
    except Exception as error:  # noqa: BLE001 - one folder's trouble must not keep the agent from starting
        _report(name)
        if name in service.running:
            return None  # it has ended, and goes on trying to say so
        return _put_off(service, name, path, handover, error)
    service.pending.pop(name, None)
    return record


def _put_off(
    service: Service, name: str, path: str, handover: Handover | None, error: Exception
) -> dict[str, Any] | None:
    """Try again later. What keeps failing though nothing runs any more is set aside; returns its result then."""
    pending = service.pending.setdefault(name, Pending(handover))
    lives = False
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        record = layout.parse_pid_record(layout.read_whole(f"{path}/{layout.PID}"))
        if record is not None and record.boot_id == service.boot_id:
            pending.pid = record.pid
            lives = not processes.has_ended(record.pid, record.start_ticks)
            _kill_if_due(service, name, path, record)
    if not lives and (not isinstance(error, OSError | MemoryError) or pending.tries >= TRIES):
        del service.pending[name]
        return _set_aside(service, name, path)
    pause_s = min(FIRST_PAUSE_S * 2**pending.tries, LONGEST_PAUSE_S)
    pending.tries = min(pending.tries + 1, TRIES)
    service.loop.call_later(pause_s, lambda: _try_again(service, name))
    return None


def _try_again(service: Service, name: str) -> None:
    pending = service.pending.get(name)
    if pending is not None and (record := _take_over(service, name, pending.handover)) is not None:
        _count(service, name, record, _Budget(0))


def _kill_if_due(service: Service, name: str, path: str, record: layout.PidRecord) -> None:
    """A command that is to end does so also while it cannot be taken over."""
    begun = layout.parse_document(layout.read_whole(f"{path}/{layout.CANCEL}"))
    if begun is not None and begun["at"] + begun["grace_s"] <= time.time():
        cgroup = service.cgroups.of(name) if service.cgroups else None
        Tree(name, record.pid, record.start_ticks, cgroup, set[int]).kill()


def _set_aside(service: Service, name: str, path: str) -> dict[str, Any] | None:
    """End a command of which nothing can be read as unknown, so that nobody waits for it."""
    size, digest = 0, ""
    with contextlib.suppress(OSError, ValueError):
        size = os.stat(f"{path}/{layout.LOG}").st_size  # noqa: PTH116
    with contextlib.suppress(OSError, ValueError):
        meta = layout.parse_document(layout.read_whole(f"{path}/{layout.META}"))
        digest = str((meta or {}).get("digest", ""))
    record = unknown_result(size, digest)
    try:
        told = _read_result(path)
    except OSError:  # it may have ended properly: that is not written over
        service.unsaid[name] = record
        service.loop.call_later(LONGEST_PAUSE_S, lambda: _set_aside_again(service, name, path))
        return None
    if told is not None:
        service.unsaid.pop(name, None)
        return told
    return record if _write_end(service, name, path, record) else None


def _set_aside_again(service: Service, name: str, path: str) -> None:
    if name in service.unsaid and (record := _set_aside(service, name, path)) is not None:
        _count(service, name, record, _Budget(0))


def _count(service: Service, name: str, record: dict[str, Any], budget: "_Budget") -> None:
    """Count a finished command, and drain what it left; again later when that fails."""
    path = layout.command_dir(service.spool, name)
    if not os.path.isdir(path):  # noqa: PTH112 - released meanwhile
        return
    try:
        service.store.add_finished(name, float(record["ended_at"]), _check_log(path, record, service.boot_id, budget))
        _drain_rest(service, name, path)
    except Exception as error:  # noqa: BLE001 - as above; its result is there and stays
        _report(name)
        if isinstance(error, OSError | MemoryError):
            service.loop.call_later(LONGEST_PAUSE_S, lambda: _count(service, name, record, _Budget(0)))


def _report(name: str) -> None:
    print(f"command {name} cannot be taken over", file=sys.stderr)  # noqa: T201 - its log file
    traceback.print_exc(file=sys.stderr)


def _read_result(path: str) -> dict[str, Any] | None:
    return layout.parse_result(layout.read_whole(f"{path}/{layout.RESULT}"))


def _adopt(service: Service, name: str, path: str, handover: Handover | None) -> None:
    """Go on with a command that has no result yet. When it raises, nothing is left of the attempt."""
    record = layout.parse_pid_record(layout.read_whole(f"{path}/{layout.PID}"))
    text = layout.read_whole(f"{path}/{layout.META}")
    if record is None or text is None:
        remove_folder(path)  # never started: a repeat of the request starts it
        return
    meta = layout.parse_document(text)
    if meta is None and record.boot_id == service.boot_id:
        raise ValueError(f"{layout.META} cannot be read")
    log = OutputLog(path, service.quota())
    command, room = None, 0
    try:
        log.adopt()
        if meta is None or record.boot_id != service.boot_id:
            result = _end_of_earlier_boot(path, log, record, meta["digest"] if meta else "")
            _write_end(service, name, path, result)
            return
        room = log.disk_bytes if service.store.make_room(log.disk_bytes) else 0
        log.reserved = room
        cgroup = service.cgroups.of(name) if service.cgroups else None
        if cgroup is not None and not cgroup.exists():
            cgroup = None
        command = Command(service, name, path, log, _masks(log, record, meta, handover), cgroup)
        command.digest = meta["digest"]
        if handover is not None:
            log.dropped.update(handover.dropped)
        _go_on(service, command, record, meta)
    except Exception:
        if command is None or command.result is None:
            service.store.give_back(room)
            if command is not None:
                service.dismiss(command)
            log.close()
        raise


def _go_on(service: Service, command: Command, record: layout.PidRecord, meta: dict[str, Any]) -> None:
    command.pid, command.start_ticks = record.pid, record.start_ticks
    command.started_at, command.started_mono = record.started_at, record.started_mono
    command.executed = record.executed
    service.enlist(command)
    command.open_pipes()
    process = processes.read_process(record.pid)
    if process is None and processes.exists(record.pid):
        raise OSError(errno.EAGAIN, f"/proc does not tell of process {record.pid}")
    if process is None or process.start_ticks != record.start_ticks:
        command.is_child = False
        command.resume_termination()
        pending = service.pending.get(command.id)
        if record.status is not None:
            command.reaped(record.status, record.ended_at)
        elif pending is not None and pending.status is not None:
            command.reaped(pending.status, pending.ended_at)
        else:
            command.gone_without_status()
        return
    if process.parent == os.getpid():
        command.is_child = True
    else:
        command.watch_pidfd()
    command.set_clocks(meta["timeout_s"], meta["no_output_timeout_s"])
    command.resume_termination()


def _masks(
    log: OutputLog, record: layout.PidRecord, meta: dict[str, Any], handover: Handover | None
) -> dict[int, Mask]:
    """The secrets of a command: handed over, or read from its environment; unknown ones end the log."""
    if handover is not None:
        masks = {stream: Mask(handover.secrets) for stream in (1, 2)}
        for stream, mask in masks.items():
            mask.held = handover.held.get(stream, b"")
        return masks
    names = meta["secret_names"]
    secrets = _secrets_of(record.pid, names) if names else []
    deadline = time.monotonic() + _EXEC_WAIT_S
    while len(secrets) < len(names) and not record.executed and time.monotonic() < deadline:
        time.sleep(0.01)  # killed in the middle of this start: its environment comes with its execution
        secrets = _secrets_of(record.pid, names)
    if len(secrets) < len(names):
        log.drop_from_here("secrets_lost")
    return {stream: Mask(secrets) for stream in (1, 2)}


def _secrets_of(pid: int, names: list[str]) -> list[bytes]:
    gone = FileNotFoundError, ProcessLookupError, PermissionError
    with contextlib.suppress(*gone), open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
        pairs = dict(item.partition(b"=")[::2] for item in file.read().split(b"\0"))
        return [pairs[name.encode()] for name in names if name.encode() in pairs]
    return []


def _end_of_earlier_boot(path: str, log: OutputLog, record: layout.PidRecord, digest: str) -> dict[str, Any]:
    ending = Ending(
        status=None,
        executed=record.executed or log.end > 0,
        spawn_error=None,
        stop_reason=None,
        started_at=record.started_at,
        ended_at=0,
        tree_gone=True,
        rebooted=True,
    )
    result = make_result(ending, log, digest)
    log.close()
    _remove_pipes(path)
    return result


def _write_end(service: Service, name: str, path: str, result: dict[str, Any]) -> bool:
    """Write an end; on a full disk it is tried again, and until then the id is answered from memory."""
    service.unsaid.pop(name, None)
    try:
        layout.write_whole(f"{path}/{layout.RESULT}", json.dumps(result).encode())
    except FileNotFoundError:  # it was released meanwhile
        return False
    except OSError:
        service.unsaid[name] = result
        service.loop.call_later(RESULT_RETRY_S, lambda: _write_end_again(service, name, path, result))
        return False
    return True


def _write_end_again(service: Service, name: str, path: str, result: dict[str, Any]) -> None:
    if _write_end(service, name, path, result):
        _count(service, name, result, _Budget(0))  # its index was read for this very result


@dataclass(slots=True)
class _Budget:
    """How many index records may still be read."""

    records: int


def _check_log(path: str, record: dict[str, Any], boot: str, budget: _Budget) -> int:
    """Bytes on disk of a finished log. One that a power failure cut, itself or its index, is marked as dropped."""
    sizes = {}
    for name in (layout.LOG, layout.INDEX):
        try:
            sizes[name] = os.stat(f"{path}/{name}").st_size  # noqa: PTH116
        except FileNotFoundError:
            sizes[name] = 0
    is_cut = sizes[layout.LOG] < record["kept"]
    if is_cut or (record["kept"] and not _is_of(path, boot) and not _has_index(path, record, budget)):
        mark_evicted(path, record, "disk_lost")
        return 0
    return sizes[layout.LOG] + sizes[layout.INDEX] + events_bytes(path)


def _is_of(path: str, boot: str) -> bool:
    """The command was started in this boot: no power failure was since."""
    try:
        record = layout.parse_pid_record(layout.read_whole(f"{path}/{layout.PID}"))
    except ValueError:
        return False
    return record is not None and record.boot_id == boot


def _has_index(path: str, record: dict[str, Any], budget: _Budget) -> bool:
    """The index of a finished log says of its bytes what the result says; one beyond the budget is glanced at."""
    try:
        fd = os.open(f"{path}/{layout.INDEX}", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        count = index.record_count(fd)
        if count > budget.records:
            return index.has_whole_ends(fd, record["kept"])
        budget.records -= count
        sizes = index.stream_sizes(fd, record["kept"])
    finally:
        os.close(fd)
    return sizes == [0, *(record["result"][name]["bytes"] for name in layout.STREAMS), 0]


def _drain_rest(service: Service, name: str, path: str) -> None:
    """Background processes may still hold the pipes of a finished command."""
    if name in service.lingering or not any(os.path.exists(f"{path}/{stream}") for stream in layout.STREAMS):  # noqa: PTH110
        return
    if not _is_of(path, service.boot_id):
        _remove_pipes(path)
        return
    service.drain(name, path, pipes.open_readers(path))


def _remove_pipes(path: str) -> None:
    for stream in (layout.STDOUT, layout.STDERR):
        pipes.remove(path, stream)
