"""Following a job to its true end, across every loss of the connection: by revision and by offsets."""

import json
import time
from struct import Struct
from typing import Any, Protocol

from myx_cli.api import Client, Document, segment
from myx_cli.errors import ApiError, Failure, Unreachable
from myx_cli.follow import FAULT_S, FAULTS, STREAMS, Follower, Patience
from myx_cli.jobs.statuses import FINAL_JOB, OPEN_TARGET
from myx_cli.nouns import COMMAND, DEPLOYMENT, JOB, Noun
from myx_cli.output import Bytes, note
from myx_cli.pages import all_items
from myx_cli.text import clean
from myx_cli.websocket import BINARY, TEXT, Closed, Message, WebSocket

_HEADER = Struct(">BIQ")  # stream, number of the target, offset of the first byte
_HEADER_BYTES = 13
# A stream that has lasted so long is one that works, also when there is nothing to tell.
_SETTLED_S = 5.0


class Watcher(Protocol):
    """Where what happens is shown. `target` documents have a `number`; all else goes by it."""

    def job(self, job: Document) -> None:
        """The job as it is now."""

    def target(self, target: Document) -> None:
        """A target whose state is another than before."""

    def data(self, target: Document, stream: int, offset: int, parts: list[Bytes]) -> None:
        """Output of a target. Valid during the call only."""

    def gap(self, target: Document, start: int, end: int, reason: str) -> None:
        """The output of a target has no bytes from `start` up to `end`."""

    def target_ended(self, target: Document) -> None:
        """All that there is of a target was handed on."""


class JobFollower:
    """Hands the changes of the job `job_id` and the output of its targets to `watcher`, each once.

    With `whole` no byte is left out, whatever the stream missed; otherwise output is best effort.
    """

    def __init__(self, client: Client, job_id: str, watcher: Watcher, patience: Patience, *, whole: bool) -> None:
        self._client = client
        self._path = f"{JOB.path}/{segment(job_id)}"
        self._id = job_id
        self._watcher = watcher
        self._patience = patience
        self._whole = whole
        self._revision = 0
        self._newest = 0
        self._received = 0
        self._ended: set[int] = set()
        self.job: Document = {}
        self.targets: dict[int, Document] = {}
        self.offsets: dict[int, int] = {}

    def run(self) -> None:
        """Follows until the job is final and everything was handed on. Failure when MyX declines or stays away."""
        while self.job.get("status") not in FINAL_JOB:
            cause, limit_s = self._follow_once()
            if self.job.get("status") not in FINAL_JOB and not self._patience.pause(cause, limit_s):
                raise Failure(f"{cause}, for {limit_s:.0f} s; the job goes on: {JOB.follow} {self._id}")
        self._settle()

    def _follow_once(self) -> tuple[str, float]:
        """Follows one connection; why it ended, and for how long to try again."""
        limit_s = self._patience.limit_s
        resume = bool(self.offsets)
        complete = len(self.targets) >= self.job.get("target_count", 1)
        query = f"after_revision={self._revision if complete else 0}&output=true{'&resume=true' if resume else ''}"
        try:
            socket = WebSocket(self._client, f"{self._path}/stream?{query}")
        except Unreachable as error:
            if error.permanent:
                raise
            return error.message, limit_s
        except ApiError as error:
            if not error.temporary:
                raise
            return error.message, limit_s
        try:
            if resume:
                socket.send_text(json.dumps({"offsets": self.offsets}, separators=(",", ":")))
            began, known = time.monotonic(), (self._newest, self._received)
            while self.job.get("status") not in FINAL_JOB:
                self._take(socket.receive())
                # Where things stand is told at the beginning of every stream: that alone is no progress.
                if (self._newest, self._received) != known or time.monotonic() - began > _SETTLED_S:
                    self._patience.progress()
        except Closed as closed:
            cause = f"MyX closed the job's stream ({closed.reason or closed.code})"
            return cause, min(limit_s, FAULT_S) if closed.code in FAULTS else limit_s
        finally:
            socket.close()
        return "", limit_s

    def _take(self, messages: list[Message]) -> None:
        """Hands messages on; runs of one stream of a target together, so that many short lines are one write."""
        run: list[Bytes] = []
        about, run_offset = (0, 0), 0
        for kind, data in messages:
            if kind == BINARY and len(data) > _HEADER_BYTES:
                stream, number, offset = _HEADER.unpack_from(data)
                payload = data[_HEADER_BYTES:]
                known = self.offsets.get(number, 0)
                if (stream, number) != about or offset != known:
                    self._flush(about, run_offset, run)
                    payload = self._new_part(number, offset, payload)
                    run, about, run_offset = [], (stream, number), self.offsets.get(number, 0)
                run.append(payload)
                self.offsets[number] = self.offsets.get(number, 0) + len(payload)
            elif kind == TEXT:
                self._flush(about, run_offset, run)
                run, about = [], (0, 0)
                self._event(data)
        self._flush(about, run_offset, run)

    def _new_part(self, number: int, offset: int, payload: memoryview) -> memoryview:
        """What of a frame was not handed on before; bytes that were skipped without a word are a gap."""
        known = self.offsets.get(number, 0)
        if offset > known:
            self._gap(number, offset, "not sent by MyX")
        return payload[self.offsets.get(number, 0) - offset :]

    def _flush(self, about: tuple[int, int], offset: int, run: list[Bytes]) -> None:
        stream, number = about
        if stream in STREAMS and any(run):
            self._received += 1
            self._watcher.data(self._known(number), stream, offset, run)
            self._end_if_whole(number)

    def _gap(self, number: int, end: int, reason: str) -> None:
        start = self.offsets.get(number, 0)
        if end > start:
            self._watcher.gap(self._known(number), start, end, reason)
            self.offsets[number] = end
            self._end_if_whole(number)

    def _known(self, number: int) -> Document:
        return self.targets.get(number) or {"number": number, "server_name": f"target {number}"}

    def _event(self, data: memoryview) -> None:
        try:
            event = json.loads(bytes(data))
            kind = event["type"]
            job = _numbers(event["job"], "revision", "target_count") if kind == "job" else {}
            targets = [_target(item) for item in event["targets"]] if kind == "targets" else []
            gap = (int(event["number"]), int(event["to"])) if kind == "gap" else None
        except (ValueError, KeyError, TypeError):
            raise Failure("the job's stream holds what is not MyX's; is the address right?") from None
        if job:
            self._job(job)
        for target in targets:
            self._target(target)
        if gap is not None:
            self._gap(*gap, str(event.get("reason") or "unknown"))

    def _job(self, job: Document) -> None:
        # Its targets may come behind it: what it tells is known to be complete when the next one is there.
        self._revision, self._newest = self._newest, job["revision"]
        self.job = job
        self._watcher.job(job)

    def _target(self, target: Document) -> None:
        number = target["number"]
        before = self.targets.get(number)
        if before is not None and target["revision"] < before["revision"]:
            return
        self.targets[number] = target
        if before is None or before.get("status") != target.get("status"):
            self._watcher.target(target)
        self._end_if_whole(number)

    def _end_if_whole(self, number: int) -> None:
        target = self._known(number)
        if target.get("status", "waiting") in OPEN_TARGET or number in self._ended:
            return
        if self.offsets.get(number, 0) >= target["log_size_bytes"]:
            self._ended.add(number)
            self._watcher.target_ended(target)

    def _settle(self) -> None:
        """The job is final: what the stream did not bring is fetched."""
        open_ = any(target.get("status") in OPEN_TARGET for target in self.targets.values())
        if open_ or len(self.targets) < self.job["target_count"]:
            for target in all_items(self._client, f"{self._path}/targets"):
                self._target(_target(target))
        for number in sorted(self.targets):
            if number not in self._ended:
                if self._whole:
                    self._fetch_output(number)
                self._ended.add(number)
                self._watcher.target_ended(self.targets[number])

    def _fetch_output(self, number: int) -> None:
        target = self.targets[number]
        if not target.get("command_id"):
            return
        rest = TargetOutput(self._client, self.job, target, self._patience)
        try:
            self.offsets[number] = rest.read(_Forward(self, target), self.offsets.get(number, 0))
        except Failure as failure:
            note(f"{clean(target.get('server_name'))}: {failure.message}")


def _target(document: Any) -> Document:
    return _numbers(document, "number", "revision", "log_size_bytes")


def _numbers(document: Any, *names: str) -> Document:
    """A document whose `names` are whole numbers. TypeError, ValueError."""
    return {**document, **{name: int(document.get(name) or 0) for name in names}}


class _Forward:
    """Output that is read from the log of a target itself."""

    def __init__(self, follower: JobFollower, target: Document) -> None:
        self._watcher = follower._watcher  # noqa: SLF001 (one piece in two classes)
        self._target = target

    def data(self, stream: int, offset: int, parts: list[Bytes]) -> None:
        """Hands on."""
        self._watcher.data(self._target, stream, offset, parts)

    def gap(self, start: int, end: int, reason: str) -> None:
        """Hands on."""
        self._watcher.gap(self._target, start, end, reason)


class TargetOutput:
    """The stored log of one target."""

    def __init__(self, client: Client, job: Document, target: Document, patience: Patience) -> None:
        self._client = client
        self._noun = work_noun(job)
        self._id = str(target["command_id"])
        self._size = int(target.get("log_size_bytes") or 0)
        self._patience = patience

    def read(self, sink: Any, offset: int, until: int | None = None) -> int:
        """Hands the log from `offset` up to at least `until` (its end) on; the offset behind it."""
        limit = self._size if until is None else min(until, self._size)
        follower = Follower(self._client, self._id, sink, self._patience, offset, noun=self._noun)
        return follower.run(until=limit).offset


def work_noun(job: Document) -> Noun:
    """What the targets of a job are."""
    work = job.get("work")
    return DEPLOYMENT if isinstance(work, dict) and work.get("deployment") else COMMAND
