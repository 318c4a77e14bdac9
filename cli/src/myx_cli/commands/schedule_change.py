"""`myx schedule add|set|pause|resume|remove`."""

import os
from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.commands.run import command_content
from myx_cli.commands.schedule import PATH, get_schedule, show_one
from myx_cli.endpoint import Endpoint, find
from myx_cli.errors import ApiError, UsageError
from myx_cli.jobs.request import JOB_OPTIONS, QUEUEING, check_targets, is_job, job_options, queueing
from myx_cli.output import note
from myx_cli.plays import play_content, playbook_content, with_artifact
from myx_cli.servers import unknown_server

_LIMITS = ("timeout", "no_output_timeout")
_PLAY_OPTIONS = ("extra_vars", "secret", "check", "diff", "tags", "skip_tags", "limit", "artifact", "method")
_COMMAND_OPTIONS = ("env", "secret_env", "cwd", "user", "stdin", "connect_timeout")
_WORK_OPTIONS = (*_PLAY_OPTIONS, *_COMMAND_OPTIONS, "selector", *_LIMITS, "job_name", *JOB_OPTIONS, *QUEUEING)


def add(arguments: Namespace) -> int:
    """Starts something by the clock from now on."""
    if arguments.cron is None:
        raise UsageError("when? --cron 'MINUTE HOUR DAY MONTH WEEKDAY', for example --cron '0 3 * * *'")
    endpoint = find(arguments)
    content: Document = {"name": arguments.schedule, **_times(arguments), "work": _work(endpoint, arguments)}
    if arguments.paused:
        content["paused"] = True
    try:
        schedule = Client(endpoint).post(PATH, content, idempotency_key=os.urandom(16).hex())
    except ApiError as error:
        if error.reason == "SERVER_NOT_FOUND":
            raise unknown_server(error, "; nothing was stored") from None
        raise
    return show_one(schedule, arguments)


def set_(arguments: Namespace) -> int:
    """Changes what was given."""
    endpoint = find(arguments)
    content = _times(arguments)
    if _names_work(arguments):
        content["work"] = _work(endpoint, arguments)
    elif arguments.servers or _given(arguments, _WORK_OPTIONS):
        raise UsageError(
            "what is started is changed as a whole: say all of it, with -- COMMAND, --deploy or --playbook"
        )
    if not content:
        raise UsageError("change what? --cron, --tz, --missed, --missed-within, --overlap, or -- COMMAND")
    return _change(Client(endpoint), arguments, content)


def pause(arguments: Namespace) -> int:
    """Fires no more until it is resumed."""
    return _change(Client(find(arguments)), arguments, {"paused": True})


def resume(arguments: Namespace) -> int:
    """Fires again."""
    return _change(Client(find(arguments)), arguments, {"paused": False})


def remove(arguments: Namespace) -> int:
    """Removes schedules; what they have started goes on."""
    client = Client(find(arguments))
    exit_code = 0
    for name in arguments.schedules:
        try:
            client.delete(f"{PATH}/{segment(name)}")
        except ApiError as error:
            if len(arguments.schedules) == 1:
                raise
            note(f"{name}: {error.message}")
            exit_code = error.exit_code
    return exit_code


def _change(client: Client, arguments: Namespace, content: Document) -> int:
    """A change of the schedule as it is now: somebody else's in between is not overwritten."""
    etag = str(get_schedule(client, arguments.schedule).get("etag") or "")
    return show_one(client.patch(f"{PATH}/{segment(arguments.schedule)}", content, etag), arguments)


def _times(arguments: Namespace) -> Document:
    missed = arguments.missed and arguments.missed.replace("-", "_")
    if arguments.missed_within is not None and missed == "skip":
        raise UsageError("--missed-within goes with --missed run-once")
    given = {
        "cron": arguments.cron,
        "time_zone": arguments.tz,
        "missed": missed,
        "missed_within_s": arguments.missed_within,
        "overlap": arguments.overlap,
    }
    return {name: value for name, value in given.items() if value is not None}


def _names_work(arguments: Namespace) -> bool:
    return bool(arguments.command or arguments.deploy or arguments.playbook)


def _given(arguments: Namespace, names: tuple[str, ...]) -> list[str]:
    """Those of `names` that stand on the command line, also with 0 or an empty text."""
    values = {name: getattr(arguments, name) for name in names}
    return [name for name, value in values.items() if value is not None and value is not False and value != []]


def _work(endpoint: Endpoint, arguments: Namespace) -> Document:
    """A command or deployment on one server, or a job of either."""
    check_targets(arguments)
    one = _deployment(endpoint, arguments) if arguments.deploy or arguments.playbook else _command(arguments)
    if not is_job(arguments):
        ((kind, content),) = one.items()
        return {kind: {"server": arguments.servers[0], **content}}
    where = {"servers": arguments.servers} if arguments.selector is None else {"selector": arguments.selector}
    job: Document = {**where, "work": one, "options": job_options(arguments)}
    if arguments.job_name:
        job["name"] = arguments.job_name
    return {"job": job}


def _command(arguments: Namespace) -> Document:
    if not arguments.command:
        raise UsageError("start what? -- COMMAND ARG…, --deploy KIND or --playbook PROJECT/PLAYBOOK")
    _refuse(arguments, _PLAY_OPTIONS, "--deploy and --playbook")
    return {"command": command_content(arguments)}


def _deployment(endpoint: Endpoint, arguments: Namespace) -> Document:
    if arguments.command:
        raise UsageError("either a command or a deployment, not both")
    _refuse(arguments, _COMMAND_OPTIONS, "commands")
    content = playbook_content(arguments.playbook) if arguments.playbook else {"kind": arguments.deploy}
    return {"deployment": with_artifact(endpoint, arguments, content | play_content(arguments) | queueing(arguments))}


def _refuse(arguments: Namespace, names: tuple[str, ...], whose: str) -> None:
    for name in _given(arguments, names):
        raise UsageError(f"--{name.replace('_', '-')} is an option of {whose}")
