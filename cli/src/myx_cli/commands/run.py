"""`myx run`: a command on one or many servers, its output as it is written, its exit code."""

import json
import os
import sys
from argparse import Namespace
from base64 import b64encode

from myx_cli.api import Client, Document
from myx_cli.endpoint import Endpoint, find
from myx_cli.errors import Failure, OutputError, UsageError
from myx_cli.follow import Follower
from myx_cli.jobs.request import check_targets, is_job, queueing
from myx_cli.outcome import completeness_sentence, outcome
from myx_cli.output import note, print_line
from myx_cli.secrets import secret_variable
from myx_cli.session import Session
from myx_cli.silence import Silence
from myx_cli.sinks import JsonSink, RawSink, print_json, print_json_line
from myx_cli.starting import post_patiently

STDIN_LIMIT_BYTES = 1024 * 1024


def run(arguments: Namespace) -> int:
    """Runs the command line's command; the exit code."""
    check_targets(arguments)
    endpoint = find(arguments)
    content = command_content(arguments)
    if is_job(arguments):
        from myx_cli.jobs.running import run_job

        return run_job(endpoint, {"command": content}, arguments)
    session = Session(endpoint, arguments.reconnect_timeout, detached=arguments.detach)
    session.interrupts.watch()
    return ServerRun(session, endpoint, arguments.servers[0], content, arguments).run()


class ServerRun:
    """The command on one server: started once, followed to its end."""

    def __init__(
        self, session: Session, endpoint: Endpoint, server: str, content: Document, arguments: Namespace
    ) -> None:
        self._server = server
        self._command: Document | None = None
        self._error: Failure | None = None
        self._session = session
        self._client = Client(endpoint)
        self._content = {"server": server, **content}
        self._json = arguments.output == "json"
        self._detach = arguments.detach

    def run(self) -> int:
        """Start to end; the exit code."""
        try:
            return self._finish(self._run())
        except BrokenPipeError:
            return self._session.reader_left()

    def _run(self) -> int:
        """A Failure is kept and told; BrokenPipeError when our reader left."""
        try:
            command_id = self._start()
            return 0 if self._detach else self._follow(command_id)
        except Failure as failure:
            self._error = failure
            cut_off = self._command is not None and isinstance(failure, OutputError)
            note(failure.message + (f"; the command goes on: {self._how_to_follow()}" if cut_off else ""))
            return failure.exit_code
        finally:
            self._client.close()

    def _start(self) -> str:
        self._session.starting()
        try:
            command = post_patiently(self._client, self._session, self._content, os.urandom(16).hex())
            command_id = str(command["id"])
        except KeyError:
            self._session.not_started()
            raise Failure("MyX did not answer with a command; is the address right?") from None
        except Failure:
            self._session.not_started()
            raise
        self._command = command
        self._session.started(command_id, self._server)
        if self._json and not self._detach:
            print_json_line({"type": "started", "command": command})
        return command_id

    def _follow(self, command_id: str) -> int:
        sink = JsonSink(command_id, self._server) if self._json else RawSink()
        silence = Silence(self._client.endpoint, command_id)
        end = Follower(self._client, command_id, sink, self._session.patience(), silent=silence).run()
        self._session.ended(command_id)
        command = self._command = end.document or self._command or {}
        result = outcome(command)
        if self._json:
            print_json_line({"type": "final", "offset": end.offset, "command": command})
            return result.exit_code
        for text in (completeness_sentence(command), result.sentence):
            if text:
                note(text)
        return result.exit_code

    def _how_to_follow(self) -> str:
        return f"myx logs -f {self._command['id']}" if self._command else "myx command list"

    def _finish(self, exit_code: int) -> int:
        result = {
            "server": self._server,
            "exit_code": exit_code,
            "error": self._error.message if self._error else None,
            "command": self._command,
        }
        if self._detach and self._json:
            print_json({"type": "detached", "exit_code": exit_code, "commands": [result]})
        elif self._detach and self._command is not None:
            print_line(str(self._command["id"]))
        elif self._json:
            print_json_line({"type": "result", "exit_code": exit_code, "commands": [result]})
        return exit_code


def command_content(arguments: Namespace) -> Document:
    """The command that the options describe, without where it runs. UsageError."""
    content: Document = {"command": arguments.command[0], "args": arguments.command[1:], **queueing(arguments)}
    if arguments.env:
        content["env"] = dict(arguments.env)
    if arguments.secret_env:
        content["secret_env"] = {name: secret_variable(name) for name in arguments.secret_env}
    for name in ("cwd", "user", "timeout", "no_output_timeout"):
        value = getattr(arguments, name)
        if value is not None:
            content[f"{name}_s" if name.endswith("timeout") else name] = value
    try:
        json.dumps([content, arguments.servers, arguments.selector], ensure_ascii=False).encode()
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
