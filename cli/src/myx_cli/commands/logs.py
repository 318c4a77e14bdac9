"""`myx logs`: the output of a command that was started before."""

from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.follow import Follower, Patience
from myx_cli.interrupts import Interrupts
from myx_cli.outcome import FINAL, completeness_sentence, outcome
from myx_cli.output import note
from myx_cli.sinks import JsonSink, RawSink, print_json_line


def logs(arguments: Namespace) -> int:
    """Shows what there is; with --follow also what comes, until the command is final."""
    endpoint = find(arguments.url, arguments.token_file)
    command_id = str(arguments.id)
    interrupts = Interrupts(None, lambda: _leave(command_id, following=arguments.follow))
    interrupts.watch()
    client = Client(endpoint)
    command = client.get(f"/commands/{segment(command_id)}")
    as_json = arguments.output == "json"
    sink = JsonSink(command_id, str(command.get("server_name") or "")) if as_json else RawSink()
    follower = Follower(client, command_id, sink, Patience(arguments.reconnect_timeout), arguments.offset)
    if arguments.follow or command.get("status") in FINAL:
        end = follower.run()
    else:
        end = follower.run(until=max(arguments.offset, int(command.get("log_size_bytes") or 0)))
    final = end.document
    if as_json:
        print_json_line({"type": "final" if final else "end", "offset": end.offset, "command": final or command})
    elif final is not None:
        _tell(final, following=arguments.follow)
    return outcome(final).exit_code if arguments.follow and final is not None else 0


def _tell(command: Document, *, following: bool) -> None:
    for sentence in (completeness_sentence(command), outcome(command).sentence if following else ""):
        if sentence:
            note(sentence)


def _leave(command_id: str, *, following: bool) -> None:
    if following:
        note(f"left; nothing was cancelled: myx command cancel {command_id} would")
