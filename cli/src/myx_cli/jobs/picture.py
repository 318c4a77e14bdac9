"""What the display of a running job looks like."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from myx_cli.api import Document
from myx_cli.jobs.cells import columns, cut, inert
from myx_cli.jobs.states import counts, work_line
from myx_cli.jobs.terminal import Glyphs
from myx_cli.text import clean, format_duration

Style = Callable[[str, str], str]
Line = tuple[str, int]

_BAR_MOST = 60
_NAME_MOST = 24
_STYLES = {"success": "success", "running": "running", "waiting": "waiting", "unreachable": "away", "lost": "away"}
_STYLES |= {"unknown": "away", "skipped": "dim", "not_started": "dim", "cancelled": "waiting"}
# States in which it is said what the job waits for.
_EXPLAINED = frozenset({"pending", "paused", "stopping", "cancelling"})


class Running(NamedTuple):
    """A target under way and the last that it wrote."""

    name: str
    last: str


class Facts(NamedTuple):
    """What is to be shown; `running` by number of the target, `running_count` with those that are not in it."""

    job: Document
    running: Sequence[Running]
    running_count: int
    elapsed_s: float
    trouble: str = ""


def picture(facts: Facts, size: tuple[int, int], glyphs: Glyphs, style: Style) -> list[Line]:
    """Lines with their widths, fewer than the terminal has rows and each narrower than it is."""
    width, height = max(8, size[0] - 1), max(4, size[1] - 1)
    lines = [
        _head(facts, width, glyphs, style),
        _bar(facts.job, width, glyphs, style),
        _counts(facts.job, width, style),
    ]
    about = facts.trouble or _explanation(facts.job)
    if about:
        lines.append(_plain(about, width, style, "waiting"))
    room = height - len(lines)
    shown = facts.running[: room if facts.running_count <= room else max(0, room - 1)]
    indent = min(_NAME_MOST, max((columns(item.name) for item in shown), default=0))
    lines += [_running(item, indent, width, style) for item in shown]
    rest = facts.running_count - len(shown)
    if rest and room > 0:
        lines.append(_plain(f"{glyphs.more} and {rest} more running", width, style, "dim"))
    return lines[:height]


def _head(facts: Facts, width: int, glyphs: Glyphs, style: Style) -> Line:
    job = facts.job
    batches = int(job.get("batch_count") or 0)
    batch = f"batch {job.get('batch') or 0} of {batches}" if batches > 1 else ""
    state = clean(job.get("status") or "pending")
    tail = ", ".join(part for part in (state, batch, format_duration(round(facts.elapsed_s))) if part)
    if facts.elapsed_s < 1:
        tail = tail.rpartition(", ")[0]
    work = inert(work_line(job.get("work")))
    total = int(job.get("target_count") or 0)
    on = f" on {total} {'server' if total == 1 else 'servers'}"
    room = width - len(on) - 2 - columns(tail)
    if columns(work) > room:
        work = cut(work, max(0, room - len(glyphs.more))) + glyphs.more
    text = cut(f"{work}{on}: {tail}", width)
    return style(text, "bold"), columns(text)


def _bar(job: Document, width: int, glyphs: Glyphs, style: Style) -> Line:
    told = counts(job)
    total = max(1, int(job.get("target_count") or 0))
    ended = sum(count for status, count in told.items() if status not in {"waiting", "running"})
    label = f" {ended}/{total}"
    room = max(1, min(_BAR_MOST, width - len(label)))
    good, running = told.get("success", 0), told.get("running", 0)
    parts = ((glyphs.done, "success", good), (glyphs.done, "bad", ended - good), (glyphs.running, "running", running))
    text, at, seen = "", 0, 0
    for glyph, name, count in parts:
        seen += count
        end = min(room, seen * room // total if seen < total else room)
        if count and end == at < room:
            end += 1
        text += style(glyph * (end - at), name) if end > at else ""
        at = max(at, end)
    return text + style(glyphs.waiting * (room - at), "dim") + label, room + len(label)


def _counts(job: Document, width: int, style: Style) -> Line:
    text, used = "", 0
    for status, count in counts(job).items():
        part = f"{count} {clean(status).replace('_', ' ')}"
        gap = ", " if text else ""
        if used + len(gap) + len(part) > width:
            break
        text += gap + style(part, _STYLES.get(status, "bad"))
        used += len(gap) + len(part)
    return text, used


def _explanation(job: Document) -> str:
    if job.get("status") not in _EXPLAINED and not _between_batches(job):
        return ""
    return clean(job.get("next") or job.get("message") or "")


def _between_batches(job: Document) -> bool:
    told = counts(job)
    return int(job.get("batch_count") or 0) > 1 and not told.get("running") and bool(told.get("waiting"))


def _running(item: Running, indent: int, width: int, style: Style) -> Line:
    name = cut(item.name, indent)
    name += " " * (indent - columns(name))
    text = cut(f"  {name}  ", width)
    last = cut(item.last, width - columns(text))
    return style(text, "running") + last, columns(text) + columns(last)


def _plain(text: str, width: int, style: Style, name: str) -> Line:
    text = cut(inert(text), width)
    return style(text, name), columns(text)
