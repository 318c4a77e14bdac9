"""A job as JSON lines, for programs (docs/cli.md)."""

from base64 import b64encode

from myx_cli.api import Document
from myx_cli.follow import STREAMS
from myx_cli.output import Bytes
from myx_cli.sinks import print_json_line


class JsonWatcher:
    """One object on stdout for everything that happens."""

    def __init__(self) -> None:
        self._told: tuple[object, ...] = ()

    def job(self, job: Document) -> None:
        """Told when its state or batch is another."""
        state = tuple(job.get(name) for name in ("status", "batch", "reason"))
        if state != self._told:
            self._told = state
            print_json_line({"type": "job", "job": job})

    def target(self, target: Document) -> None:
        """Told."""
        print_json_line({"type": "target", "target": target})

    def data(self, target: Document, stream: int, offset: int, parts: list[Bytes]) -> None:
        """Told; the bytes are base64, for they need not be text."""
        data = b64encode(b"".join(parts)).decode()
        about = {"type": "log", **_about(target), "stream": STREAMS[stream]}
        print_json_line({**about, "offset": offset, "data": data})

    def gap(self, target: Document, start: int, end: int, reason: str) -> None:
        """Told."""
        print_json_line({"type": "gap", **_about(target), "from": start, "to": end, "reason": reason})

    def target_ended(self, target: Document) -> None:
        """Its state was told."""

    def end(self) -> None:
        """The result follows."""


def _about(target: Document) -> Document:
    return {name: target.get(field) for name, field in (("command_id", "command_id"), ("server", "server_name"))}
