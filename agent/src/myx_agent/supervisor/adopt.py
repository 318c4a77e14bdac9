"""Take over the commands that an earlier supervisor (crashed, replaced, or of an earlier boot) left in the spool."""

import base64
import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from myx_agent.spool import index, layout
from myx_agent.supervisor import pipes, processes
from myx_agent.supervisor.command import RESULT_RETRY_S, Command
from myx_agent.supervisor.mask import Mask
from myx_agent.supervisor.output import OutputLog
from myx_agent.supervisor.result import Ending, make_result
from myx_agent.supervisor.service import Service
from myx_agent.supervisor.store import events_bytes, mark_evicted, remove_folder

_EXEC_WAIT_S = 0.5
CHECKED_RECORDS = 4 << 20  # of all indexes together at one start: less than a second


@dataclass(slots=True)
class Handover:
    """What a supervisor that replaces itself passes on for one command; all empty after a crash."""

    secrets: list[bytes] = field(default_factory=list)
    held: dict[int, bytes] = field(default_factory=dict)
    dropped: dict[int, int] = field(default_factory=dict)


def encode_handover(command: Command) -> dict[str, Any]:
    return {
        "secrets": [base64.b64encode(secret).decode() for secret in command.mask[1].secrets],
        "held": {str(stream): base64.b64encode(mask.held).decode() for stream, mask in command.mask.items()},
        "dropped": {str(stream): count for stream, count in command.log.dropped.items()},
    }


def decode_handover(document: dict[str, Any]) -> Handover:
    return Handover(
        secrets=[base64.b64decode(secret) for secret in document["secrets"]],
        held={int(stream): base64.b64decode(text) for stream, text in document["held"].items()},
        dropped={int(stream): count for stream, count in document["dropped"].items()},
    )


def adopt_all(service: Service, handovers: dict[str, Handover]) -> None:
    """Read the whole spool: finished commands are counted, running ones go on, the rest gets its honest end.

    A folder that cannot be read costs its own command: its id is answered as unknown and never run again.
    """
    service.store.load_released()
    folder = f"{service.spool}/{layout.COMMANDS}"
    boot = service.boot_id
    ended: list[tuple[float, str, dict[str, Any]]] = []
    budget = _Budget(CHECKED_RECORDS)
    for name in os.listdir(folder):  # noqa: PTH208
        with _one_folder(service, name):
            path = f"{folder}/{name}"
            record = _read_result(path)
            if record is None:
                _adopt(service, name, path, boot, handovers.get(name))
                record = _read_result(path)
            if record is not None:
                ended.append((float(record["ended_at"]), name, record))
    for ended_at, name, record in sorted(ended, key=lambda item: item[:2]):
        with _one_folder(service, name):
            path = f"{folder}/{name}"
            service.store.add_finished(name, ended_at, _check_log(path, record, boot, budget))
            _drain_rest(service, name, path, boot)
    if service.cgroups is not None:
        for name in service.cgroups.leftovers():
            if name not in service.running:
                service.cgroups.of(name).remove()


@contextlib.contextmanager
def _one_folder(service: Service, name: str) -> Iterator[None]:
    try:
        yield
    except Exception:  # noqa: BLE001 - one folder's trouble must not keep the agent from starting
        print(f"command {name} cannot be taken over", file=sys.stderr)  # noqa: T201 - its log file
        traceback.print_exc(file=sys.stderr)
        service.unsaid[name] = "unknown", ""


def _read_result(path: str) -> dict[str, Any] | None:
    return layout.parse_document(layout.read_whole(f"{path}/{layout.RESULT}"))


def _adopt(service: Service, name: str, path: str, boot: str, handover: Handover | None) -> None:
    record = layout.parse_pid_record(layout.read_whole(f"{path}/{layout.PID}"))
    text = layout.read_whole(f"{path}/{layout.META}")
    if record is None or text is None:
        remove_folder(path)  # never started: a repeat of the request starts it
        return
    meta = layout.parse_document(text)
    if meta is None and record.boot_id == boot:
        raise ValueError(f"{layout.META} cannot be read")
    log = OutputLog(path, service.quota())
    log.adopt()
    service.store.make_room(log.disk_bytes)
    if meta is None or record.boot_id != boot:
        service.store.give_back(log.reserved)
        result = _end_of_earlier_boot(path, log, record, meta["digest"] if meta else "")
        _write_end(service, name, path, result)
        return
    cgroup = service.cgroups.of(name) if service.cgroups else None
    if cgroup is not None and not cgroup.exists():
        cgroup = None
    command = Command(service, name, path, log, _masks(log, record, meta, handover), cgroup)
    command.digest = meta["digest"]
    command.pid, command.start_ticks = record.pid, record.start_ticks
    command.started_at, command.started_mono = record.started_at, record.started_mono
    command.executed = record.executed
    if handover is not None:
        log.dropped.update(handover.dropped)
    service.enlist(command)
    command.open_pipes()
    process = processes.read_process(record.pid)
    if process is None or process.start_ticks != record.start_ticks:
        command.is_child = False
        command.resume_termination()
        if record.status is None:
            command.gone_without_status()
        else:
            command.reaped(record.status, record.ended_at)
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
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
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
        service.unsaid[name] = result["state"], result["digest"]
        service.loop.call_later(RESULT_RETRY_S, lambda: _write_end_again(service, name, path, result))
        return False
    return True


def _write_end_again(service: Service, name: str, path: str, result: dict[str, Any]) -> None:
    if _write_end(service, name, path, result):
        # What was adopted in this boot agrees with its end, which was counted from it.
        service.store.add_finished(name, result["ended_at"], _check_log(path, result, service.boot_id, _Budget(0)))


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


def _drain_rest(service: Service, name: str, path: str, boot: str) -> None:
    """Background processes may still hold the pipes of a finished command."""
    if not any(os.path.exists(f"{path}/{stream}") for stream in layout.STREAMS):  # noqa: PTH110
        return
    pid_record = layout.parse_pid_record(layout.read_whole(f"{path}/{layout.PID}"))
    if pid_record is None or pid_record.boot_id != boot:
        _remove_pipes(path)
        return
    service.drain(name, path, pipes.open_readers(path))


def _remove_pipes(path: str) -> None:
    for stream in (layout.STDOUT, layout.STDERR):
        pipes.remove(path, stream)
