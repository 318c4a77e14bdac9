"""`myx logs ID --download FILE`: the whole log in a file, however often the way there breaks."""

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import Any

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import Endpoint
from myx_cli.errors import Failure, OutputError, UsageError
from myx_cli.follow import Follower, Patience
from myx_cli.interrupts import Interrupts
from myx_cli.nouns import Noun
from myx_cli.outcome import FINAL, completeness_sentence
from myx_cli.output import Bytes, note, write
from myx_cli.places import expanded
from myx_cli.sinks import print_json
from myx_cli.text import clean, format_size


def download(endpoint: Endpoint, noun: Noun, arguments: Namespace) -> int:
    """Writes the log to the file that was named, which is there once it is whole; the exit code."""
    client = Client(endpoint)
    document = client.get(f"{noun.path}/{segment(arguments.id)}")
    target = expanded(arguments.download)
    if target.is_dir():
        raise UsageError(f"--download {clean(target)} is a folder: name a file in it")
    again = f"myx {'logs' if noun.word == 'command' else 'deployment logs'} {arguments.id} --download {target}"
    interrupts = Interrupts(None, lambda: note(f"left; what is there is kept, this goes on: {again}"))
    interrupts.watch()
    with _Part(target, str(document["id"])) as part:
        follower = Follower(client, arguments.id, part, Patience(arguments.reconnect_timeout), part.offset, noun=noun)
        if arguments.follow or document.get("status") in FINAL:
            end = follower.run()
        else:
            end = follower.run(until=int(document.get("log_size_bytes") or 0))
        part.check(end.offset)
        if end.document is None:
            note(f"the {noun.word} has not ended; {part.path} holds its log up to now, this goes on: {again}")
            return 0
        size = part.finish()
    _tell(end.document, target, size, part.missing, arguments)
    return 0


def _tell(document: Document, target: Path, size: int, missing: int, arguments: Namespace) -> None:
    if arguments.output == "json":
        print_json({"file": str(target), "size_bytes": size, "missing_bytes": missing})
        return
    note(f"{clean(target)}: {size} bytes ({format_size(size)})")
    if missing:
        note(f"{missing} bytes of the log are missing in it")
    sentence = completeness_sentence(document)
    if sentence:
        note(sentence)


class _Part:
    """What is there so far, in a file of its own beside the target; gaps of the log are noted beside it.

    The offset in the log is the size of the file and of the gaps before its end: that is where it goes on.
    """

    def __init__(self, target: Path, id_: str) -> None:
        self._target = target
        self.path = target.with_name(f".{target.name}.{id_}.part")
        self._gaps_path = self.path.with_suffix(".gaps")
        self._gaps: list[tuple[int, int]] = []
        self._size = 0
        self._fd = -1
        self.offset = 0

    def __enter__(self) -> "_Part":
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            self._size = os.fstat(self._fd).st_size
            self._gaps = _gaps(self._gaps_path, self._size)
        except OSError as error:
            raise Failure(f"{clean(self.path)} cannot be written: {error.strerror}") from None
        self.offset = self._size + self.missing
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self._fd)

    @property
    def missing(self) -> int:
        """Bytes that the log does not have."""
        return sum(size for _, size in self._gaps)

    def data(self, _stream: int, _offset: int, parts: list[Bytes]) -> None:
        """Appends."""
        try:
            write(self._fd, parts)
        except OutputError as error:
            raise Failure(f"{error.message} ({clean(self.path)}); what is there is kept") from None
        self._size += sum(map(len, parts))

    def gap(self, start: int, end: int, _reason: str) -> None:
        """Noted before anything is written behind it."""
        self._gaps.append((self._size, end - start))
        fresh = self._gaps_path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(self._gaps))
            fresh.replace(self._gaps_path)
        except OSError as error:
            raise Failure(
                f"{clean(self._gaps_path)} cannot be written: {error.strerror}; what is there is kept"
            ) from None

    def check(self, offset: int) -> None:
        """Failure when the file is not as long as the log."""
        size = os.fstat(self._fd).st_size
        if size + self.missing != offset:
            raise Failure(
                f"{clean(self.path)} is {size} bytes long, not {offset - self.missing}: did others write to it? "
                "remove it and begin anew"
            )

    def finish(self) -> int:
        """Puts the file in its place; its size."""
        try:
            os.fsync(self._fd)
            self.path.replace(self._target)
            self._gaps_path.unlink(missing_ok=True)
        except OSError as error:
            raise Failure(f"{clean(self._target)} cannot be written: {error.strerror}") from None
        return self._size


def _gaps(path: Path, size: int) -> list[tuple[int, int]]:
    """Those before the end of a file of `size` bytes; one at its very end is told again."""
    try:
        return [(int(at), int(length)) for at, length in json.loads(path.read_text()) if at < size]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError):
        raise Failure(f"{clean(path)} is damaged: remove it and the file beside it, and begin anew") from None
