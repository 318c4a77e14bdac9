"""`myx logs ID --grep PATTERN`: MyX searches, only what matches is sent."""

import os
from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.errors import DIFFERENT_FAILURES, OK, Failure
from myx_cli.jobs.cells import inert
from myx_cli.nouns import Noun
from myx_cli.output import STDOUT, note, write_log
from myx_cli.sinks import print_json_line

_AT_ONCE = 1000


def search(client: Client, noun: Noun, arguments: Namespace) -> int:
    """Prints the lines that match, each behind its offset; 0 when there were some, as grep does."""
    path = f"{noun.path}/{segment(arguments.id)}/log/search"
    asked = {"pattern": arguments.grep, "regex": _flag(arguments.regex), "ignore_case": _flag(arguments.ignore_case)}
    found, offset = 0, int(arguments.offset)
    while True:
        most = _AT_ONCE if arguments.limit is None else min(_AT_ONCE, arguments.limit - found)
        answer = client.get(path, **asked, from_offset=offset, max_matches=most)
        matches = answer.get("items")
        if not isinstance(matches, list):
            raise Failure(f"{client.endpoint.shown} did not answer as MyX does: is the address right?")
        for match in matches:
            _show(match, arguments)
        found += len(matches)
        if answer.get("is_end") or found == arguments.limit:
            break
        reached = int(answer.get("next_offset") or 0)
        if reached <= offset:
            raise Failure(f"MyX does not get beyond offset {offset} of this log")
        offset = reached
    if found == arguments.limit and not answer.get("is_end"):
        note(f"there may be more: --offset {answer.get('next_offset')} goes on there")
    return OK if found else DIFFERENT_FAILURES


def _flag(value: bool) -> str | None:
    return "true" if value else None


def _show(match: Document, arguments: Namespace) -> None:
    if arguments.output == "json":
        print_json_line({"type": "match", **match})
        return
    line, offset = str(match.get("line") or ""), int(match.get("offset") or 0)
    if os.isatty(STDOUT):
        line = _for_people(line, int(match.get("match_start") or 0), int(match.get("match_end") or 0))
    write_log(STDOUT, [f"{offset}:{line}\n".encode("utf-8", "replace")])


def _for_people(line: str, start: int, end: int) -> str:
    """Without what steers a terminal, and with the match in red."""
    before, middle, after = (inert(part) for part in (line[:start], line[start:end], line[end:]))
    if middle and not os.environ.get("NO_COLOR"):
        middle = f"\x1b[1;31m{middle}\x1b[0m"
    return before + middle + after
