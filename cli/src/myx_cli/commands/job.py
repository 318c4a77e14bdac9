"""`myx job …`."""

from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import find
from myx_cli.errors import ApiError
from myx_cli.jobs.facts import job_facts, job_row, target_row
from myx_cli.jobs.running import follow_job, retry_job
from myx_cli.jobs.states import TROUBLED, counts, counts_line
from myx_cli.jobs.statuses import FINAL_JOB
from myx_cli.nouns import JOB
from myx_cli.output import note
from myx_cli.pages import all_items, shown_items
from myx_cli.secrets import secret_variable
from myx_cli.session import Session
from myx_cli.sinks import print_json
from myx_cli.tables import Status, print_facts, print_table
from myx_cli.text import clean

_TROUBLED_MOST = 20


def list_(arguments: Namespace) -> int:
    """Lists jobs, newest first."""
    items = shown_items(_client(arguments), JOB.path, arguments.limit, status=arguments.status)
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("ID", "Status", "Created", "Took", "Servers", "Outcome", "Name", "Work"),
        [job_row(item) for item in items],
        "no jobs yet: myx run -l SELECTOR -- COMMAND",
        droppable=("Name", "Took", "Created", "Servers"),
    )
    return 0


def show(arguments: Namespace) -> int:
    """Shows where a job stands and how it came there."""
    client = _client(arguments)
    job = client.get(_path(arguments.id))
    if arguments.output == "json":
        print_json(job)
        return 0
    troubled: list[Document] = []
    if TROUBLED & counts(job).keys():
        path = f"{_path(arguments.id)}/targets"
        troubled = all_items(client, path, _TROUBLED_MOST + 1, status=sorted(TROUBLED))
    print_facts(job_facts(job, troubled[:_TROUBLED_MOST], more=len(troubled) > _TROUBLED_MOST))
    return 0


def targets(arguments: Namespace) -> int:
    """Lists the servers of a job in the order in which they are started."""
    items = all_items(_client(arguments), f"{_path(arguments.id)}/targets", status=arguments.status)
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("#", "Server", "Batch", "Status", "Exit", "Took", "Output", "ID", "Message"),
        [target_row(item) for item in items],
        "no such servers",
        droppable=("Output", "Batch", "Took", "Exit", "#"),
    )
    return 0


def follow(arguments: Namespace) -> int:
    """Watches a job to its end; its exit code."""
    endpoint = find(arguments)
    client = Client(endpoint)
    job = client.get(_path(arguments.id))
    session = Session(endpoint, arguments.reconnect_timeout, JOB, cancels=False)
    session.watching(str(job["id"]))
    session.interrupts.watch()
    return follow_job(client, session, job, arguments)


def pause(arguments: Namespace) -> int:
    """Starts nothing new; what runs goes on."""
    return _act(arguments, "pause")


def resume(arguments: Namespace) -> int:
    """Goes on."""
    return _act(arguments, "resume")


def set_(arguments: Namespace) -> int:
    """Changes how many servers are under way at once."""
    job = _client(arguments).patch(_path(arguments.id), {"concurrency": arguments.concurrency})
    return _print_one(job, arguments)


def cancel(arguments: Namespace) -> int:
    """Asks jobs to end; does not wait for it."""
    client = _client(arguments)
    content = {} if arguments.grace is None else {"grace_s": arguments.grace}
    asked: list[Document] = []
    exit_code = 0
    for job_id in arguments.ids:
        try:
            job = client.post(f"{_path(job_id)}/cancel", content)
            asked.append(job)
            if job.get("status") in FINAL_JOB:
                note(f"{job_id} had ended already ({clean(job.get('status'))})")
        except ApiError as error:
            if len(arguments.ids) == 1:
                raise
            note(f"{job_id}: {error.message}")
            exit_code = error.exit_code
    if arguments.output == "json":
        print_json({"items": asked})
    else:
        _print_rows(asked)
    return exit_code


def retry(arguments: Namespace) -> int:
    """Starts a job that is over once more on those servers where it did not succeed."""
    content: Document = {}
    if arguments.status:
        content["statuses"] = arguments.status
    if arguments.secret_env:
        content["secrets"] = {name: secret_variable(name) for name in arguments.secret_env}
    return retry_job(find(arguments), arguments.id, content, arguments)


def _act(arguments: Namespace, verb: str) -> int:
    return _print_one(_client(arguments).post(f"{_path(arguments.id)}/{verb}", {}), arguments)


def _print_one(job: Document, arguments: Namespace) -> int:
    if arguments.output == "json":
        print_json(job)
    else:
        _print_rows([job])
    return 0


def _print_rows(jobs: list[Document]) -> None:
    print_table(
        ("ID", "Status", "Servers", "Next"),
        [(job.get("id"), Status(job.get("status") or ""), counts_line(job), job.get("next")) for job in jobs],
        "nothing was cancelled",
    )


def _client(arguments: Namespace) -> Client:
    return Client(find(arguments))


def _path(job_id: str) -> str:
    return f"{JOB.path}/{segment(job_id)}"
