"""`myx server import`."""

import os
from argparse import Namespace
from pathlib import Path

from myx_cli.api import Client, Document
from myx_cli.asking import can_ask
from myx_cli.deploying import deploy_on
from myx_cli.endpoint import find
from myx_cli.errors import OK, ApiError, Failure, UsageError
from myx_cli.host_keys import settle_host_key
from myx_cli.importing import ansible_form, csv_form, yaml_form
from myx_cli.importing.rows import Row, contents_of
from myx_cli.output import note
from myx_cli.pages import all_items
from myx_cli.places import expanded
from myx_cli.sinks import print_json
from myx_cli.tables import print_table
from myx_cli.text import clean

_LIMIT_BYTES = 16 * 1024 * 1024
_ENDINGS = {".csv": "csv", ".yml": "yaml", ".yaml": "yaml", ".ini": "ansible", "": "ansible", ".cfg": "ansible"}


def import_(arguments: Namespace) -> int:
    """Adds the servers of a file that are not there yet; the whole file is checked before."""
    contents = contents_of(
        _rows(arguments),
        expanded(arguments.file).parent,
        arguments.credential or "",
        accept_host_key=arguments.accept_host_key,
    )
    endpoint = find(arguments)
    client = Client(endpoint)
    try:
        outcomes = _add_all(client, contents, dry=arguments.dry_run)
        to_enrol = [name for name, outcome, server in outcomes if _wants_agent(outcome, server)]
        if arguments.enrol and can_ask() and not arguments.dry_run:
            for name, _, server in outcomes:
                if name in to_enrol:
                    settle_host_key(client, server)
    finally:
        client.close()
    failed = _tell(outcomes, arguments)
    if not arguments.enrol or arguments.dry_run or not to_enrol:
        return failed
    arguments.timeout, arguments.detach = None, False
    return deploy_on(endpoint, to_enrol, {"kind": "install_agent"}, arguments) or failed


_Outcome = tuple[str, str, Document]


def _rows(arguments: Namespace) -> list[Row]:
    file = clean(arguments.file)
    try:
        with expanded(arguments.file).open("rb") as source:
            content = source.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or 'unreadable'}") from None
    if len(content) > _LIMIT_BYTES:
        raise UsageError(f"{file} is larger than {_LIMIT_BYTES >> 20} MiB")
    form = arguments.format or _ENDINGS.get(Path(arguments.file).suffix.lower())
    if form == "csv":
        rows = csv_form.rows_of(content, file)
    elif form == "yaml":
        rows = yaml_form.rows_of(content, file)
    elif form == "ansible":
        rows, notes = ansible_form.rows_of(content, file)
        for text in notes:
            note(text)
    else:
        raise UsageError(f"the form of {file} cannot be seen from its name: --format yaml, csv or ansible")
    if not rows:
        raise UsageError(f"{file} holds no servers")
    return rows


def _add_all(client: Client, contents: list[Document], *, dry: bool) -> list[_Outcome]:
    there = {str(server.get("name")): server for server in all_items(client, "/servers")}
    _check_jumps(contents, there)
    outcomes: list[_Outcome] = []
    for content in contents:
        name = content["name"]
        if name in there:
            outcomes.append((name, _existing(content, there[name]), there[name]))
        elif dry:
            outcomes.append((name, "would be added", {}))
        else:
            outcomes.append(_add(client, content))
    return outcomes


def _add(client: Client, content: Document) -> _Outcome:
    try:
        server = client.post("/servers", content, idempotency_key=os.urandom(16).hex())
    except ApiError as error:
        if error.reason == "SERVER_NAME_TAKEN":
            return content["name"], "is there already", {}
        if error.status >= 500 or error.status in {401, 403, 429}:
            raise Failure(f"{content['name']}: {error.message}; what was added stays, repeat the import") from None
        return content["name"], f"not added: {clean(error.message)}", {}
    return content["name"], "added", server


def _existing(content: Document, server: Document) -> str:
    same = content["address"] == server.get("address")
    return "is there already" if same else f"is there already, with the address {clean(server.get('address'))}"


def _check_jumps(contents: list[Document], there: dict[str, Document]) -> None:
    known = set(there) | {str(server.get("id")) for server in there.values()} | {item["name"] for item in contents}
    for content in contents:
        for jump in (content.get("ssh") or {}).get("jump_servers") or []:
            if jump not in known:
                raise UsageError(f"{content['name']}: jump: there is no server {clean(jump)}")


def _wants_agent(outcome: str, server: Document) -> bool:
    # One of this name with another address is another machine than the file's.
    return outcome == "added" or (outcome == "is there already" and bool(server) and not server.get("agent"))


def _tell(outcomes: list[_Outcome], arguments: Namespace) -> int:
    failed = sum(outcome.startswith("not added") for _, outcome, _ in outcomes)
    if arguments.output == "json":
        if not arguments.enrol or arguments.dry_run:
            print_json({"items": [{"name": name, "outcome": outcome} for name, outcome, _ in outcomes]})
    else:
        print_table(("Name", "Outcome"), [(name, outcome) for name, outcome, _ in outcomes], "no servers")
    added = sum(outcome in {"added", "would be added"} for _, outcome, _ in outcomes)
    verb = "would be added" if arguments.dry_run else "added"
    note(f"{added} {verb}, {len(outcomes) - added - failed} there already, {failed} refused")
    return 1 if failed else OK
