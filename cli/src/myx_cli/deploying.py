"""Deployments on one or several servers: started once, followed to their end."""

import os
import time
from argparse import Namespace
from typing import Any

from myx_cli.api import Client, Document, segment
from myx_cli.deployments import recap_line, step_line, verdict
from myx_cli.endpoint import Endpoint
from myx_cli.errors import MYX_FAILED, Failure, OutputError, UsageError
from myx_cli.follow import Follower
from myx_cli.jobs.request import has_job_options
from myx_cli.nouns import DEPLOYMENT
from myx_cli.outcome import FINAL, completeness_sentence
from myx_cli.output import note, print_line, tell
from myx_cli.servers import check_servers
from myx_cli.session import Session
from myx_cli.sinks import AnySink, JsonSink, PrefixSink, RawSink, print_json, print_json_line
from myx_cli.starting import post_patiently
from myx_cli.steps import StepWatch
from myx_cli.text import clean
from myx_cli.together import AT_ONCE, common_exit_code, run_together

# Between the end of the log and the last word on the deployment.
_SETTLE_S = 30.0


def deploy_on(endpoint: Endpoint, servers: list[str], content: Document, arguments: Namespace) -> int:
    """Starts `content` on each of `servers` and follows it there; the exit code.

    With a selector or an option that only a job knows it is one job, otherwise one deployment each, whose steps are
    shown as they are done.
    """
    if getattr(arguments, "selector", None) is not None or has_job_options(arguments):
        from myx_cli.jobs.running import run_job

        return run_job(endpoint, {"deployment": content}, arguments)
    if len(set(servers)) < len(servers):
        raise UsageError("a server is named twice")
    if len(servers) > 1:
        check_servers(endpoint, servers)
    session = Session(endpoint, arguments.reconnect_timeout, DEPLOYMENT, detached=arguments.detach)
    session.interrupts.watch()
    beside = min(AT_ONCE, len(servers))
    runs = [DeploymentRun(session, endpoint, {"server": name, **content}, arguments, beside=beside) for name in servers]
    return run_together(session, runs, lambda: _finish(runs, arguments))


def repeat(endpoint: Endpoint, deployment_id: str, content: Document, arguments: Namespace) -> int:
    """Starts a deployment that is over once more; the exit code."""
    session = Session(endpoint, arguments.reconnect_timeout, DEPLOYMENT, detached=arguments.detach)
    session.interrupts.watch()
    runs = [DeploymentRun(session, endpoint, content, arguments, beside=1)]
    runs[0].path = f"{DEPLOYMENT.path}/{segment(deployment_id)}/retry"
    return run_together(session, runs, lambda: _finish(runs, arguments))


class DeploymentRun:
    """One deployment; `exit_code`, `deployment` and `error` are the outcome."""

    def __init__(
        self, session: Session, endpoint: Endpoint, content: Document, arguments: Namespace, *, beside: int
    ) -> None:
        self.server = str(content.get("server") or "")
        self.path = DEPLOYMENT.path
        self.exit_code = MYX_FAILED
        self.deployment: Document | None = None
        self.error: Failure | None = None
        self._session = session
        self._endpoint = endpoint
        self._client = Client(endpoint)
        self._content = content
        self._key = os.urandom(16).hex()
        self._json = arguments.output == "json"
        self._detach = arguments.detach
        self._beside = beside
        self._about = "" if beside == 1 else f"{clean(self.server)}: "
        self._prefix = "" if beside == 1 else f"{clean(self.server)} | "

    def run(self) -> None:
        """Start to end. A Failure is kept in `error` and told; BrokenPipeError when our reader left."""
        try:
            deployment_id = self._start()
            if self._detach:
                self.exit_code = 0
            else:
                self._follow(deployment_id)
        except Failure as failure:
            self.error = failure
            self.exit_code = failure.exit_code
            note(self._about + failure.message + self._how_to_follow(failure))
        finally:
            self._client.close()

    def _start(self) -> str:
        self._session.starting()
        try:
            deployment = post_patiently(self._client, self._session, self._content, self._key, self.path)
            deployment_id = str(deployment["id"])
        except KeyError:
            self._session.not_started()
            raise Failure("MyX did not answer with a deployment; is the address right?") from None
        except Failure:
            self._session.not_started()
            raise
        self.deployment = deployment
        self.server = self.server or str(deployment.get("server_name") or "")
        self._session.started(deployment_id, self.server)
        if self._json and not self._detach:
            print_json_line({"type": "started", "deployment": deployment})
        return deployment_id

    def _follow(self, deployment_id: str) -> None:
        watch = StepWatch(self._endpoint, deployment_id, self._show_step, self._beside)
        sink = self._sink(deployment_id)
        watch.start()
        try:
            end = Follower(self._client, deployment_id, sink, self._session.patience(), noun=DEPLOYMENT).run()
            final = self._settle(deployment_id, end.document or {})
        finally:
            watch.stop()
        self._session.ended(deployment_id)
        sink.end()
        self.deployment = final
        watch.take(final)
        self._conclude(final, end.offset)

    def _settle(self, deployment_id: str, deployment: Document) -> Document:
        """The deployment once it is final: its log may end a moment earlier."""
        limit = time.monotonic() + _SETTLE_S
        while deployment.get("status") not in FINAL and time.monotonic() < limit:
            self._session.interrupts.sleep(0.3)
            deployment = self._client.get(f"{DEPLOYMENT.path}/{segment(deployment_id)}")
        return deployment

    def _conclude(self, deployment: Document, offset: int) -> None:
        result = verdict(deployment)
        self.exit_code = result.exit_code
        if self._json:
            print_json_line({"type": "final", "offset": offset, "deployment": deployment})
            return
        recap = recap_line(deployment)
        if recap:
            tell(self._prefix + recap)
        for sentence in (completeness_sentence(deployment), *result.sentences):
            if sentence:
                note(self._about + sentence)

    def _show_step(self, step: Document) -> None:
        if self._json:
            about = {"deployment_id": self.deployment and self.deployment["id"], "server": self.server}
            print_json_line({"type": "step", **about, "step": step})
            return
        line = step_line(step)
        if line:
            tell(self._prefix + line)

    def _how_to_follow(self, failure: Failure) -> str:
        if self.deployment is None or not isinstance(failure, OutputError):
            return ""
        return f"; the deployment goes on: {DEPLOYMENT.follow} {self.deployment['id']}"

    def _sink(self, deployment_id: str) -> AnySink:
        if self._json:
            return JsonSink(deployment_id, self.server, DEPLOYMENT.word)
        return PrefixSink(self.server) if self._prefix else RawSink()


def _finish(runs: list[DeploymentRun], arguments: Namespace) -> int:
    exit_code = common_exit_code([run_.exit_code for run_ in runs])
    if arguments.detach and arguments.output == "json":
        print_json({"type": "detached", "exit_code": exit_code, "deployments": [_result(run_) for run_ in runs]})
    elif arguments.detach:
        for run_ in runs:
            if run_.deployment is not None:
                print_line(str(run_.deployment["id"]))
    elif arguments.output == "json":
        print_json_line({"type": "result", "exit_code": exit_code, "deployments": [_result(run_) for run_ in runs]})
    return exit_code


def _result(run_: DeploymentRun) -> dict[str, Any]:
    return {
        "server": run_.server,
        "exit_code": run_.exit_code,
        "error": run_.error.message if run_.error else None,
        "deployment": run_.deployment,
    }
