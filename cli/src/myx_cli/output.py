"""Bytes to stdout and stderr: unbuffered, whole, and in order."""

import os
import select
import threading
from collections.abc import Callable, Sequence

from myx_cli.errors import OutputError
from myx_cli.text import clean

STDOUT = 1
STDERR = 2
_IOV_MAX = 512

Bytes = bytes | bytearray | memoryview

_lock = threading.Lock()
_mid_line = {STDOUT: False, STDERR: False}
# Takes a picture that stands at the end of a terminal away, so that a line can be written there.
_erase: list[Callable[[], bytes]] = []


def open_standard_descriptors() -> None:
    """Points those of 0, 1, 2 that are closed to nowhere, so that no socket takes their place."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def write(fd: int, parts: Sequence[Bytes]) -> None:
    """All of `parts`, in order, however little the descriptor takes at once. BrokenPipeError when its reader left."""
    start = 0
    while start < len(parts):
        batch = parts[start : start + _IOV_MAX]
        start += len(batch)
        _write_batch(fd, batch)


def _write_batch(fd: int, batch: Sequence[Bytes]) -> None:
    size = sum(map(len, batch))
    done = _write_some(fd, batch)
    if done == size:
        return
    rest = memoryview(b"".join(batch))
    while done < size:
        done += _write_some(fd, [rest[done:]])


def _write_some(fd: int, batch: Sequence[Bytes]) -> int:
    while True:
        try:
            return os.writev(fd, batch)
        except BlockingIOError:
            # Somebody made this descriptor non-blocking (it may be shared with another program).
            select.select([], [fd], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"the output cannot be written: {error.strerror}") from None


def write_log(fd: int, parts: Sequence[Bytes]) -> None:
    """Output of a command; remembers whether the line was left unfinished."""
    with _lock:
        write(fd, parts)
        _mid_line[fd] = parts[-1][-1] != 0x0A


def print_line(text: str) -> None:
    """One line on stdout."""
    print_bytes(text.encode("utf-8", "surrogateescape"))


def print_bytes(text: bytes) -> None:
    """The same, encoded already."""
    with _lock:
        write(STDOUT, [text, b"\n"])


def paint(picture: Callable[[], bytes]) -> None:
    """Writes a picture, which is made once nobody else writes, to the terminal at stdout."""
    with _lock:
        write(STDOUT, [picture()])


def set_erase(erase: Callable[[], bytes]) -> None:
    """Lines of ours on stderr first take away what was painted."""
    _erase[:] = [erase]


def note(text: str) -> None:
    """One line of ours on stderr, `myx: …`. Never fails: stderr may be closed."""
    tell(f"myx: {clean(text)}")


def tell(text: str, end: str = "\n") -> None:
    """One line on stderr, as it is: `text` is clean already. Never fails."""
    line = f"{text}{end}".encode("utf-8", "replace")
    # No waiting for the lock for ever: the holder may be blocked by a reader that stalls.
    locked = _lock.acquire(timeout=0.2)
    try:
        if any(_mid_line.values()) and os.isatty(STDERR):
            line = b"\n" + line
            _mid_line[STDOUT] = _mid_line[STDERR] = False
        if _erase and os.isatty(STDERR):
            line = _erase[0]() + line
        write(STDERR, [line])
    except (OSError, OutputError):
        pass
    finally:
        if locked:
            _lock.release()


def note_fault(error: Exception, about: str = "myx itself") -> None:
    """A fault of ours in one line; with MYX_DEBUG its trace as well. Called where it was caught."""
    note(f"a fault in myx ({about}, {type(error).__name__}); MYX_DEBUG=1 shows where")
    if os.environ.get("MYX_DEBUG"):
        import traceback

        traceback.print_exception(error)
