"""The CSV form: a head with the names of fields, a server a line."""

import csv
import io

from myx_cli.errors import UsageError
from myx_cli.importing.rows import FIELDS, Row
from myx_cli.text import clean


def rows_of(content: bytes, file: str) -> list[Row]:
    """The servers; empty lines and such that begin with # are left out. UsageError for a wrong head or line."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not UTF-8 text") from None
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    head: list[str] = []
    rows = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
                continue
            if not head:
                head = _head(cells, f"{file}:{reader.line_num}")
            elif len(cells) > len(head):
                raise UsageError(f"{file}:{reader.line_num}: more cells than the head has")
            else:
                rows.append(Row(f"{file}:{reader.line_num}", dict(zip(head, map(str.strip, cells), strict=False))))
    except csv.Error as error:
        raise UsageError(f"{file}:{reader.line_num}: {clean(error)}") from None
    return rows


def _head(cells: list[str], where: str) -> list[str]:
    head = [cell.strip().lower() for cell in cells]
    for name in head:
        if name not in FIELDS:
            raise UsageError(f"{where}: {clean(name)[:80]!r} is not known; known are {', '.join(FIELDS)}")
    if len(set(head)) < len(head) or not {"name", "address"} <= set(head):
        raise UsageError(f"{where}: the head needs name and address, and each field once")
    return head
