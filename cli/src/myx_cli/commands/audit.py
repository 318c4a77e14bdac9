"""`myx audit list|export|verify`."""

import os
from argparse import Namespace

from myx_cli.api import Client, Document
from myx_cli.audit_trail import Ending, check_export
from myx_cli.endpoint import find
from myx_cli.errors import Failure, UsageError
from myx_cli.output import STDOUT, note, write
from myx_cli.pages import first_items
from myx_cli.places import expanded
from myx_cli.sinks import print_json
from myx_cli.tables import Status, When, print_facts, print_table
from myx_cli.text import clean

NOT_WHAT_IT_WAS = 1
_TARGETS_SHOWN = 3


def list_(arguments: Namespace) -> int:
    """Lists what was done and tried, newest first."""
    names = ("principal", "operation", "target", "result")
    wanted = {name: getattr(arguments, name) for name in names}
    wanted |= {"from": arguments.since, "to": arguments.until}
    items, more = first_items(Client(find(arguments)), "/audit", arguments.limit, **wanted)
    if arguments.output == "json":
        print_json({"items": items})
    else:
        print_table(
            ("#", "When", "Who", "From", "Did", "Result", "Why", "With"),
            [_row(item) for item in items],
            "nothing was done that matches",
            droppable=("From", "Why", "#"),
        )
    if more:
        note(f"there are older ones than the {len(items)} shown: --limit N shows more, myx audit export all of them")
    return 0


def _row(entry: Document) -> tuple[object, ...]:
    targets = [str(one) for one in entry.get("targets") or []]
    shown = [*targets[:_TARGETS_SHOWN], *(["…"] if len(targets) > _TARGETS_SHOWN else []), entry.get("resource")]
    return (
        entry.get("seq"),
        When(entry.get("at") or ""),
        entry.get("principal"),
        entry.get("address"),
        entry.get("operation"),
        Status(entry.get("result") or ""),
        entry.get("reason"),
        " ".join(str(one) for one in shown if one),
    )


def export(arguments: Namespace) -> int:
    """Writes the trail as JSON lines, oldest first; a trail that broke off is an error."""
    client = Client(find(arguments))
    ending = Ending()
    if not arguments.to:
        client.download("/audit/export", lambda data: _both(ending, STDOUT, data), after_seq=arguments.after)
        ending.check()
        return 0
    target = expanded(arguments.to)
    if target.is_dir():
        raise UsageError(f"--to {clean(target)} is a folder: name a file in it")
    if os.path.lexists(target):
        raise UsageError(f"--to: {clean(target)} exists already and is not overwritten")
    part = target.with_name(f".{target.name}.{os.urandom(8).hex()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            client.download("/audit/export", lambda data: _both(ending, descriptor, data), after_seq=arguments.after)
            ending.check()
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(target)
    except OSError as error:
        raise Failure(f"{clean(target)} cannot be written: {error.strerror or 'unwritable'}") from None
    finally:
        part.unlink(missing_ok=True)
    note(f"{clean(target)}: {ending.count} entries; the last one is {ending.head}")
    return 0


def _both(ending: Ending, descriptor: int, data: bytes) -> None:
    write(descriptor, [data])
    ending.take(data)


def verify(arguments: Namespace) -> int:
    """Checks that the trail, or an export of it, is what it was; 1 when it is not."""
    if arguments.file:
        found = check_export(arguments.file, arguments.expect)
    else:
        content = {"expected": arguments.expect} if arguments.expect else {}
        found = Client(find(arguments)).post("/audit/verify", content)
    if arguments.output == "json":
        print_json(found)
    else:
        _print_verdict(found)
    return 0 if found.get("ok") else NOT_WHAT_IT_WAS


def _print_verdict(found: Document) -> None:
    print_facts(
        [
            ("audit trail", Status("ok" if found.get("ok") else "failed")),
            ("problem", found.get("problem")),
            ("first wrong entry", found.get("bad_seq")),
            ("right entries", found.get("count")),
            ("dropped by age", f"up to {found['sealed_through']}" if found.get("sealed_through") else ""),
            ("last right entry", f"{found.get('head_seq')}:{found.get('head_hash')}"),
        ]
    )
    if found.get("ok"):
        note("keep the last entry elsewhere: with --expect it shows later that the end was not cut off")
