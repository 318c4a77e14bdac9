"""`myx run`: a command on one or several servers, its output as it is written, its exit code."""

import json
import os
import sys
from argparse import Namespace
from base64 import b64encode
from typing import Any

from myx_cli.api import Client, Document
from myx_cli.endpoint import Endpoint, find
from myx_cli.errors import MYX_FAILED, Failure, OutputError, UsageError
from myx_cli.follow import Follower
from myx_cli.outcome import completeness_sentence, outcome
from myx_cli.output import note, print_line
from myx_cli.secrets import secret_variable
from myx_cli.servers import check_servers
from myx_cli.session import Session
from myx_cli.sinks import AnySink, JsonSink, PrefixSink, RawSink, print_json, print_json_line
from myx_cli.starting import post_patiently
from myx_cli.text import clean
from myx_cli.together import common_exit_code, run_together

STDIN_LIMIT_BYTES = 1024 * 1024


def run(arguments: Namespace) -> int:
    """Runs the command line's command; the exit code."""
    endpoint = find(arguments.url, arguments.token_file)
    content = _content(arguments)
    session = Session(endpoint, arguments.reconnect_timeout)
    session.interrupts.watch()
    servers: list[str] = arguments.servers
    if len(set(servers)) < len(servers):
        raise UsageError("a server is named twice")
    runs = [ServerRun(session, endpoint, server, content, arguments, alone=len(servers) == 1) for server in servers]
    if len(runs) > 1:
        check_servers(endpoint, servers)
    return run_together(session, runs, lambda: _finish(runs, arguments))


class ServerRun:
    """The command on one server: started once, followed to its end. `exit_code` and `command` are the outcome."""

    def __init__(
        self, session: Session, endpoint: Endpoint, server: str, content: Document, arguments: Namespace, *, alone: bool
    ) -> None:
        self.server = server
        self.exit_code = MYX_FAILED
        self.command: Document | None = None
        self.error: Failure | None = None
        self._session = session
        self._client = Client(endpoint)
        self._content = {"server": server, **content}
        self._key = os.urandom(16).hex()
        self._json = arguments.output == "json"
        self._detach = arguments.detach
        self._about = "" if alone else f"{clean(server)}: "
        self._alone = alone

    def run(self) -> None:
        """Start to end. A Failure is kept in `error` and told; BrokenPipeError when our reader left."""
        try:
            self._start()
            if self._detach:
                self.exit_code = 0
            else:
                self._follow()
        except Failure as failure:
            self.error = failure
            self.exit_code = failure.exit_code
            cut_off = self.command is not None and isinstance(failure, OutputError)
            note(self._about + failure.message + (f"; the command goes on: {self._how_to_follow()}" if cut_off else ""))
        finally:
            self._client.close()

    def _start(self) -> None:
        self._session.starting()
        try:
            command = post_patiently(self._client, self._session, self._content, self._key)
            command_id = str(command["id"])
        except KeyError:
            self._session.not_started()
            raise Failure("MyX did not answer with a command; is the address right?") from None
        except Failure:
            self._session.not_started()
            raise
        self.command = command
        self._session.started(command_id, self.server)
        if self._json and not self._detach:
            print_json_line({"type": "started", "command": command})

    def _follow(self) -> None:
        assert self.command is not None  # noqa: S101 (set by _start)
        command_id = str(self.command["id"])
        sink = self._sink(command_id)
        end = Follower(self._client, command_id, sink, self._session.patience()).run()
        self._session.ended(command_id)
        sink.end()
        self.command = end.document or self.command
        result = outcome(self.command)
        self.exit_code = result.exit_code
        if self._json:
            print_json_line({"type": "final", "offset": end.offset, "command": self.command})
            return
        sentence = result.sentence
        if not sentence and not self._alone and self.exit_code:
            sentence = f"exit code {self.exit_code}"
        for text in (completeness_sentence(self.command), sentence):
            if text:
                note(self._about + text)

    def _how_to_follow(self) -> str:
        return f"myx logs -f {self.command['id']}" if self.command else "myx command list"

    def _sink(self, command_id: str) -> AnySink:
        if self._json:
            return JsonSink(command_id, self.server)
        return RawSink() if self._alone else PrefixSink(self.server)


def _finish(runs: list[ServerRun], arguments: Namespace) -> int:
    exit_code = common_exit_code([run_.exit_code for run_ in runs])
    if arguments.detach and arguments.output == "json":
        print_json({"type": "detached", "exit_code": exit_code, "commands": [_result(run_) for run_ in runs]})
    elif arguments.detach:
        for run_ in runs:
            if run_.command is not None:
                print_line(str(run_.command["id"]))
    elif arguments.output == "json":
        print_json_line({"type": "result", "exit_code": exit_code, "commands": [_result(run_) for run_ in runs]})
    return exit_code


def _result(run_: ServerRun) -> dict[str, Any]:
    return {
        "server": run_.server,
        "exit_code": run_.exit_code,
        "error": run_.error.message if run_.error else None,
        "command": run_.command,
    }


def _content(arguments: Namespace) -> Document:
    content: Document = {"command": arguments.command[0], "args": arguments.command[1:]}
    if arguments.env:
        content["env"] = dict(arguments.env)
    if arguments.secret_env:
        content["secret_env"] = {name: secret_variable(name) for name in arguments.secret_env}
    for name in ("cwd", "user", "timeout", "no_output_timeout"):
        value = getattr(arguments, name)
        if value is not None:
            content[f"{name}_s" if name.endswith("timeout") else name] = value
    try:
        json.dumps([content, arguments.servers], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise UsageError("an argument or variable is not UTF-8 text, which is all that MyX can pass on") from None
    if arguments.stdin:
        content["stdin"] = b64encode(_own_stdin()).decode()
    return content


def _own_stdin() -> bytes:
    content = sys.stdin.buffer.read(STDIN_LIMIT_BYTES + 1)
    if len(content) > STDIN_LIMIT_BYTES:
        raise UsageError(f"--stdin: more than {STDIN_LIMIT_BYTES // 1024} KiB; larger input cannot be sent yet")
    return content
