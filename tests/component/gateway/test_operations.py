"""The one table: what is routed, what may be called by name and what the docs say come from it."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from myx_gateway import errors, openapi, openrpc
from myx_gateway.access.guard import Guard
from myx_gateway.access.operation import On
from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import Grant, Rights, Role
from myx_gateway.api.dependencies import AccessDep
from myx_gateway.api.routes import BESIDE, OperationRouter, disagreements
from myx_gateway.app import API_PREFIX, build_api
from myx_gateway.operations import BY_NAME, OPERATIONS
from myx_gateway.streams.sockets import SOCKETS
from myx_kit.errors import MyxError
from myx_testkit.auditor import NullAuditor

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
_ON = {
    On.PUBLIC: "needs no login",
    On.SELF: "on what is one's own",
    On.ANY: "on any server",
    On.ALL: "on all servers",
    On.SERVER: "on the server",
    On.COMMAND: "on the command's server",
    On.DEPLOYMENT: "on the deployment's server",
    On.JOB: "on all targets of the job",
    On.SCHEDULE: "on all that it would be about now, or as its owner",
    On.BODY: "on every server that is named; a selector is narrowed",
    On.LIST: "only that is shown",
}


def api() -> FastAPI:
    return build_api(None, None)  # type: ignore[arg-type]


def test_names_and_addresses_are_given_once() -> None:
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)
    assert len({(one.verb, one.path) for one in OPERATIONS}) == len(OPERATIONS)
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", one.name) for one in OPERATIONS)


def test_every_operation_has_one_handler_and_nothing_else_is_routed() -> None:
    assert disagreements(api().routes, API_PREFIX, BESIDE) == []


def test_a_route_beside_the_table_is_noticed() -> None:
    app = api()

    @app.get("/api/v1/secrets")
    async def secrets() -> str:
        return "all of them"

    @app.get("/api/v1/servers", name="servers.list")
    async def servers() -> str:
        return "all of them, without a guard"

    said = disagreements(app.routes, API_PREFIX, BESIDE)
    assert "/api/v1/secrets is routed and is no operation" in said
    assert "servers.list is not routed by an OperationRouter" in said
    assert "servers.list has 2 handlers" in said


def test_an_operation_without_a_handler_is_noticed() -> None:
    app = FastAPI()
    router = OperationRouter(tags=["servers"])

    @router.operation("servers.list")
    async def servers() -> None:
        """All of them."""

    app.include_router(router, prefix=API_PREFIX)
    said = disagreements(app.routes, API_PREFIX, BESIDE | {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"})
    assert sorted(said) == sorted(f"{one.name} has 0 handlers" for one in OPERATIONS if one.name != "servers.list")


def test_websockets_are_streams_of_the_table() -> None:
    assert set(SOCKETS) == {one.name for one in OPERATIONS if one.name.partition(".")[2].startswith("stream")}
    assert all(BY_NAME[name].verb == "GET" and BY_NAME[name].bytes for name in SOCKETS)


def test_what_is_json_is_a_method_and_no_two_of_its_parameters_have_one_name() -> None:
    methods = openrpc.methods_of(openapi.document(api()))
    assert set(methods) == {one.name for one in OPERATIONS if not one.bytes and one.on is not On.PUBLIC}


@pytest.mark.parametrize(
    ("name", "asks", "selector", "status"),
    [
        ("commands.list", False, "zone=in", 500),
        ("commands.list", True, "zone=in", 200),
        ("commands.list", False, "all", 200),
        ("jobs.preview", False, "zone=in", 500),
        ("playbooks.list", False, "zone=in", 200),
        ("credentials.list", False, "zone=in", 403),
    ],
)
async def test_a_handler_that_forgot_to_ask_answers_nothing(name: str, asks: bool, selector: str, status: int) -> None:
    app, router = FastAPI(), OperationRouter(tags=["x"])

    @router.operation(name)
    async def handler(access: AccessDep) -> str:
        """Everything."""
        return "secret" + (access.selector if asks else "")

    app.include_router(router)
    app.state.guard, app.state.auditor = Guard(None), NullAuditor()  # type: ignore[arg-type]
    errors.install(app)
    operation = BY_NAME[name]
    principal = Principal("user:x", Rights((Grant(Role.OPERATOR, selector),)))
    scope = {
        "type": "http",
        "method": operation.verb,
        "path": operation.path,
        "query_string": b"",
        "headers": [],
        "state": {"principal": principal, "request_id": "r"},
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    with suppress(MyxError):
        await app(scope, receive, send)
    assert sent[0]["status"] == status
    assert (b"secret" in sent[1]["body"]) == (status == 200)


def table() -> str:
    lines = ["| operation | call | role | held |", "|---|---|---|---|"]
    for one in OPERATIONS:
        role = "" if one.on is On.PUBLIC else one.role.name.lower()
        lines.append(f"| `{one.name}` | `{one.verb} {one.path}` | {role} | {_ON[one.on]} |")
    return "\n".join(lines)


def test_the_page_says_who_may_do_what() -> None:
    """`MYX_UPDATE_SNAPSHOTS=1` writes the table anew."""
    text = PAGE.read_text()
    written = re.search(r"\| operation \| call \| role \| held \|\n(?:\|.*\n)+", text)
    assert written is not None
    if os.environ.get("MYX_UPDATE_SNAPSHOTS"):
        PAGE.write_text(text.replace(written[0], table() + "\n"))
    assert table() in PAGE.read_text()
