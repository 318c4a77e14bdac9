"""Forms in which the output of commands is written."""

import json
import os
from base64 import b64encode
from typing import Any

from myx_cli.follow import STREAMS
from myx_cli.output import STDERR, STDOUT, Bytes, note, print_line, write_log
from myx_cli.text import escaped

_LINE_LIMIT_BYTES = 64 * 1024


def gap_sentence(start: int, end: int, reason: str) -> str:
    """What to tell about offsets that hold no bytes."""
    return f"{end - start} bytes of the output are missing here ({reason})"


class RawSink:
    """stdout to stdout, stderr to stderr, byte for byte."""

    def data(self, stream: int, _offset: int, parts: list[Bytes]) -> None:
        """Writes at once."""
        write_log(stream, parts)

    def gap(self, start: int, end: int, reason: str) -> None:
        """Says on stderr that bytes are missing."""
        note(gap_sentence(start, end, reason))

    def end(self) -> None:
        """Nothing is held back."""


class PrefixSink:
    """Whole lines, each behind `name | `; a last line without an end gets one.

    A line of more than 64 KiB may be written in pieces, each as a line of its own, so that memory stays bounded.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._prefix = f"{name} | ".encode()
        self._held = {STDOUT: bytearray(), STDERR: bytearray()}

    def data(self, stream: int, _offset: int, parts: list[Bytes]) -> None:
        """Writes the lines that are complete; lines of several servers never mix."""
        held = self._held[stream]
        for part in parts:
            held += part
        cut = held.rfind(b"\n") + 1
        if cut:
            self._write(stream, bytes(held[: cut - 1]))
            del held[:cut]
        if len(held) >= _LINE_LIMIT_BYTES:
            self._write(stream, bytes(held))
            held.clear()

    def gap(self, start: int, end: int, reason: str) -> None:
        """Says on stderr that bytes are missing."""
        note(f"{self._name}: {gap_sentence(start, end, reason)}")

    def end(self) -> None:
        """Writes what is held back."""
        for stream, held in self._held.items():
            if held:
                self._write(stream, bytes(held))
                held.clear()

    def _write(self, stream: int, lines: bytes) -> None:
        write_log(stream, [self._prefix, lines.replace(b"\n", b"\n" + self._prefix), b"\n"])


class JsonSink:
    """Each run of bytes as one JSON object on stdout (docs/cli.md: JSON lines of `run` and `logs`)."""

    def __init__(self, id_: str, server: str, word: str = "command") -> None:
        self._about = {f"{word}_id": id_, "server": server}

    def data(self, stream: int, offset: int, parts: list[Bytes]) -> None:
        """Writes a `log` object; the bytes are base64, for they need not be text."""
        encoded = b64encode(b"".join(parts)).decode()
        print_json_line({"type": "log", **self._about, "stream": STREAMS[stream], "offset": offset, "data": encoded})

    def gap(self, start: int, end: int, reason: str) -> None:
        """Writes a `gap` object."""
        print_json_line({"type": "gap", **self._about, "from": start, "to": end, "reason": reason})

    def end(self) -> None:
        """Nothing is held back."""


AnySink = RawSink | PrefixSink | JsonSink


def print_json_line(document: dict[str, Any]) -> None:
    """One compact JSON object on one line of stdout."""
    print_line(escaped(json.dumps(document, ensure_ascii=False, separators=(",", ":"))))


def print_json(document: dict[str, Any]) -> None:
    """A JSON document on stdout: indented on a terminal, on one line elsewhere."""
    if os.isatty(STDOUT):
        print_line(escaped(json.dumps(document, ensure_ascii=False, indent=2)))
    else:
        print_json_line(document)
