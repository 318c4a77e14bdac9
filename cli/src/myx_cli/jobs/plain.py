"""A job as lines: each behind the name of its server, as they come."""

from myx_cli.api import Document
from myx_cli.jobs.states import job_sentence, target_code, target_sentence
from myx_cli.jobs.statuses import FINAL_JOB
from myx_cli.output import Bytes, note
from myx_cli.sinks import PrefixSink
from myx_cli.text import clean


class PlainWatcher:
    """stdout to stdout, stderr to stderr; what did not succeed is named on stderr."""

    def __init__(self) -> None:
        self._sinks: dict[int, PrefixSink] = {}
        self._not_started = 0

    def job(self, job: Document) -> None:
        """Says once what becomes of the job as a whole."""
        sentence = job_sentence(job) if job.get("status") in FINAL_JOB else ""
        if sentence:
            note(sentence)

    def target(self, target: Document) -> None:
        """Nothing before its output is written."""

    def data(self, target: Document, stream: int, offset: int, parts: list[Bytes]) -> None:
        """Writes the lines that are complete."""
        self._sink(target).data(stream, offset, parts)

    def gap(self, target: Document, start: int, end: int, reason: str) -> None:
        """Says on stderr that bytes are missing."""
        self._sink(target).gap(start, end, reason)

    def target_ended(self, target: Document) -> None:
        """Writes what is held back, and how it ended if not well."""
        sink = self._sinks.pop(int(target["number"]), None)
        if sink is not None:
            sink.end()
        if target.get("status") == "not_started":
            self._not_started += 1
        elif target_code(target) or target.get("status") != "success":
            note(f"{clean(target.get('server_name'))}: {target_sentence(target)}")

    def end(self) -> None:
        """Says how many had no turn."""
        if self._not_started:
            note(f"{self._not_started} {'server was' if self._not_started == 1 else 'servers were'} not started")

    def _sink(self, target: Document) -> PrefixSink:
        number = int(target["number"])
        sink = self._sinks.get(number)
        if sink is None:
            sink = self._sinks[number] = PrefixSink(clean(target.get("server_name")))
        return sink
