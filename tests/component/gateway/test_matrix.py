"""Role x operation x resource: nothing is reached without the right, by REST or JSON-RPC, and each act is on record."""

import asyncio
import secrets
import sys
import urllib.parse
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from myx_gateway.access.operation import On, Operation
from myx_gateway.access.rights import Role
from myx_gateway.operations import BY_NAME, OPERATIONS
from myx_gateway.streams.sockets import SOCKETS
from myx_testkit.rest import Rest
from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync

sys.path.insert(0, str(Path(__file__).parent))
from matrix_cases import DENIED, PEOPLE, Case, Person, World, cases, schedule_body

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

FINAL = {"success", "failed", "timeout", "cancelled", "lost", "unknown", "skipped", "partial", "stopped"}
ASKED = {one.name: one for one in OPERATIONS if one.on is not On.PUBLIC}


@dataclass
class Matrix:
    """The world, and who asks."""

    url: str
    world: World
    cases: dict[str, list[Case]]
    agent_id: str
    tokens: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def own_myx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A whole MyX for this module alone."""
    deployment = Standalone(tmp_path_factory.mktemp("matrix") / "home")
    deployment.start()
    yield deployment
    deployment.stop()


def finished(root: Rest, path: str) -> str:
    """The id of what is at the path, once it is over."""
    until_sync(lambda: root.get(path)["status"] in FINAL, 60, what=f"{path} is over")
    return path.rpartition("/")[2]


@pytest.fixture(scope="module")
def matrix(own_myx: Standalone) -> Matrix:
    """Servers in two zones, one of each kind of work on the first one, and everybody with a token."""
    own_myx.wait_until_well()
    root = Rest(own_myx.port, own_myx.api().token)
    root.call("PATCH", "/servers/local", {"labels": {"zone": "in"}})
    root.post("/servers", {"name": "elsewhere", "address": "192.0.2.9", "labels": {"zone": "other"}})
    command = root.post("/commands", {"server": "local", "command": "true"})["id"]
    job = root.post("/jobs", {"servers": ["local"], "work": {"command": {"command": "true"}}})["id"]
    body = {"server": "local", "kind": "caddy", "method": "agent", "check": True}
    deployment = root.post("/deployments", body)["id"]
    root.post(f"/deployments/{deployment}/cancel")
    world = World(
        root,
        command=finished(root, f"/commands/{command}"),
        job=finished(root, f"/jobs/{job}"),
        schedule=root.post("/schedules", schedule_body("local"))["id"],
        deployment=finished(root, f"/deployments/{deployment}"),
    )
    made = Matrix(
        f"http://127.0.0.1:{own_myx.port}", world, cases(world), agent_id=root.get("/servers/local/agent")["id"]
    )
    for person in PEOPLE:
        grants = [{"role": role.name.lower(), "selector": where} for role, where in person.grants]
        root.post("/users", {"name": person.name, "kind": "program", "grants": grants})
        role, where = person.cap
        body = {"name": "key", "user": person.name, "role": role.name.lower(), "selector": where}
        made.tokens[person.name] = root.post("/tokens", body)["token"]
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(matrix: Matrix) -> AsyncIterator[aiohttp.ClientSession]:
    """Without a token of its own."""
    async with aiohttp.ClientSession(matrix.url, connector=aiohttp.TCPConnector(limit=8)) as session:
        yield session


@dataclass(frozen=True)
class Said:
    """An answer, whichever way it came."""

    status: int
    reason: str
    text: str
    request_id: str


def expected(person: Person, operation: Operation, case: Case) -> tuple[int, str] | None:
    """Status and reason with which somebody is kept out; None: let in."""
    role, on = operation.role, operation.on
    if on is On.SELF:
        return None
    if on is On.ALL:
        return None if person.everywhere(role) else (403, "FORBIDDEN")
    if not person.anywhere(role):
        return 403, "FORBIDDEN"
    if on in {On.ANY, On.LIST}:
        return None
    assert case.zone is not None
    if person.is_narrowed and (operation.name == "schedules.create" or is_theirs(person, operation, case)):
        return 403, "TOKEN_NARROWED"
    # A server whose name is another one would not be among those that this one administers.
    is_misnamed = operation.name == "servers.create" and person.name == "pattern"
    if person.on(role, case.zone) and not is_misnamed:
        return None
    if operation.name == "servers.create" or person.on(Role.VIEWER, case.zone):
        return 403, "FORBIDDEN"
    return 404, DENIED[on]


def is_theirs(person: Person, operation: Operation, case: Case) -> bool:
    """Whether it is a change of a schedule that they may change, but for the narrow token."""
    return operation.name == "schedules.update" and person.on(operation.role, case.zone or "")


async def by_rest(http: aiohttp.ClientSession, token: str, operation: Operation, case: Case) -> Said:
    path, body, headers = _request(operation, case, token)
    options: dict[str, Any] = {"data": case.raw} if case.raw is not None else {"json": body}
    async with http.request(
        operation.verb, f"/api/v1{path}", params=dict(case.query), headers=headers, **options
    ) as answer:
        request_id = answer.headers["X-Request-Id"]
        if operation.name == "events.stream" and answer.status == 200:
            return Said(200, "", "", request_id)
        text = await answer.text(errors="replace")
        is_problem = answer.content_type == "application/problem+json"
        return Said(answer.status, (await answer.json())["reason"] if is_problem else "", text, request_id)


async def by_rpc(http: aiohttp.ClientSession, token: str, operation: Operation, case: Case) -> Said:
    _, body, _ = _request(operation, case, token)
    path = dict(case.prepare() if case.prepare is not None else case.path)
    params = {**path, **case.query, **(body or {})}
    if "If-Match" in case.headers:
        params["if_match"] = case.headers["If-Match"]
    call = {"jsonrpc": "2.0", "method": operation.name, "params": params, "id": 1}
    async with http.post("/rpc", json=call, headers={"Authorization": f"Bearer {token}"}) as answer:
        assert answer.status == 200, await answer.text()
        said = await answer.json()
        request_id = answer.headers["X-Request-Id"]
        if "error" in said:
            problem = said["error"]["data"]
            return Said(problem["status"], problem["reason"], str(problem), request_id)
        return Said(200, "", str(said["result"]), request_id)


def _request(operation: Operation, case: Case, token: str) -> tuple[str, Any, dict[str, str]]:
    path = operation.path
    if "{" in path:
        for name, value in (case.prepare() if case.prepare is not None else case.path).items():
            path = path.replace(f"{{{name}}}", urllib.parse.quote(value, safe=""))
    body = case.body
    if isinstance(body, dict) and body.get("name") is not None and operation.name.endswith("s.create"):
        unique = f"n-{secrets.token_hex(6)}"
        body = {**body, "name": body["name"] if operation.name in {"users.create", "tokens.create"} else unique}
    return path, body, {"Authorization": f"Bearer {token}", **case.headers}


async def test_every_operation_has_a_case(matrix: Matrix) -> None:
    assert set(matrix.cases) == set(ASKED)
    numbers = {"events.stream", "servers.count", "status.get"}
    for name, operation in ASKED.items():
        is_about_servers = operation.on in {*DENIED, On.LIST} and name not in numbers
        assert all((case.zone is not None) == is_about_servers for case in matrix.cases[name]), name


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
async def test_nothing_is_reached_without_the_right(
    person: Person, matrix: Matrix, http: aiohttp.ClientSession
) -> None:
    token = matrix.tokens[person.name]
    gate = asyncio.Semaphore(4)
    wrong: list[str] = []
    ids: dict[str, str] = {}

    async def ask(operation: Operation, case: Case, way: Any) -> None:
        async with gate:
            said = await way(http, token, operation, case)
        wrong.extend(_judged(person, matrix, operation, case, said))
        ids[said.request_id] = operation.name

    asked = [(operation, case) for name, operation in ASKED.items() for case in matrix.cases[name]]
    await asyncio.gather(*(ask(*one, by_rest) for one in asked))
    await asyncio.gather(*(ask(*one, by_rpc) for one in asked if not one[0].bytes))
    assert not wrong, "\n".join(wrong)
    _check_trail(matrix.world.root, ids)
    _remove_what_was_made(matrix.world.root)


def _judged(person: Person, matrix: Matrix, operation: Operation, case: Case, said: Said) -> list[str]:
    kept_out = expected(person, operation, case)
    told = f"{person.name}: {operation.name} in zone {case.zone}: {said.status} {said.reason} {said.text[:200]}"
    if kept_out is not None:
        return [] if (said.status, said.reason) == kept_out else [f"{told}; expected {kept_out}"]
    if said.status >= 500 or (said.status, said.reason) in {(401, said.reason), (403, "FORBIDDEN")}:
        return [f"{told}; expected to be let in"]
    if said.status == 404 and said.reason == DENIED.get(operation.on):
        return [f"{told}; expected to be found"]
    if case.listed:
        sought = matrix.agent_id if case.listed == "agent of local" else case.listed
        assert case.zone is not None
        if (sought in said.text) != person.on(Role.VIEWER, case.zone):
            return [f"{told}; {case.listed} is or is not in the list"]
    return []


def _check_trail(root: Rest, ids: dict[str, str]) -> None:
    """Each audited call has one entry, whatever became of it; what only reads has none."""
    counted: Counter[str] = Counter()

    def is_written() -> bool:
        counted.clear()
        token = ""
        while True:
            page = root.get(f"/audit?page_size=1000&page_token={urllib.parse.quote(token)}")
            counted.update(entry["request_id"] for entry in page["items"] if entry["request_id"] in ids)
            token = page["next_page_token"] or ""
            if not token:
                return len(counted) == sum(BY_NAME[name].audited for name in ids.values())

    until_sync(is_written, 20, what="all entries are in the trail")
    for request_id, name in ids.items():
        assert counted[request_id] == int(BY_NAME[name].audited), name


def _remove_what_was_made(root: Rest) -> None:
    for schedule in root.get("/schedules?page_size=1000")["items"]:
        if schedule["owner"].startswith("user:"):
            root.call("DELETE", f"/schedules/{schedule['id']}")
    for server in root.get("/servers?page_size=1000")["items"]:
        if server["name"].startswith("n-"):
            root.call("DELETE", f"/servers/{server['id']}")


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
@pytest.mark.parametrize("name", sorted(SOCKETS))
async def test_no_websocket_opens_without_the_right(
    name: str, person: Person, matrix: Matrix, http: aiohttp.ClientSession
) -> None:
    operation = BY_NAME[name]
    (case,) = matrix.cases[name]
    kept_out = expected(person, operation, case)
    path, _, headers = _request(operation, case, matrix.tokens[person.name])
    if kept_out is None:
        async with http.ws_connect(f"/api/v1{path}", headers=headers) as socket:
            assert not socket.closed
        return
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await http.ws_connect(f"/api/v1{path}", headers=headers)
    assert refused.value.status == kept_out[0]


async def test_who_may_start_nothing_has_started_nothing(matrix: Matrix) -> None:
    for path in ("/commands", "/jobs", "/deployments", "/schedules"):
        for one in matrix.world.root.get(f"{path}?page_size=1000")["items"]:
            actor = one.get("requested_by") or one.get("owner", "")
            person = next((person for person in PEOPLE if actor == f"user:{person.name}"), None)
            assert person is None or person.anywhere(Role.OPERATOR), one
