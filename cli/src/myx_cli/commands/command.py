"""`myx command list|show|cancel`."""

import shlex
from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.errors import ApiError
from myx_cli.outcome import FINAL
from myx_cli.output import note
from myx_cli.pages import shown_items
from myx_cli.servers import get_server
from myx_cli.sinks import print_json
from myx_cli.standing import history, standing
from myx_cli.tables import Status, When, print_facts, print_table
from myx_cli.text import clean, format_duration, format_size
from myx_cli.times import parse_time


def list_(arguments: Namespace) -> int:
    """Lists commands, newest first."""
    client = Client(find(arguments))
    asked = {"server": arguments.server, "status": arguments.status, "job_id": arguments.job}
    items = shown_items(client, "/commands", arguments.limit, **asked)
    if arguments.server and not items:
        get_server(client, arguments.server)  # a name with a slip in it is told from a server without commands
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("ID", "Server", "Status", "Exit", "Started", "Took", "Output", "Command"),
        [_row(item) for item in items],
        "no commands yet: myx run SERVER -- COMMAND",
        droppable=("Output", "Took", "Started", "Exit", "Server"),
    )
    return 0


def show(arguments: Namespace) -> int:
    """Shows all that is known about one command."""
    client = Client(find(arguments))
    command = client.get(f"/commands/{segment(arguments.id)}")
    if arguments.output == "json":
        print_json(command)
    else:
        print_facts(_facts(command))
    return 0


def cancel(arguments: Namespace) -> int:
    """Asks commands to end; does not wait for it."""
    client = Client(find(arguments))
    content = {} if arguments.grace is None else {"grace_s": arguments.grace}
    asked: list[Document] = []
    exit_code = 0
    for command_id in arguments.ids:
        try:
            command = client.post(f"/commands/{segment(command_id)}/cancel", content)
            asked.append(command)
            _tell_if_over(command_id, command)
        except ApiError as error:
            if len(arguments.ids) == 1:
                raise
            note(f"{command_id}: {error.message}")
            exit_code = error.exit_code
    if arguments.output == "json":
        print_json({"items": asked})
    else:
        print_table(
            ("ID", "Server", "Status"),
            [(item.get("id"), item.get("server_name"), Status(item.get("status") or "")) for item in asked],
            "nothing was cancelled",
        )
    return exit_code


def _tell_if_over(command_id: str, command: Document) -> None:
    status = command.get("status")
    if status in FINAL and (status != "cancelled" or not command.get("cancel_requested_at")):
        code = f", exit {_exit(command)}" if _exit(command) else ""
        note(f"{command_id} had ended already ({clean(status)}{code})")


def _row(command: Document) -> tuple[object, ...]:
    return (
        command.get("id"),
        command.get("server_name"),
        Status(command.get("status") or ""),
        _exit(command),
        When(command.get("started_at") or command.get("created_at") or ""),
        _took(command),
        format_size(command.get("log_size_bytes")),
        _line(command),
    )


def _facts(command: Document) -> list[tuple[str, object]]:
    variables = sorted(command.get("env") or {})
    hidden = command.get("secret_env_names") or []
    return [
        ("id", command.get("id")),
        ("server", command.get("server_name")),
        ("command", _line(command)),
        ("folder", command.get("cwd")),
        ("user", command.get("user")),
        ("variables", ", ".join([*variables, *(f"{name} (secret)" for name in hidden)])),
        *standing(command),
        ("exit", _exit(command)),
        ("created", When(command.get("created_at") or "")),
        ("when offline", command.get("offline") if command.get("offline") != "fail" else ""),
        ("lock", command.get("lock") if command.get("lock") != "none" else ""),
        ("job", command.get("job_id")),
        ("schedule", command.get("schedule_id")),
        ("started", When(command.get("started_at") or "")),
        ("cancel asked", When(command.get("cancel_requested_at") or "")),
        ("ended", When(command.get("ended_at") or "")),
        ("took", _took(command)),
        ("output", format_size(command.get("log_size_bytes"))),
        ("output is", command.get("log_completeness")),
        ("asked by", command.get("requested_by")),
        *history(command),
        *(("attempt", _attempt(attempt)) for attempt in command.get("attempts") or []),
    ]


def _line(command: Document) -> str:
    return shlex.join([str(command.get("command") or ""), *map(str, command.get("args") or [])])


def _exit(command: Document) -> str:
    if command.get("signal"):
        return str(command["signal"])
    return "" if command.get("exit_code") is None else str(command["exit_code"])


def _took(command: Document) -> str:
    start, end = parse_time(command.get("started_at")), parse_time(command.get("ended_at"))
    return "" if start is None or end is None else format_duration(max(0.0, end - start))


def _attempt(attempt: Document) -> str:
    return f"{attempt.get('at')}  {attempt.get('cause') or 'ok'}  {attempt.get('message') or ''}"
