"""A job from its creation to its end, as `myx run`, `myx deploy` and `myx job` show it."""

import os
from argparse import Namespace
from collections.abc import Callable

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import Endpoint
from myx_cli.errors import MYX_FAILED, ApiError, Failure, OutputError
from myx_cli.jobs.follow import JobFollower
from myx_cli.jobs.lines import JsonWatcher
from myx_cli.jobs.live import LiveWatcher
from myx_cli.jobs.plain import PlainWatcher
from myx_cli.jobs.request import job_options
from myx_cli.jobs.selection import NOTHING_STARTED, Selection
from myx_cli.jobs.states import job_code, target_code, target_sentence
from myx_cli.jobs.statuses import FINAL_JOB
from myx_cli.jobs.summary import Summary
from myx_cli.jobs.terminal import Terminal, is_live
from myx_cli.nouns import JOB
from myx_cli.output import note, print_line
from myx_cli.pages import all_items
from myx_cli.session import Session
from myx_cli.sinks import print_json, print_json_line
from myx_cli.starting import post_patiently

_CHANGES_MOST = 5


def run_job(endpoint: Endpoint, work: Document, arguments: Namespace) -> int:
    """Starts `work` on the servers of the command line and follows it there; the exit code."""
    options = job_options(arguments)
    session = Session(endpoint, arguments.reconnect_timeout, JOB)
    client = Client(endpoint)
    content: Document = {"work": work, "options": options}
    if arguments.job_name:
        content["name"] = arguments.job_name

    session.interrupts.watch()

    def start() -> Document:
        if arguments.selector is not None:
            return _create_selected(client, session, {**content, "selector": arguments.selector}, arguments)
        return _create(client, session, {**content, "servers": arguments.servers})

    return _run(client, session, start, arguments)


def retry_job(endpoint: Endpoint, job_id: str, content: Document, arguments: Namespace) -> int:
    """Starts a job that is over once more where it did not succeed; the exit code."""
    session = Session(endpoint, arguments.reconnect_timeout, JOB)
    session.interrupts.watch()
    client = Client(endpoint)
    path = f"{JOB.path}/{segment(job_id)}/retry"
    return _run(client, session, lambda: _create(client, session, content, path), arguments)


def follow_job(client: Client, session: Session, job: Document, arguments: Namespace) -> int:
    """Shows a job to its end; the exit code."""
    terminal = Terminal() if arguments.output != "json" and not arguments.lines and is_live() else None
    watcher = JsonWatcher() if arguments.output == "json" else LiveWatcher(terminal) if terminal else PlainWatcher()
    follower = JobFollower(client, str(job["id"]), watcher, session.patience(), whole=terminal is None)
    if terminal is not None and job.get("status") in FINAL_JOB:
        follower.job = job
        follower.targets = {int(item["number"]): item for item in _targets(client, job)}
    elif isinstance(watcher, LiveWatcher):
        watcher.job(job)
        watcher.start()
        try:
            follower.run()
        finally:
            watcher.stop()
    else:
        follower.run()
    session.ended(str(job["id"]))
    watcher.end()
    code = job_code(follower.job, follower.targets.values())
    if terminal is not None:
        Summary(terminal, client, session.patience()).show(follower.job, follower.targets.values())
    elif arguments.output == "json":
        print_json_line(_result(follower, code))
    return code


def _create_selected(client: Client, session: Session, content: Document, arguments: Namespace) -> Document:
    """Created on the list that was shown; when it is another by then, it is shown again."""
    selection = Selection(
        client, session, arguments.selector, content["options"], agreed=arguments.yes, quiet=arguments.output == "json"
    )
    content = {**content, "expected_targets_sha256": selection.agree()}
    for _ in range(_CHANGES_MOST):
        try:
            return _create(client, session, content)
        except ApiError as error:
            if error.reason != "TARGETS_CHANGED":
                raise
        content = {**content, "expected_targets_sha256": selection.agree()}
    raise Failure(f"the list of servers changes all the time{NOTHING_STARTED}")


def _create(client: Client, session: Session, content: Document, path: str = "") -> Document:
    session.starting()
    try:
        job = post_patiently(client, session, content, os.urandom(16).hex(), path, told=NOTHING_STARTED)
        job_id = str(job["id"])
    except KeyError:
        session.not_started()
        raise Failure("MyX did not answer with a job; is the address right?") from None
    except Failure:
        session.not_started()
        raise
    session.started(job_id, "")
    return job


def _run(client: Client, session: Session, start: Callable[[], Document], arguments: Namespace) -> int:
    job: Document | None = None
    try:
        job = start()
        return _show(client, session, job, arguments)
    except Failure as failure:
        if arguments.output == "json" and failure.exit_code == MYX_FAILED:
            result = {"type": "result", "exit_code": MYX_FAILED, "error": failure.message, "job": job, "targets": []}
            print_json_line(result)
        raise
    finally:
        client.close()


def _show(client: Client, session: Session, job: Document, arguments: Namespace) -> int:
    job_id = str(job["id"])
    as_json = arguments.output == "json"
    if arguments.detach:
        if as_json:
            print_json({"type": "detached", "exit_code": 0, "job": job})
        else:
            print_line(job_id)
        return 0
    if as_json:
        print_json_line({"type": "started", "job": job})
    try:
        return follow_job(client, session, job, arguments)
    except BrokenPipeError:
        return session.reader_left()
    except OutputError as failure:
        note(f"{failure.message}; the job goes on: {JOB.follow} {job_id}")
        return failure.exit_code


def _targets(client: Client, job: Document) -> list[Document]:
    return all_items(client, f"{JOB.path}/{segment(str(job['id']))}/targets")


def _result(follower: JobFollower, code: int) -> Document:
    targets = [
        {
            "server": target.get("server_name"),
            "exit_code": target_code(target),
            "error": None if target.get("status") == "success" else target_sentence(target),
            "target": target,
        }
        for _, target in sorted(follower.targets.items())
    ]
    return {"type": "result", "exit_code": code, "error": None, "job": follower.job, "targets": targets}
