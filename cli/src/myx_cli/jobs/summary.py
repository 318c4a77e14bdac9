"""What a job came to, on a terminal: failures first, identical outputs once."""

from collections.abc import Iterable

from myx_cli.api import Client, Document
from myx_cli.errors import Failure
from myx_cli.follow import Patience
from myx_cli.jobs.cells import inert
from myx_cli.jobs.follow import TargetOutput, work_noun
from myx_cli.jobs.groups import Group, groups, names_line
from myx_cli.jobs.states import counts_line, job_sentence
from myx_cli.jobs.terminal import Terminal
from myx_cli.nouns import DEPLOYMENT
from myx_cli.output import Bytes
from myx_cli.text import clean, format_duration, format_size
from myx_cli.times import parse_time

_OUTPUTS_MOST = 50
_LINES_MOST = 40
_OUTPUT_BYTES = 16 * 1024
_FAILED_NAMES = 10
_OTHER_NAMES = 2
_WITH_OUTPUT = frozenset({"failed", "timeout", "lost", "cancelled", "success"})
_STYLES = {"success": "success", "failed": "bad", "timeout": "bad", "cancelled": "waiting", "skipped": "dim"}
_STYLES |= {"not_started": "dim"}


class Summary:
    """Prints it."""

    def __init__(self, terminal: Terminal, client: Client, patience: Patience) -> None:
        self._terminal = terminal
        self._client = client
        self._patience = patience

    def show(self, job: Document, targets: Iterable[Document]) -> None:
        """All groups, then the job in one line."""
        plays = work_noun(job) is DEPLOYMENT
        told = untold = 0
        for group in groups(targets):
            self._head(group)
            silent = group.status not in _WITH_OUTPUT or (plays and group.status == "success")
            if silent or not group.targets[0].get("log_size_bytes"):
                continue
            if told < _OUTPUTS_MOST:
                told += 1
                self._output(job, group)
            else:
                untold += 1
        if untold:
            self._terminal.line(f"outputs that are not shown: {untold}; their ids: myx job targets {job['id']}")
        sentence = job_sentence(job)
        if sentence:
            self._terminal.line(self._terminal.style(inert(sentence), "bad"))
        self._terminal.line(self._terminal.style(_total(job), "bold"))

    def _head(self, group: Group) -> None:
        names = names_line(group.names, _OTHER_NAMES if group.status == "success" else _FAILED_NAMES)
        state = group.status.replace("_", " ")
        told = group.status in {"success", "failed"} or group.sentence.startswith(state)
        text = f"{names}: {group.sentence}" if told else f"{names}: {state}, {group.sentence}"
        self._terminal.line(self._terminal.style(inert(text), _STYLES.get(group.status, "away")))

    def _output(self, job: Document, group: Group) -> None:
        """The output of one of them: the beginning, of failures the end, which tells more."""
        target = group.targets[0]
        size = int(target.get("log_size_bytes") or 0)
        tail = group.status != "success"
        begin = max(0, size - _OUTPUT_BYTES) if tail else 0
        piece = _Piece(_OUTPUT_BYTES)
        try:
            TargetOutput(self._client, job, target, self._patience).read(piece, begin, begin + _OUTPUT_BYTES)
        except Failure as failure:
            self._terminal.line(f"  (its output cannot be shown: {clean(failure.message)})")
            return
        lines = piece.content.decode("utf-8", "replace").removesuffix("\n").split("\n")
        if begin and len(lines) > 1:
            lines = lines[1:]  # the first one is not whole
        kept = lines[-_LINES_MOST:] if tail else lines[:_LINES_MOST]
        cut = len(kept) < len(lines) or size > _OUTPUT_BYTES
        how = f"  ({format_size(size)} in all: {work_noun(job).follow.removesuffix(' -f')} {target.get('command_id')})"
        if cut and tail:
            self._terminal.line(how)
        for line in kept:
            self._terminal.line(f"  {inert(line.removesuffix(chr(13)))}")
        if cut and not tail:
            self._terminal.line(how)


class _Piece:
    """As much of an output as is shown."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.content = bytearray()

    def data(self, _stream: int, _offset: int, parts: list[Bytes]) -> None:
        """Kept up to the limit."""
        for part in parts:
            self.content += part[: max(0, self._limit - len(self.content))]

    def gap(self, start: int, end: int, reason: str) -> None:
        """Said in its place."""
        self.content += f"\n({end - start} bytes are missing here: {clean(reason)})\n".encode()


def _total(job: Document) -> str:
    total = int(job.get("target_count") or 0)
    start, end = parse_time(job.get("created_at")), parse_time(job.get("ended_at"))
    took = "" if start is None or end is None else f" ({format_duration(max(0.0, end - start))})"
    return f"{total} {'server' if total == 1 else 'servers'}: {inert(counts_line(job))}{took}"
