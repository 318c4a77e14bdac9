"""What ansible-runner tells, as the lines that MyX keeps: play, task, result, recap."""

import datetime as dt
import json
import os
import time
from typing import Any

from myx_play.masking import Masker

MAX_BYTES = 64 << 20
MAX_MESSAGE = 500
_COUNTS = {
    "ok": "ok",
    "changed": "changed",
    "failed": "failures",
    "skipped": "skipped",
    "unreachable": "dark",
    "rescued": "rescued",
    "ignored": "ignored",
}
_RESULTS = {
    "runner_on_ok": "ok",
    "runner_item_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_item_on_failed": "failed",
    "runner_on_skipped": "skipped",
    "runner_item_on_skipped": "skipped",
    "runner_on_unreachable": "unreachable",
}


class EventFile:
    """Appends JSON lines, each whole and at once; beyond the limit only the recap."""

    def __init__(self, path: str | None, masker: Masker) -> None:
        self._fd = -1 if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._left = MAX_BYTES
        self._masker = masker
        self._seq = 0

    def write(self, event: dict[str, Any], *, always: bool = False) -> None:
        """Numbered and dated here. A full disk loses events, never the play."""
        if self._fd < 0:
            return
        head = {"seq": self._seq + 1, "at": dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")}
        line = json.dumps(head | self._masker.deep(event)).encode() + b"\n"
        if not always and len(line) > self._left:
            self._left = 0
            return
        self._seq += 1
        self._left -= len(line)
        try:
            os.write(self._fd, line)
        except OSError:
            self._left = 0

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Progress:
    """Turns runner's events into ours and keeps the recap."""

    def __init__(self, file: EventFile, masker: Masker) -> None:
        self._file = file
        self._masker = masker
        self._began = self._task_began = time.monotonic()
        self.hosts: dict[str, dict[str, int]] = {}

    def take(self, event: dict[str, Any]) -> None:
        kind, data = event.get("event", ""), event.get("event_data") or {}
        if kind == "playbook_on_play_start":
            self._file.write({"type": "play_started", "play": str(data.get("name") or data.get("play") or "")})
        elif kind in {"playbook_on_task_start", "playbook_on_handler_task_start"}:
            self._task_began = time.monotonic()
            self._file.write({"type": "task_started", **_names(data)})
        elif kind in _RESULTS:
            self._file.write(self._result(kind, data))
        elif kind == "playbook_on_stats":
            self.hosts = _recap(data)

    def finish(self, exit_code: int) -> None:
        """The last line, whatever happened."""
        recap = {"type": "recap", "hosts": self.hosts, "duration_s": _round(time.monotonic() - self._began)}
        self._file.write(recap | {"rc": exit_code}, always=True)
        self._file.close()

    def exit_code(self, rc: int) -> int:
        """0 done, 2 a task failed or the play could not be run, 4 the host could not be reached."""
        counts = self.hosts.values()
        if any(count["unreachable"] for count in counts) and not any(count["failed"] for count in counts):
            return 4
        return 0 if rc == 0 else 2

    def _result(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = data["res"] if isinstance(data.get("res"), dict) else {}
        status = _RESULTS[kind]
        if status == "ok" and result.get("changed"):
            status = "changed"
        duration = data.get("duration")
        event: dict[str, Any] = {
            "type": "task_result",
            **_names(data),
            "host": str(data.get("host", "")),
            "status": status,
            "ignored": bool(data.get("ignore_errors")) and status in {"failed", "unreachable"},
            "duration_s": _round(duration if duration is not None else time.monotonic() - self._task_began),
            "message": self._message(status, result),
        }
        if kind.startswith("runner_item_"):
            event["item"] = self._short(_item(result))
        return event

    def _message(self, status: str, result: dict[str, Any]) -> str:
        if "censored" in result:
            return "(hidden)"
        keys: tuple[str, ...] = (
            ("msg", "stderr", "stdout", "reason") if status in {"failed", "unreachable"} else ("msg",)
        )
        if status == "skipped":
            keys = ("skip_reason", "skipped_reason", "msg")
        for key in keys:
            if result.get(key):
                value = result[key]
                return self._short(value if isinstance(value, str) else json.dumps(value))
        return ""

    def _short(self, text: str) -> str:
        """Masked before it is cut: half a secret is a secret."""
        return self._masker.text(text)[:MAX_MESSAGE]


def _names(data: dict[str, Any]) -> dict[str, str]:
    names = {"play": str(data.get("play") or ""), "task": str(data.get("task") or data.get("name") or "")}
    return names | ({"role": str(data["role"])} if data.get("role") else {})


def _item(result: dict[str, Any]) -> str:
    value = result.get("_ansible_item_label", result.get("item", ""))
    return value if isinstance(value, str) else json.dumps(value)


def _recap(data: dict[str, Any]) -> dict[str, dict[str, int]]:
    hosts = {name for key in (*_COUNTS.values(), "processed") for name in data.get(key) or {}}
    return {
        host: {ours: int((data.get(theirs) or {}).get(host, 0)) for ours, theirs in _COUNTS.items()}
        for host in sorted(hosts)
    }


def _round(seconds: float) -> float:
    return round(float(seconds), 3)
