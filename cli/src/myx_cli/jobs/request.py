"""From the command line's options to the content of a job."""

from argparse import Namespace

from myx_cli.api import Document
from myx_cli.errors import UsageError

# Options of the command line and what the API calls them.
JOB_OPTIONS = {
    "concurrency": "concurrency",
    "batch": "batches",
    "batch_label": "batch_label",
    "batch_pause": "batch_pause_s",
    "canary": "canary",
    "soak": "canary_soak_s",
    "max_fail": "max_failed",
    "max_unreachable": "max_unreachable",
    "job_deadline": "deadline_s",
}
QUEUEING = {
    "offline": "offline",
    "queue_timeout": "queue_timeout_s",
    "connect_timeout": "connect_timeout_s",
    "lock": "lock",
}


def job_options(arguments: Namespace) -> Document:
    """How the job goes over its servers: what was given of it. UsageError."""
    given = {name: getattr(arguments, name, None) for name in JOB_OPTIONS}
    if given["batch"] and given["batch_label"]:
        raise UsageError("--batch and --batch-label exclude each other")
    if given["soak"] is not None and given["canary"] is None:
        raise UsageError("--soak is the wait after the canary: say --canary N, too")
    return {JOB_OPTIONS[name]: value for name, value in given.items() if value is not None and value != []}


def queueing(arguments: Namespace) -> Document:
    """What becomes of each command while its agent is offline or its server locked: what was given of it."""
    given = {field: getattr(arguments, name, None) for name, field in QUEUEING.items()}
    if given["queue_timeout_s"] is not None and given["offline"] != "queue" and given["lock"] in {None, "none"}:
        raise UsageError("--queue-timeout is how long to wait in line: say --offline queue or --lock, too")
    return {field: value for field, value in given.items() if value is not None}


def is_job(arguments: Namespace) -> bool:
    """Whether it goes the way of a job: many servers, or an option that only a job knows."""
    return arguments.selector is not None or len(arguments.servers) > 1 or has_job_options(arguments)


def has_job_options(arguments: Namespace) -> bool:
    """Whether there is an option that only a job knows. UsageError."""
    return bool(job_options(arguments)) or bool(getattr(arguments, "job_name", None))


def check_targets(arguments: Namespace) -> None:
    """Servers by name or by selector, not both and not none. UsageError."""
    servers: list[str] = arguments.servers
    if arguments.selector is None and not servers:
        raise UsageError("on which servers? SERVER… or -l SELECTOR")
    if arguments.selector is not None and servers:
        raise UsageError(f"servers by name ({servers[0]!r} …) or by -l, not both")
    if len(set(servers)) < len(servers):
        raise UsageError("a server is named twice")
