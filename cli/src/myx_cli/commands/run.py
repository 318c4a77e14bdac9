"""`myx run`: a command on one or several servers, its output as it is written, its exit code."""

import json
import os
import sys
import threading
from argparse import Namespace
from base64 import b64encode
from typing import Any

from myx_cli.api import Client, Document
from myx_cli.endpoint import Endpoint, find
from myx_cli.errors import (
    DIFFERENT_FAILURES,
    INTERRUPTED,
    MYX_FAILED,
    ApiError,
    Failure,
    OutputError,
    Unreachable,
    UsageError,
)
from myx_cli.follow import Follower
from myx_cli.outcome import completeness_sentence, outcome
from myx_cli.output import note, note_fault, print_line
from myx_cli.servers import get_server, unknown_server
from myx_cli.session import Session
from myx_cli.sinks import AnySink, JsonSink, PrefixSink, RawSink, print_json, print_json_line
from myx_cli.text import clean

STDIN_LIMIT_BYTES = 1024 * 1024
AT_ONCE = 64
_FIRST_CONTACT_S = 10.0


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
    if len(runs) == 1:
        return _run_one(session, runs[0], arguments)
    _check_servers(endpoint, servers)
    return _run_several(session, runs, arguments)


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
            command = self._post()
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

    def _post(self) -> Document:
        """POST with one idempotency key, again and again while MyX is away: the command runs once at most."""
        patience = self._session.patience()
        maybe_sent = False
        cause: Unreachable | ApiError
        while True:
            try:
                return self._client.post("/commands", self._content, idempotency_key=self._key)
            except Unreachable as error:
                maybe_sent = maybe_sent or error.maybe_sent
                cause, final = error, error.permanent
            except ApiError as error:
                if error.reason == "SERVER_NOT_FOUND":
                    raise unknown_server(error) from None
                cause, final = error, not error.temporary
            if self._session.asked_to_end and not maybe_sent:
                raise Failure("interrupted; nothing was started", INTERRUPTED)
            limit_s = patience.limit_s if maybe_sent else min(_FIRST_CONTACT_S, patience.limit_s)
            if final or not patience.pause(cause.message, limit_s):
                if not maybe_sent or isinstance(cause, ApiError):
                    raise cause
                raise Failure(f"{cause.message}; whether the command was started says: myx command list")

    def _follow(self) -> None:
        assert self.command is not None  # noqa: S101 (set by _start)
        command_id = str(self.command["id"])
        sink = self._sink(command_id)
        end = Follower(self._client, command_id, sink, self._session.patience()).run()
        self._session.ended(command_id)
        sink.end()
        self.command = end.command or self.command
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


def _run_one(session: Session, run_: ServerRun, arguments: Namespace) -> int:
    try:
        run_.run()
        return _finish([run_], arguments)
    except BrokenPipeError:
        return session.reader_left()


def _run_several(session: Session, runs: list[ServerRun], arguments: Namespace) -> int:
    waiting = list(reversed(runs))

    def work() -> None:
        while not session.asked_to_end and (run_ := _next(waiting)) is not None:
            try:
                run_.run()
            except BrokenPipeError:
                session.reader_left_in_thread()
            except Exception as error:  # noqa: BLE001 (the edge of a thread)
                # A fault of ours on one server must not hide the others.
                note_fault(error, clean(run_.server))

    threads = [threading.Thread(target=work, name=f"run-{number}") for number in range(min(AT_ONCE, len(runs)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for run_ in waiting:
        run_.exit_code = INTERRUPTED
        note(f"{clean(run_.server)}: not started, interrupted")
    try:
        return _finish(runs, arguments)
    except BrokenPipeError:
        return session.reader_left()


def _next(waiting: list[ServerRun]) -> ServerRun | None:
    try:
        return waiting.pop()
    except IndexError:
        return None


def _finish(runs: list[ServerRun], arguments: Namespace) -> int:
    exit_code = _exit_code([run_.exit_code for run_ in runs])
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


def _exit_code(codes: list[int]) -> int:
    """0 when all are 0; the common one when all that failed have the same; 130 when any was cancelled; else 1."""
    failed = {code for code in codes if code}
    if INTERRUPTED in failed:
        return INTERRUPTED
    return failed.pop() if len(failed) == 1 else (DIFFERENT_FAILURES if failed else 0)


def _check_servers(endpoint: Endpoint, servers: list[str]) -> None:
    """Nothing is started anywhere while one of the names is wrong."""
    client = Client(endpoint)
    try:
        for server in servers:
            get_server(client, server, "; nothing was started")
    finally:
        client.close()


def _content(arguments: Namespace) -> Document:
    content: Document = {"command": arguments.command[0], "args": arguments.command[1:]}
    if arguments.env:
        content["env"] = dict(arguments.env)
    if arguments.secret_env:
        content["secret_env"] = {name: _secret(name) for name in arguments.secret_env}
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


def _secret(name: str) -> str:
    value = os.environ.get(name)
    if value is not None:
        return value
    import getpass
    import termios

    try:
        with open("/dev/tty", "rb"):  # noqa: PTH123
            pass
        return getpass.getpass(f"{clean(name)}: ")
    except (OSError, EOFError, termios.error):
        raise UsageError(f"--secret-env {name}: no such variable here, and no terminal to ask at") from None


def _own_stdin() -> bytes:
    content = sys.stdin.buffer.read(STDIN_LIMIT_BYTES + 1)
    if len(content) > STDIN_LIMIT_BYTES:
        raise UsageError(f"--stdin: more than {STDIN_LIMIT_BYTES // 1024} KiB; larger input cannot be sent yet")
    return content
