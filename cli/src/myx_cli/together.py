"""The same on several servers at a time."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from myx_cli.errors import DIFFERENT_FAILURES, INTERRUPTED
from myx_cli.output import note, note_fault
from myx_cli.session import Session
from myx_cli.text import clean

AT_ONCE = 64


class Run(Protocol):
    """What is to be done on one server; `exit_code` is its outcome."""

    server: str
    exit_code: int

    def run(self) -> None:
        """Start to end. Its own failures are its own affair; BrokenPipeError when our reader left."""


def run_together(session: Session, runs: Sequence[Run], finish: Callable[[], int]) -> int:
    """Does `runs`, 64 at a time, and then `finish`, whose exit code it is; 141 when the reader left."""
    try:
        if len(runs) == 1:
            runs[0].run()
        else:
            _run_several(session, runs)
        return finish()
    except BrokenPipeError:
        return session.reader_left()


def _run_several(session: Session, runs: Sequence[Run]) -> None:
    waiting = list(reversed(runs))

    def work() -> None:
        while not session.asked_to_end and (run_ := _next(waiting)) is not None:
            try:
                run_.run()
            except BrokenPipeError:
                session.reader_left_in_thread()
            except Exception as error:  # noqa: BLE001 (the edge of a thread)
                # A fault of ours on one server must not hide the others.
                note_fault(error, clean(run_.server))

    threads = [threading.Thread(target=work, name=f"run-{number}") for number in range(min(AT_ONCE, len(runs)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run_ in waiting:
        run_.exit_code = INTERRUPTED
        note(f"{clean(run_.server)}: not started, interrupted")


def _next(waiting: list[Run]) -> Run | None:
    try:
        return waiting.pop()
    except IndexError:
        return None


def common_exit_code(codes: Sequence[int]) -> int:
    """0 when all are 0; the common one when all that failed have the same; 130 when any was cancelled; else 1."""
    failed = {code for code in codes if code}
    if INTERRUPTED in failed:
        return INTERRUPTED
    return failed.pop() if len(failed) == 1 else (DIFFERENT_FAILURES if failed else 0)
