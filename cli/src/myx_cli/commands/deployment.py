"""`myx deployment list|show|cancel`."""

import json
from argparse import Namespace

from myx_cli.api import Client, Document, segment
from myx_cli.deployments import recap_line, step_line, took_of
from myx_cli.endpoint import find
from myx_cli.errors import ApiError
from myx_cli.nouns import DEPLOYMENT
from myx_cli.outcome import FINAL
from myx_cli.output import note
from myx_cli.pages import shown_items
from myx_cli.servers import get_server
from myx_cli.sinks import print_json
from myx_cli.standing import history, standing
from myx_cli.tables import Status, When, print_facts, print_table
from myx_cli.text import clean, format_size


def list_(arguments: Namespace) -> int:
    """Lists deployments, newest first."""
    client = Client(find(arguments))
    filters = {"server": arguments.server, "kind": arguments.kind, "status": arguments.status}
    items = shown_items(client, DEPLOYMENT.path, arguments.limit, **filters)
    if arguments.server and not items:
        get_server(client, arguments.server)  # a name with a slip in it is told from a server without deployments
    if arguments.output == "json":
        print_json({"items": items})
        return 0
    print_table(
        ("ID", "Server", "Kind", "Status", "Started", "Took", "Changed", "Message"),
        [_row(item) for item in items],
        "no deployments yet: myx server enrol SERVER, myx deploy KIND SERVER",
        droppable=("Changed", "Took", "Started", "Server"),
    )
    return 0


def show(arguments: Namespace) -> int:
    """Shows all that is known about one deployment."""
    client = Client(find(arguments))
    deployment = client.get(f"{DEPLOYMENT.path}/{segment(arguments.id)}")
    if arguments.output == "json":
        print_json(deployment)
    else:
        print_facts(_facts(deployment))
    return 0


def cancel(arguments: Namespace) -> int:
    """Asks deployments to end; does not wait for it."""
    client = Client(find(arguments))
    asked: list[Document] = []
    exit_code = 0
    for deployment_id in arguments.ids:
        try:
            deployment = client.post(f"{DEPLOYMENT.path}/{segment(deployment_id)}/cancel", {})
            asked.append(deployment)
            status = deployment.get("status")
            if status in FINAL and not deployment.get("cancel_requested_at"):
                note(f"{deployment_id} had ended already ({clean(status)})")
        except ApiError as error:
            if len(arguments.ids) == 1:
                raise
            note(f"{deployment_id}: {error.message}")
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


def _row(deployment: Document) -> tuple[object, ...]:
    return (
        deployment.get("id"),
        deployment.get("server_name"),
        _kind(deployment),
        Status(deployment.get("status") or ""),
        When(deployment.get("started_at") or deployment.get("created_at") or ""),
        took_of(deployment),
        (deployment.get("recap") or {}).get("changed"),
        deployment.get("message"),
    )


def _facts(deployment: Document) -> list[tuple[str, object]]:
    variables = json.dumps(deployment.get("extra_vars") or {}, ensure_ascii=False, sort_keys=True)
    secrets = ", ".join(f"{name} (secret)" for name in deployment.get("secret_var_names") or [])
    return [
        ("id", deployment.get("id")),
        ("server", deployment.get("server_name")),
        ("kind", _kind(deployment)),
        ("project", " ".join(str(deployment.get(name) or "") for name in ("project", "project_version")).strip()),
        ("method", deployment.get("method_used") or deployment.get("method")),
        ("variables", "" if variables == "{}" else variables),
        ("secret variables", secrets),
        ("check", "yes" if deployment.get("check") else ""),
        ("tags", ", ".join(map(str, deployment.get("tags") or []))),
        ("without tags", ", ".join(map(str, deployment.get("skip_tags") or []))),
        ("limit", deployment.get("limit")),
        *standing(deployment),
        ("what helps", deployment.get("cure")),
        *(("step", step_line(step) or step.get("title") or step.get("name")) for step in deployment.get("steps") or []),
        ("recap", recap_line(deployment).removeprefix("recap: ")),
        ("created", When(deployment.get("created_at") or "")),
        ("started", When(deployment.get("started_at") or "")),
        ("cancel asked", When(deployment.get("cancel_requested_at") or "")),
        ("ended", When(deployment.get("ended_at") or "")),
        ("took", took_of(deployment)),
        ("log", format_size(deployment.get("log_size_bytes"))),
        ("log is", deployment.get("log_completeness")),
        ("when offline", deployment.get("offline") if deployment.get("offline") != "fail" else ""),
        ("lock", deployment.get("lock") if deployment.get("lock") != "none" else ""),
        ("job", deployment.get("job_id")),
        ("schedule", deployment.get("schedule_id")),
        ("repeats", deployment.get("retry_of")),
        ("asked by", deployment.get("requested_by")),
        *((clean(name).replace("_", " "), value) for name, value in sorted((deployment.get("details") or {}).items())),
        *history(deployment),
    ]


def _kind(deployment: Document) -> str:
    if deployment.get("kind") == "playbook":
        return f"{deployment.get('project')}/{deployment.get('playbook')}"
    return str(deployment.get("kind") or "")
