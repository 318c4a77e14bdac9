"""Where things lie in the spool, shared by agent and supervisor. Imports nothing heavy: the supervisor stays small.

<spool>/                      mode 700
  supervisor.sock             the supervisor's door (Unix, SEQPACKET)
  supervisor.lock             flock: one supervisor per spool
  released                    ids whose spool was dropped: "<id> <digest> <unix s>" a line
  commands/<command_id>/
    meta.json                 what was asked for, without secrets; durable before anything is executed
    pid                       "<pid> <start ticks> <monotonic s> <unix s> <boot id>", then "exec" once it was executed,
                              then "exit <wait status> <unix s>" once its leader was reaped
    log  index                the interleaved bytes; where the stream changes (spool/index.py)
    stdout  stderr            FIFOs while somebody may write
    cancel.json               a termination that was begun: {reason, grace_s, at}
    events.jsonl              progress of a playbook run, written by scripts/run_play.py of the deployment tool
    gap.json                  a limit was reached: {from, reason}
    result.json               the end: {state, end, kept, gap, digest, result}; written last, atomically
"""

import json
import os
from typing import Any, NamedTuple

COMMANDS = "commands"
SOCKET = "supervisor.sock"
LOCK = "supervisor.lock"
RELEASED = "released"

META = "meta.json"
PID = "pid"
LOG = "log"
INDEX = "index"
STREAMS = ("stdout", "stderr")
CANCEL = "cancel.json"
GAP = "gap.json"
EVENTS = "events.jsonl"
RESULT = "result.json"

STDOUT = 1
STDERR = 2

COMMAND_ID_TAG = "MYX_COMMAND_ID"

_ID_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_.")


class PidRecord(NamedTuple):
    """What is recorded of a start. The monotonic time counts within its boot only."""

    pid: int
    start_ticks: int
    started_mono: float
    started_at: float
    boot_id: str
    executed: bool
    status: int | None = None
    ended_at: float = 0.0


def is_command_id(text: str) -> bool:
    """True when `text` may name a folder: 1 to 128 of [A-Za-z0-9._-], not starting with a dot."""
    return 0 < len(text) <= 128 and text[0] != "." and _ID_CHARACTERS.issuperset(text)


def command_dir(spool: str, command_id: str) -> str:
    return f"{spool}/{COMMANDS}/{command_id}"


def parse_pid_record(text: bytes | None) -> PidRecord | None:
    """None when there is none or it is torn: then nothing was executed, as it is made durable before."""
    if text is None or b"\n" not in text:
        return None
    first, _newline, rest = text.decode().partition("\n")
    words = first.split()
    if len(words) < 4:
        return None
    boot = words[4] if len(words) > 4 else ""
    status, ended_at = _parse_exit(rest)
    started = int(words[0]), int(words[1]), float(words[2]), float(words[3]), boot
    return PidRecord(*started, rest.startswith("exec"), status, ended_at)


def _parse_exit(text: str) -> tuple[int | None, float]:
    for line in text.splitlines(keepends=True):
        words = line.split()
        if line.endswith("\n") and len(words) == 3 and words[0] == "exit":
            return int(words[1]), float(words[2])
    return None, 0.0


def parse_document(text: bytes | None) -> dict[str, Any] | None:
    """A JSON object; None when there is none or a power failure left it empty or torn: it is renamed unsynced."""
    try:
        document = json.loads(text or b"null")
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def parse_result(text: bytes | None) -> dict[str, Any] | None:
    """What result.json says; None when there is none, or it is not whole."""
    record = parse_document(text)
    if record is None or not {"state", "end", "kept", "gap", "digest", "ended_at", "result"} <= record.keys():
        return None
    return record if isinstance(record["result"], dict) else None


def boot_id() -> str:
    """The kernel's id of this boot; empty where it is not to be had."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:  # noqa: PTH123 - pathlib costs a megabyte
            return file.read().strip()
    except OSError:
        return ""


def fsync_path(path: str) -> None:
    """Make a file or a folder's entries durable."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_whole(path: str, data: bytes) -> None:
    """Replace `path` atomically (not durably: the flusher makes it so). A link planted in the way is not followed."""
    temporary = f"{path}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(temporary, flags, 0o600)
    except FileExistsError:  # of a crash in the middle of this
        os.unlink(temporary)  # noqa: PTH108
        fd = os.open(temporary, flags, 0o600)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)
    os.rename(temporary, path)  # noqa: PTH104


def read_whole(path: str) -> bytes | None:
    """The content of a small file; None when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        pieces = []
        while piece := os.read(fd, 1 << 16):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
