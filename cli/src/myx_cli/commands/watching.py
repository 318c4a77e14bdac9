"""`myx server check|history|pause|resume|accept-machine`."""

from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor, wait

from myx_cli.api import Client, Document, segment
from myx_cli.commands.server import show_one
from myx_cli.endpoint import Endpoint, find
from myx_cli.errors import ApiError, Failure, UsageError
from myx_cli.interrupts import Interrupts
from myx_cli.jobs.groups import names_line
from myx_cli.output import note, print_line
from myx_cli.pages import all_items, shown_items
from myx_cli.servers import get_server, unknown_server
from myx_cli.sinks import print_json
from myx_cli.tables import Status, When, print_table

# Four tries of a call that hangs, and the waits between them.
_CHECK_TIMEOUT_S = 160.0
_SAY_AFTER_S = 5.0
_NAMED = 5
_AT_ONCE = 16
_SOME_DO_NOT = 1


def check(arguments: Namespace) -> int:
    """Calls agents now."""
    endpoint = find(arguments)
    names = _names(Client(endpoint), arguments)
    with ThreadPoolExecutor(min(_AT_ONCE, len(names))) as pool:
        calls = [pool.submit(_check_one, endpoint, name) for name in names]

        def still() -> str:
            silent = [name for name, call in zip(names, calls, strict=True) if not call.done()]
            return f"no answer yet from {names_line(silent, _NAMED)}"

        Interrupts(None, lambda: note(f"left; {still()}")).watch()
        if wait(calls, _SAY_AFTER_S).not_done:
            note(f"{still()}; one that hangs takes two minutes")
        results = [call.result() for call in calls]
    failures = [result for result in results if isinstance(result, Failure)]
    if len(failures) == len(results):
        raise failures[0]
    found = [{"server": name, **_told(result)} for name, result in zip(names, results, strict=True)]
    if arguments.output == "json":
        print_json({"items": found})
    else:
        head = ("Name", "Status", "Cause", "Tries", "Message")
        print_table(head, [_row(one) for one in found], "no servers", droppable=("Tries",))
    return 0 if all(one.get("status") == "online" for one in found) else _SOME_DO_NOT


def _check_one(endpoint: Endpoint, name: str) -> Document | Failure:
    """What MyX found, or why it did not look: that of one server says nothing about the others."""
    client = Client(endpoint, _CHECK_TIMEOUT_S)
    try:
        return client.post(f"/servers/{segment(name)}/check", {})
    except ApiError as error:
        return _told(error) if error.status in {404, 409, 412} else error
    except Failure as failure:
        return failure
    finally:
        client.close()


def _told(result: Document | Failure) -> Document:
    if not isinstance(result, Failure):
        return result
    cause = result.reason.lower() if isinstance(result, ApiError) else "myx_unreachable"
    return {"status": "", "cause": cause, "message": result.message, "attempts": []}


def _row(one: Document) -> tuple[object, ...]:
    tries = one.get("attempts") or []
    return one["server"], Status(one.get("status") or "-"), one.get("cause"), len(tries) or "", one.get("message")


def history(arguments: Namespace) -> int:
    """Shows how an agent fared."""
    client = Client(find(arguments))
    name = segment(str(get_server(client, arguments.server)["name"]))
    path = f"/servers/{name}/facts/history" if arguments.facts else f"/servers/{name}/history"
    items = shown_items(client, path, arguments.limit)
    if arguments.output == "json":
        print_json({"items": items})
    elif arguments.facts:
        rows = [(When(one.get("at") or ""), one.get("fact"), one.get("before"), one.get("after")) for one in items]
        print_table(("When", "Fact", "Before", "After"), rows, "nothing has changed yet")
    else:
        print_table(
            ("When", "Status", "Cause", "Tries", "Message"),
            [
                (
                    When(one.get("at") or ""),
                    Status(one.get("after") or ""),
                    one.get("cause"),
                    len(one.get("attempts") or []) or "",
                    one.get("message"),
                )
                for one in items
            ],
            "nothing has changed yet",
            droppable=("Tries",),
        )
    return 0


def pause(arguments: Namespace) -> int:
    """Stops checks until a time."""
    content = _chosen(arguments) | {"reason": arguments.reason}
    content |= {"for_s": arguments.for_s} if arguments.until is None else {"until": arguments.until}
    return _tell(arguments, "/servers/pause", content, "paused")


def resume(arguments: Namespace) -> int:
    """Ends pauses."""
    return _tell(arguments, "/servers/resume", _chosen(arguments), "checked again")


def accept(arguments: Namespace) -> int:
    """Ends a quarantine."""
    client = Client(find(arguments))
    name = str(get_server(client, arguments.server)["name"])
    client.post(f"/servers/{segment(name)}/accept-machine", {})
    return show_one(get_server(client, name), arguments)


def _tell(arguments: Namespace, path: str, content: Document, what: str) -> int:
    client = Client(find(arguments))
    try:
        answer = client.post(path, content)
    except ApiError as error:
        if error.reason == "SERVER_NOT_FOUND":
            raise unknown_server(error, "; nothing was changed") from None
        raise
    if arguments.output == "json":
        print_json(answer)
    else:
        number = answer.get("servers")
        print_line(f"{number} {'server' if number == 1 else 'servers'} {what}")
    return 0


def _chosen(arguments: Namespace) -> Document:
    if bool(arguments.servers) == bool(arguments.selector):
        raise UsageError("which servers? names, or a selector with -l, and not both")
    return {"servers": arguments.servers} if arguments.servers else {"selector": arguments.selector}


def _names(client: Client, arguments: Namespace) -> list[str]:
    _chosen(arguments)
    if arguments.servers:
        return [str(get_server(client, one)["name"]) for one in dict.fromkeys(arguments.servers)]
    names = [str(one["name"]) for one in all_items(client, "/servers", selector=arguments.selector)]
    if not names:
        raise Failure(f"no server matches {arguments.selector!r}: myx server list -l shows what a selector matches")
    note(f"calling {len(names)} agents")
    return names
