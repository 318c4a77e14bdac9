"""The commands, deployments or job that this process started: asked to be cancelled by Ctrl-C, named when it leaves."""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from myx_cli.api import Client, segment
from myx_cli.endpoint import Endpoint
from myx_cli.errors import BROKEN_PIPE, INTERRUPTED, ApiError, Failure, Unreachable
from myx_cli.follow import Patience
from myx_cli.interrupts import Interrupts
from myx_cli.nouns import COMMAND, Noun
from myx_cli.output import note, tell

# How long to wait for the ids of commands that are being started when our reader has left.
_STARTING_S = 5.0


class Session:
    """Knows what runs. Thread safe."""

    def __init__(
        self,
        endpoint: Endpoint,
        patience_s: float,
        noun: Noun = COMMAND,
        *,
        cancels: bool = True,
        detached: bool = False,
    ) -> None:
        """Without `cancels` things are only watched: Ctrl-C and a reader that leaves end nothing but this process.

        What is started `detached` is to go on without us: a reader that leaves does not end it.
        """
        self.noun = noun
        self._detached = detached
        self._cancels = cancels
        self._endpoint = endpoint
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        self._exiting = threading.Lock()
        self._running: dict[str, str] = {}
        self._starting = 0
        self._questioning = False
        self.interrupts = Interrupts(self._first if cancels else None, self._leave)

    @property
    def asked_to_end(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.interrupts.asked.is_set()

    def patience(self) -> Patience:
        """A fresh patience whose pauses end at Ctrl-C."""
        return Patience(self._patience_s, self.interrupts.sleep)

    @contextmanager
    def question(self) -> Iterator[None]:
        """Somebody is asked, nothing was started: Ctrl-C meanwhile ends the process."""
        self._questioning = True
        try:
            yield
        finally:
            self._questioning = False

    def starting(self) -> None:
        """A request that starts a command is about to be sent."""
        with self._lock:
            self._starting += 1

    def not_started(self) -> None:
        """That request came to nothing."""
        with self._lock:
            self._starting -= 1
            self._answered.notify_all()

    def started(self, command_id: str, server: str) -> None:
        """That request has started a command; it is cancelled at once when Ctrl-C was pressed meanwhile."""
        with self._lock:
            self._starting -= 1
            self._running[command_id] = server
            self._answered.notify_all()
            late = self.asked_to_end
        if late:
            threading.Thread(target=self._cancel, args=([command_id],), name="cancel", daemon=True).start()

    def watching(self, command_id: str) -> None:
        """Somebody else has started this one."""
        with self._lock:
            self._running[command_id] = ""

    def ended(self, command_id: str) -> None:
        """The command is final."""
        with self._lock:
            self._running.pop(command_id, None)

    def reader_left(self) -> int:
        """Nobody reads the output any more: the commands end as they would by SIGPIPE. The exit code."""
        if not self._cancels or self._detached:
            return BROKEN_PIPE
        with self._lock:
            self._answered.wait_for(lambda: not self._starting, _STARTING_S)
        for command_id in self._ids():
            with suppress(Failure):
                self._cancel_once(command_id)
        return BROKEN_PIPE

    def reader_left_in_thread(self) -> None:
        """The same for a thread that is not the main one: ends the process."""
        with self._exiting:
            os._exit(self.reader_left())

    def _ids(self) -> list[str]:
        with self._lock:
            return list(self._running)

    def _first(self) -> None:
        if self._questioning:
            tell("")
            note("nothing was started")
            os._exit(INTERRUPTED)
        ids = self._ids()
        if not ids:
            note("interrupted; waiting for MyX's answer in order to cancel, Ctrl-C again leaves")
            return
        note(f"asking for the cancel of {self._named(ids)}; Ctrl-C again leaves")
        self._cancel(ids)

    def _cancel(self, ids: Iterable[str]) -> None:
        for command_id in ids:
            patience = Patience(self._patience_s)
            while command_id in self._ids():
                try:
                    self._cancel_once(command_id)
                    break
                except (ApiError, Unreachable) as error:
                    temporary = error.temporary if isinstance(error, ApiError) else not error.permanent
                    if not temporary or not patience.pause(error.message, self._patience_s):
                        note(f"the cancel could not be asked: {error.message}; later: {self.noun.cancel} {command_id}")
                        break

    def _cancel_once(self, command_id: str) -> None:
        client = Client(self._endpoint)
        try:
            client.post(f"{self.noun.path}/{segment(command_id)}/cancel", {})
        finally:
            client.close()

    def _named(self, ids: list[str]) -> str:
        return ids[0] if len(ids) == 1 else f"{len(ids)} {self.noun.word}s"

    def _leave(self) -> None:
        with self._lock:
            ids, starting = list(self._running), self._starting
        if ids and not self._cancels:
            note(f"left; nothing was cancelled: {self.noun.cancel} {ids[0]} would")
        elif ids and self.asked_to_end:
            note(f"left; the cancel was asked, whether it is done says: {self.noun.show} {ids[0]}{_more(ids)}")
        elif ids:
            note(f"left; the {self.noun.word} goes on: {self.noun.follow} {ids[0]}{_more(ids)}")
        if starting:
            note(f"left before MyX had answered; whether the {self.noun.word} was started says: {self.noun.list}")


def _more(ids: list[str]) -> str:
    return f" (and {len(ids) - 1} more)" if len(ids) > 1 else ""
