"""The whole OpenAPI document against a real MyX: no 5xx, no status that is not documented, no answer of another form.

In the ordinary run some examples of each operation; in the long one many, among them wrong ones.
"""

import copy
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from myx_gateway import openapi
from myx_gateway.app import build_api
from myx_gateway.operations import BY_NAME
from myx_testkit.rest import Rest
from myx_testkit.standalone import Standalone

sys.path.insert(0, str(Path(__file__).parent))
from matrix_cases import schedule_body

pytestmark = pytest.mark.timeout(1800)

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Never ends by itself; its form is tested elsewhere.
ENDLESS: Final = frozenset({"events.stream"})
NAMES: Final = sorted(set(BY_NAME) - ENDLESS)
# What exists, by the name of the parameter or field that means it.
Pools = Mapping[str, list[str]]


@pytest.fixture(scope="module")
def own_myx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A whole MyX for this module alone."""
    deployment = Standalone(tmp_path_factory.mktemp("schemathesis") / "home")
    deployment.start()
    yield deployment
    deployment.stop()


@pytest.fixture(scope="module")
def pools(own_myx: Standalone) -> Pools:
    """Things of each kind."""
    own_myx.wait_until_well()
    root = Rest(own_myx.port, own_myx.api().token)
    root.post("/servers", {"name": "elsewhere", "address": "192.0.2.9", "labels": {"zone": "other"}})
    root.post("/credentials", {"name": "ops", "secret": {"password": "x"}})
    root.post("/users", {"name": "robot", "kind": "program"})
    command = root.post("/commands", {"server": "local", "command": "sh", "args": ["-c", "echo out; echo err >&2"]})
    job = root.post("/jobs", {"servers": ["local"], "work": {"command": {"command": "true"}}})
    schedule = root.post("/schedules", schedule_body("elsewhere"))
    deployment = root.post("/deployments", {"server": "local", "kind": "caddy", "method": "agent", "check": True})
    root.post(f"/deployments/{deployment['id']}/cancel")
    return {
        "server": ["local", root.get("/servers/local")["id"], "elsewhere"],
        "command_id": [command["id"]],
        "job_id": [job["id"]],
        "schedule": [schedule["name"]],
        "deployment_id": [deployment["id"]],
        "credential": ["ops"],
        "user": ["robot"],
        "selector": ["all", "zone=other", "zone=", "name ~ 'e*'"],
        "name": ["myx", "site"],
    }


@pytest.fixture(scope="module")
def clients(own_myx: Standalone, pools: Pools) -> Iterator[list[requests.Session]]:
    """The token of the installation twice, and that of somebody with a right on some servers."""
    root = Rest(own_myx.port, own_myx.api().token)
    grants = [{"role": "admin", "selector": "zone=other"}, {"role": "viewer", "selector": "zone=in or not zone"}]
    root.post("/users", {"name": "restricted", "kind": "program", "grants": grants})
    restricted = root.post("/tokens", {"name": "key", "user": "restricted"})["token"]
    with ExitStack() as stack:
        sessions = [stack.enter_context(requests.Session()) for _ in range(3)]
        for session, token in zip(sessions, (root.token, root.token, restricted), strict=True):
            session.headers["Authorization"] = f"Bearer {token}"
        yield sessions


def _document() -> dict[str, Any]:
    return copy.deepcopy(openapi.document(build_api(None, None)))  # type: ignore[arg-type]


@schemathesis.serializer("application/gzip")
def _as_it_is(_context: schemathesis.SerializationContext, value: Any) -> Any:
    return value if isinstance(value, bytes) else str(value).encode()


SCHEMA: Final = schemathesis.openapi.from_dict(_document())
OPERATIONS: Final = {result.ok().definition.raw["operationId"]: result.ok() for result in SCHEMA.get_all_operations()}


def test_the_document_is_understood_as_a_whole() -> None:
    assert set(OPERATIONS) == set(BY_NAME)


def harmless(name: str, case: Case, pools: Pools, choice: int) -> Case:
    """Puts things that exist in place of what nothing is named by, and nothing that harms this very machine."""
    changes = BY_NAME[name].verb != "GET"
    # What is changed or removed for certain is the one that can be missed.
    safe: Pools = {**pools, "server": ["elsewhere"]} if changes else pools
    for parameter in case.path_parameters or {}:
        if parameter in safe and choice % 3:
            case.path_parameters[parameter] = safe[parameter][choice % len(safe[parameter])]
    for parameter in case.query or {}:
        if parameter in pools and choice % 2 and isinstance(case.query[parameter], str):
            case.query[parameter] = pools[parameter][choice % len(pools[parameter])]
    if isinstance(case.body, dict):
        _harmless_body(case.body, choice)
        if name == "commands.run" and choice % 2:
            case.body["server"] = "local"
    return case


def _harmless_body(body: dict[str, Any], choice: int) -> None:
    for name, value in body.items():
        if name in {"server", "servers", "selector", "user"} and choice % 4 and isinstance(value, str | list):
            right = {"server": "elsewhere", "user": "robot", "selector": "zone=other"}.get(name, "elsewhere")
            body[name] = [right] if isinstance(value, list) else right
        elif name == "command" and isinstance(value, str):
            body[name] = "true"
        elif name == "jump_servers":
            body[name] = []
        elif isinstance(value, dict):
            _harmless_body(value, choice)
    if isinstance(body.get("selector"), str):
        # `all` is this machine too.
        body["selector"] = "zone=other" if choice % 4 else body["selector"] + " and zone=other"


def fuzz(name: str, clients: list[requests.Session], pools: Pools, url: str, *, examples: int, wrong: bool) -> None:
    """Ask one operation many times."""
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE] if wrong else [GenerationMode.POSITIVE]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=not wrong,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data(), st.integers(0, 1000))
    def ask(data: st.DataObject, choice: int) -> None:
        mode = modes[choice % len(modes)]
        case = data.draw(OPERATIONS[name].as_strategy(generation_mode=mode))
        harmless(name, case, pools, choice)
        client = clients[choice % len(clients)]
        case.call_and_validate(base_url=url, session=client, checks=CHECKS, timeout=60)

    ask()


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_answers_as_documented(
    name: str, own_myx: Standalone, pools: Pools, clients: list[requests.Session]
) -> None:
    fuzz(name, clients, pools, f"http://127.0.0.1:{own_myx.port}", examples=10, wrong=False)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_operation_withstands_much_and_wrong(
    name: str, own_myx: Standalone, pools: Pools, clients: list[requests.Session]
) -> None:
    fuzz(name, clients, pools, f"http://127.0.0.1:{own_myx.port}", examples=300, wrong=True)


@pytest.mark.parametrize("name", NAMES)
def test_no_operation_answers_who_is_not_logged_in(name: str, own_myx: Standalone, pools: Pools) -> None:
    if BY_NAME[name].on.value == "public":
        return
    operation = BY_NAME[name]
    path = operation.path
    for parameter, values in pools.items():
        path = path.replace(f"{{{parameter}}}", values[0])
    for headers in ({}, {"Authorization": "Bearer wrong-token-of-some-length"}, {"Cookie": "myx_session=x"}):
        url = f"http://127.0.0.1:{own_myx.port}/api/v1{path}"
        answer = requests.request(operation.verb, url, headers=headers, timeout=30)
        assert answer.status_code == 401, (name, headers)
        assert answer.json()["status"] == 401
