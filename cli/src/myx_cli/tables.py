"""Tables for people: drawn on a terminal, tab-separated lines without a head elsewhere."""

import os
import shutil
from collections.abc import Sequence
from typing import Any

from myx_cli.output import STDOUT, print_line
from myx_cli.text import clean
from myx_cli.times import ago

_PADDING = 3
_LAST_COLUMN = 12
_COLOURS = {
    "success": "green",
    "online": "green",
    "ok": "green",
    "failed": "red",
    "timeout": "red",
    "offline": "red",
    "unavailable": "red",
    "lost": "magenta",
    "unknown": "magenta",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "queued": "yellow",
    "pending": "yellow",
    "running": "cyan",
    "skipped": "dim",
    "partial": "yellow",
    "stopped": "red",
    "stopping": "yellow",
    "paused": "yellow",
    "unreachable": "magenta",
    "waiting": "yellow",
    "not_started": "dim",
    "active": "green",
    "started": "green",
    "missed": "yellow",
    "denied": "red",
}


class When(str):
    """An RFC 3339 time: told relatively on a terminal, as it is elsewhere."""

    __slots__ = ()


class Status(str):
    """A state: coloured on a terminal."""

    __slots__ = ()


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[object]], nothing: str, droppable: Sequence[str] = ()
) -> None:
    """`rows` under `head`; on a terminal the sentence `nothing` when there are none.

    On a narrow terminal the `droppable` columns are left out, one after the other, and the last column is cut.
    """
    if not os.isatty(STDOUT):
        for row in rows:
            print_line("\t".join("" if value is None else clean(value) for value in row))
        return
    if not rows:
        print_line(nothing)
        return
    from rich import box
    from rich.table import Table

    cells = [[_cell(value) for value in row] for row in rows]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    widths = _widths(head, cells, droppable, shutil.get_terminal_size().columns)
    for index, width in widths.items():
        table.add_column(head[index], no_wrap=True, overflow="ellipsis", width=width)
    for row in cells:
        table.add_row(*(row[index] for index in widths))
    _print_rich(table)


def _widths(head: Sequence[str], cells: list[list[Any]], droppable: Sequence[str], terminal: int) -> dict[int, int]:
    """Width of each column that is shown, by its index."""
    widths = {
        index: max(len(title), *(row[index].cell_len for row in cells))
        for index, title in enumerate(head)
        if any(row[index].plain for row in cells)
    }
    flexible = len(head) - 1
    natural = widths.get(flexible, 0)
    least = min(natural, _LAST_COLUMN)
    waiting = list(droppable)
    while (others := _width_beside(flexible, widths)) + least > terminal and waiting:
        widths.pop(head.index(waiting.pop(0)), None)
    if natural:
        widths[flexible] = max(least, min(natural, terminal - others))
    return widths


def _width_beside(flexible: int, widths: dict[int, int]) -> int:
    return sum(width + _PADDING for index, width in widths.items() if index != flexible)


def print_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line; what is None or empty is left out."""
    present = [(name, value) for name, value in facts if value not in {None, ""}]
    if not os.isatty(STDOUT):
        for name, value in present:
            print_line(f"{name}\t{clean(value)}")
        return
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in present:
        table.add_row(_plain(name, "bold"), _cell(value))
    _print_rich(table)


def _cell(value: object) -> Any:
    if isinstance(value, When):
        return _plain(ago(value) or clean(value), "")
    text = "" if value is None else clean(value)
    # What stands in brackets behind a state does not change what it is.
    return _plain(text, _COLOURS.get(text.partition(" (")[0], "") if isinstance(value, Status) else "")


def _plain(text: str, style: str) -> Any:
    from rich.text import Text

    return Text(text, style=style)


def _print_rich(table: Any) -> None:
    from rich.console import Console

    # rich itself leaves colours out when NO_COLOR is set or the terminal has none.
    width, height = shutil.get_terminal_size()  # told, because rich takes every plain terminal for 80 columns wide
    console = Console(highlight=False, emoji=False, markup=False, width=width, height=height)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        print_line(line.rstrip())
