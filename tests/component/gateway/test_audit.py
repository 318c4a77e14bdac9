"""The audit trail through the door."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from yarl import URL

from myx_gateway.operations import BY_NAME, OPERATIONS
from myx_kit.errors import NotFound
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = Path(__file__).parents[3] / "docs/audit.md"
SECRET = "hunter2-is-not-to-be-seen"
BASE64_SECRET = "aHVudGVyMi1pcy1ub3QtdG8tYmUtc2Vlbg=="
COMMAND = {
    "command": "uptime",
    "env": {"A": SECRET},
    "secret_env": {"TOKEN": SECRET},
    "stdin": BASE64_SECRET,
}
DEPLOYMENT = {"kind": "caddy", "extra_vars": {"a": SECRET}, "secret_vars": {"b": SECRET}}
JOB = {"selector": "all", "work": {"command": COMMAND}}
CREDENTIAL = {"password": SECRET, "private_key": SECRET, "passphrase": SECRET, "sudo_password": SECRET}
# Right bodies with secrets wherever there is a place for one.
BODIES: dict[str, Any] = {
    "session.create": {"name": SECRET, "password": SECRET},
    "session.change_password": {"old_password": SECRET, "new_password": f"{SECRET}-new"},
    "users.create": {"name": "carol", "password": SECRET, "grants": []},
    "users.update": {"password": SECRET},
    "servers.create": {"name": "web-1", "address": "10.0.0.1", "credential": {"password": SECRET}},
    "servers.update": {"credential": {"password": SECRET}},
    "credentials.create": {"name": "ops", "secret": {"password": SECRET}},
    "credentials.update": {"secret": CREDENTIAL},
    "commands.run": {"server": "web-1", **COMMAND},
    "jobs.create": JOB,
    "jobs.retry": {"secrets": {"TOKEN": SECRET}},
    "deployments.create": {"server": "web-1", **DEPLOYMENT},
    "deployments.retry": {"secret_vars": {"b": SECRET}},
    "schedules.create": {"name": "nightly", "cron": "0 3 * * *", "work": {"job": JOB}},
    "schedules.update": {"work": {"command": {"server": "web-1", **COMMAND}}},
}


async def trail(gateway: Any, **query: str) -> list[dict[str, Any]]:
    async with gateway.http.get("/api/v1/audit", params=query) as answer:
        assert answer.status == 200, await answer.text()
        items: list[dict[str, Any]] = (await answer.json())["items"]
        return items


async def of(gateway: Any, server: str) -> list[dict[str, Any]]:
    """Entries about a server; the registry here says of every name that it is web-1's."""
    return [one for one in await trail(gateway, target=server) if server in one["targets"]]


async def post(gateway: Any, path: str, body: Any, **headers: str) -> tuple[int, Any]:
    async with gateway.http.post(f"/api/v1{path}", json=body, headers=headers) as answer:
        return answer.status, await answer.json() if answer.content_length else None


async def test_a_command_leaves_an_entry(gateway: Any, backend: Any) -> None:
    status, command = await post(gateway, "/commands", {"server": "web-1", "command": "uptime", "args": ["-p"]})
    assert status == 201
    (entry, *_) = await trail(gateway, operation="commands.run")
    assert entry["principal"] == "token:admin"
    assert entry["address"] == "127.0.0.1"
    assert entry["targets"] == ["web-1", "s1"]
    assert entry["resource"] == command["id"]
    assert entry["details"] == {"server": "web-1", "command": "uptime", "args": ["-p"]}
    assert (entry["result"], entry["status"], entry["reason"]) == ("ok", 201, "")
    assert len(entry["request_id"]) == 16


async def test_an_entry_says_which_file_was_stored_and_what_stands_in_the_query(gateway: Any, backend: Any) -> None:
    sent = {"params": {"name": "caddy.tar.gz"}, "data": b"x", "headers": {"Content-Type": "application/octet-stream"}}
    async with gateway.http.post("/api/v1/artifacts", **sent) as answer:
        assert answer.status == 201
        stored = await answer.json()
    (entry, *_) = await trail(gateway, operation="artifacts.push")
    assert (entry["resource"], entry["details"]) == (stored["sha256"], {"name": "caddy.tar.gz"})
    async with gateway.http.delete("/api/v1/credentials/ops", params={"force": "true"}) as answer:
        assert answer.status == 204
    (entry, *_) = await trail(gateway, operation="credentials.delete")
    assert (entry["resource"], entry["details"]) == ("ops", {"force": "true"})


async def test_what_was_refused_leaves_an_entry_and_what_only_reads_leaves_none(gateway: Any, backend: Any) -> None:
    before = (await trail(gateway))[0]["seq"] if await trail(gateway) else 0
    backend.errors["RunCommand"] = NotFound("SERVER_NOT_FOUND", "no such server")
    assert (await post(gateway, "/commands", {"server": "nowhere", "command": "uptime"}))[0] == 404
    assert (await post(gateway, "/commands", {"server": "web-1"}))[0] == 400
    assert (await post(gateway, "/jobs/preview", {"selector": "all"}))[0] == 200
    async with gateway.http.get("/api/v1/servers") as answer:
        assert answer.status == 200
    told = [(one["operation"], one["result"], one["reason"]) for one in await trail(gateway) if one["seq"] > before]
    assert told == [
        ("commands.run", "refused", "REQUEST_INVALID"),
        ("commands.run", "refused", "SERVER_NOT_FOUND"),
    ]


async def test_whatever_is_sent_for_names_is_refused_with_an_entry(gateway: Any, backend: Any) -> None:
    for number, wrong in enumerate([True, 5, 0.5, {"a": 1}, [["b"], 1, None], "text"]):
        for path in ("servers/pause", "servers/resume", "servers", "commands", "users", "jobs", "tokens"):
            headers = {"X-Request-Id": f"wrong-{number}"}
            body = {"servers": wrong, "server": wrong, "name": wrong, "grants": wrong, "work": wrong, "ssh": wrong}
            async with gateway.http.post(f"/api/v1/{path}", json=body, headers=headers) as answer:
                assert answer.status in {400, 422}, (path, wrong, await answer.text())
            (entry,) = [one for one in await trail(gateway) if one["request_id"] == headers["X-Request-Id"]][:1]
            assert (entry["result"], entry["status"]) == ("refused", answer.status)


async def test_a_json_rpc_call_leaves_the_same_entry(gateway: Any, backend: Any) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "commands.run", "params": {"server": "web-1", "command": "uptime"}}
    before = (await trail(gateway))[0]["seq"] if await trail(gateway) else 0
    async with gateway.http.post("/rpc", json=call) as answer:
        assert "result" in await answer.json()
    new = [one for one in await trail(gateway) if one["seq"] > before]
    assert [(one["operation"], one["result"], one["targets"]) for one in new] == [
        ("commands.run", "ok", ["web-1", "s1"])
    ]


async def test_a_json_rpc_call_that_no_route_is_asked_for_leaves_an_entry(gateway: Any, backend: Any) -> None:
    before = (await trail(gateway))[0]["seq"] if await trail(gateway) else 0
    calls: list[dict[str, Any]] = [
        {"method": "servers.delete", "params": {}},
        {"method": "servers.delete", "params": {"server": "web-1", SECRET: 1}},
        {"method": "users.delete", "params": {"user": "bob", "if_match": "\n"}},
        {"method": "servers.check", "params": ["web-1", "too much"]},
        {"method": "servers.get", "params": {}},
    ]
    sent = [{"jsonrpc": "2.0", "id": number, **call} for number, call in enumerate(calls)]
    async with gateway.http.post("/rpc", json=sent) as answer:
        assert [one["error"]["code"] for one in await answer.json()] == [-32602] * 5
    new = [one for one in await trail(gateway) if one["seq"] > before][::-1]
    assert [(one["operation"], one["status"], one["targets"], one["resource"]) for one in new] == [
        ("servers.delete", 400, [], ""),
        ("servers.delete", 400, ["web-1"], ""),
        ("users.delete", 400, [], "bob"),
        ("servers.check", 400, ["web-1"], ""),
    ]
    assert {one["principal"] for one in new} == {"token:admin"}
    assert SECRET not in json.dumps(new)


async def test_logins_failed_logins_and_logouts(gateway: Any, backend: Any) -> None:
    async def log_in(session: aiohttp.ClientSession, name: str, password: str) -> tuple[int, Any]:
        async with session.post("/api/v1/session", json={"name": name, "password": password}) as answer:
            return answer.status, await answer.json()

    before = (await trail(gateway))[0]["seq"] if await trail(gateway) else 0
    async with aiohttp.ClientSession(gateway.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        assert (await log_in(browser, SECRET, "whatever-it-is"))[0] == 401
        assert (await log_in(browser, "admin", SECRET))[0] == 401
        status, told = await log_in(browser, "admin", gateway.password)
        assert status == 200
        headers = {"X-CSRF-Token": told["csrf_token"], "Origin": gateway.url}
        async with browser.delete("/api/v1/session", headers=headers) as answer:
            assert answer.status == 204
    entries = [one for one in await trail(gateway) if one["seq"] > before][::-1]
    assert [(one["operation"], one["principal"], one["result"]) for one in entries] == [
        ("session.create", "nobody", "refused"),
        ("session.create", "user:admin", "refused"),
        ("session.create", "user:admin", "ok"),
        ("session.delete", "user:admin", "ok"),
    ]
    assert entries[3]["via"] == "session"
    # People type passwords into the field of the name.
    assert SECRET not in json.dumps(entries)


async def test_pages_and_filters(gateway: Any, backend: Any) -> None:
    for number in range(5):
        await post(gateway, "/commands", {"server": "db-7", "command": f"page-{number}"})
    seen: list[str] = []
    query = {"target": "db-7", "page_size": "2", "operation": "commands.run", "result": "ok"}
    while True:
        async with gateway.http.get("/api/v1/audit", params=query) as answer:
            page = await answer.json()
        seen += [one["details"]["command"] for one in page["items"] if "db-7" in one["targets"]]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    assert seen == [f"page-{number}" for number in reversed(range(5))]
    # The registry's web-1 has the id s1: either finds what was said of the other.
    await post(gateway, "/commands", {"server": "s1", "command": "by-id"})
    assert (await trail(gateway, target="web-1"))[0]["details"]["command"] == "by-id"
    assert await trail(gateway, **{"from": "2100-01-01T00:00:00Z"}) == []
    assert await trail(gateway, to="2000-01-01T00:00:00Z") == []
    assert (await gateway.problem("GET", "/api/v1/audit?page_token=x"))["reason"] == "PAGE_TOKEN_INVALID"
    assert (await gateway.problem("GET", "/api/v1/audit?result=maybe"))["reason"] == "REQUEST_INVALID"


async def test_a_filter_takes_the_bare_name_of_a_user_and_no_operation_that_there_is_not(
    gateway: Any, backend: Any
) -> None:
    user = {"name": "filtered", "password": f"{SECRET}-filtered", "grants": [{"role": "admin", "selector": "all"}]}
    assert (await post(gateway, "/users", user))[0] == 201
    (made,) = await of(gateway, "filtered")
    assert (made["operation"], made["targets"]) == ("users.create", ["filtered"])
    await post(gateway, "/session", {"name": "filtered", "password": user["password"]})
    (login,) = await trail(gateway, principal="filtered")
    assert (login["operation"], login["principal"]) == ("session.create", "user:filtered")
    for wrong, like in (("command.run", "commands.run"), ("recover", "users.recover"), ("zzz", "no such operation")):
        refused = await gateway.problem("GET", f"/api/v1/audit?operation={wrong}")
        assert (refused["status"], refused["reason"]) == (400, "REQUEST_INVALID")
        assert like in refused["detail"]
    for name in ("users.recover", "audit.seal"):
        assert await trail(gateway, operation=name) == []


async def test_an_export_is_checked_by_the_program_of_the_docs(gateway: Any, backend: Any, tmp_path: Path) -> None:
    await post(gateway, "/commands", {"server": "größe", "command": "ünïcode \u2028 \U0001f600", "args": ["\\", '"']})
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program, file = tmp_path / "check.py", tmp_path / "myx-audit.jsonl"
    program.write_text(code)
    async with gateway.http.get("/api/v1/audit/export") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/x-ndjson"
        lines = (await answer.read()).splitlines(keepends=True)

    def check(kept: list[bytes]) -> tuple[int, str]:
        file.write_bytes(b"".join(kept))
        run = subprocess.run([sys.executable, str(program), str(file)], capture_output=True, text=True, check=False)
        return run.returncode, run.stdout + run.stderr

    head = json.loads(lines[-1])
    assert check(lines) == (
        0,
        f"{len(lines) - 1} entries are right; head {head['head']['seq']}:{head['head']['hash']}\n",
    )
    assert check(lines[:-1]) == (1, "the end is missing\n")
    assert check([*lines[:-2], lines[-1]])[0] == 1
    for changed in (
        lines[1:2] + lines[:1] + lines[2:],
        lines[:1] + lines[2:],
        [lines[0].replace(b"1", b"2"), *lines[1:]],
    ):
        assert check(changed)[0] == 1
    async with gateway.http.get(f"/api/v1/audit/export?after_seq={head['head']['seq'] - 1}") as answer:
        assert len((await answer.read()).splitlines()) == 2


async def test_the_door_checks_the_chain(gateway: Any, backend: Any) -> None:
    await post(gateway, "/commands", {"server": "web-1", "command": "uptime"})
    (last, *_) = await trail(gateway)
    status, verdict = await post(gateway, "/audit/verify", {"expected": {"seq": last["seq"], "hash": last["hash"]}})
    assert status == 200
    assert verdict == {
        "ok": True,
        "count": last["seq"],
        "head_seq": last["seq"],
        "head_hash": last["hash"],
        "sealed_through": 0,
        "bad_seq": None,
        "problem": "",
    }
    status, verdict = await post(gateway, "/audit/verify", {"expected": {"seq": 1, "hash": "f" * 64}})
    assert (verdict["ok"], verdict["bad_seq"]) == (False, 1)
    # It reads only.
    assert (await trail(gateway))[0]["seq"] == last["seq"]


async def test_no_secret_gets_into_the_trail_by_any_operation(gateway: Any, backend: Any) -> None:
    audited = [operation for operation in OPERATIONS if operation.audited]
    assert set(BODIES) <= {operation.name for operation in audited}
    before = (await trail(gateway))[0]["seq"] if await trail(gateway) else 0
    for operation in audited:
        if operation.name == "session.delete":
            continue
        path = "/api/v1" + re.sub(r"\{\w+\}", "one", operation.path)
        for body in (BODIES.get(operation.name), {**BODIES.get(operation.name, {}), "pasword": SECRET, SECRET: SECRET}):
            content = {"data": SECRET.encode()} if operation.bytes else {"json": body}
            async with gateway.http.request(operation.verb, path, **content) as answer:
                await answer.read()
    new = [one for one in await trail(gateway, page_size="1000") if one["seq"] > before]
    counted = {name: sum(one["operation"] == name for one in new) for name in BY_NAME}
    expected = {one.name: 2 if one in audited and one.name != "session.delete" else 0 for one in OPERATIONS}
    assert counted == expected
    assert any(one["result"] == "ok" for one in new)
    with psycopg.connect(gateway.database.url) as connection:
        kept = connection.execute("select string_agg(audit_entry::text, ' ') from gateway.audit_entry").fetchone()
    for text in (str(kept), gateway.program.output()):
        assert SECRET not in text
        assert BASE64_SECRET not in text


async def test_the_text_of_a_token_gets_into_no_entry_and_no_log(gateway: Any, backend: Any) -> None:
    secret = "a-secret_of_a_token" * 3
    token = f"myx_{'0b' * 16}_{secret}"
    for path in (f"/tokens/{token}", f"/servers/{token}", f"/tokens/{token.replace('_', '%5f')}"):
        async with gateway.http.delete(URL(f"{gateway.url}/api/v1{path}", encoded=True)) as answer:
            await answer.read()
    entries = (await trail(gateway))[:3]
    assert [one["resource"] or one["targets"][0] for one in entries] == [f"myx_{'0b' * 16}_***"] * 3
    assert secret not in json.dumps(entries)
    assert "0b" * 16 in gateway.program.output()
    assert secret not in gateway.program.output()


async def test_a_gateway_killed_in_the_middle_leaves_one_entry_that_says_unknown(
    start_gateway: Any, backend: Any
) -> None:
    async with start_gateway(audit_lease_s=2) as gateway:
        backend.holds["RunCommand"] = asyncio.Event()
        asked = asyncio.create_task(post(gateway, "/commands", {"server": "killed-1", "command": "uptime"}))
        await until(lambda: backend.requests.get("RunCommand"), 20)
        gateway.program.kill9()
        backend.holds["RunCommand"].set()
        with pytest.raises(aiohttp.ClientError):
            await asked
        gateway.program.start()

        async def swept() -> bool:
            try:
                return bool(await of(gateway, "killed-1"))
            except aiohttp.ClientError:
                return False

        await until(swept, 30)
        (entry,) = await of(gateway, "killed-1")
        assert (entry["result"], entry["reason"], entry["status"]) == ("unknown", "GATEWAY_DIED", 0)
        assert entry["details"]["command"] == "uptime"
        assert (await post(gateway, "/audit/verify", None))[1]["ok"]


async def test_a_gateway_that_stops_makes_the_entries_of_what_it_did(start_gateway: Any, backend: Any) -> None:
    async with start_gateway() as gateway:
        held = backend.holds["RunCommand"] = asyncio.Event()
        asked = asyncio.create_task(post(gateway, "/commands", {"server": "stopped-1", "command": "uptime"}))
        await until(lambda: backend.requests.get("RunCommand"), 20)
        stopping = asyncio.create_task(asyncio.to_thread(gateway.program.stop))
        await asyncio.sleep(0)
        held.set()
        assert (await asked)[0] == 201
        assert await stopping == 0
        gateway.program.start()

        async def there() -> bool:
            try:
                return bool(await of(gateway, "stopped-1"))
            except aiohttp.ClientError:
                return False

        await until(there, 30)
        assert [one["result"] for one in await of(gateway, "stopped-1")] == ["ok"]


async def test_without_its_database_nothing_is_done(start_gateway: Any, backend: Any) -> None:
    async with start_gateway() as gateway:
        backend.database.kill9()
        try:
            problem = await gateway.problem("POST", "/api/v1/commands", json={"server": "web-1", "command": "uptime"})
        finally:
            backend.database.restart()
        assert (problem["status"], problem["reason"]) == (503, "AUDIT_UNAVAILABLE")
        assert not backend.requests.get("RunCommand")


async def test_a_large_export_takes_no_memory(start_gateway: Any, backend: Any) -> None:
    many = """
        insert into gateway.audit_entry
        select seq + n, at, principal, via, address, operation, targets, resource, request_id, result, status, reason,
        jsonb_build_object('command', repeat('x', 900)), prev_hash, hash
        from gateway.audit_entry, generate_series(1, 60000) n where seq = (select max(seq) from gateway.audit_entry);
        update gateway.audit_head set seq = (select max(seq) from gateway.audit_entry)
    """
    async with start_gateway() as gateway:
        await post(gateway, "/commands", {"server": "web-1", "command": "uptime"})
        async with gateway.http.get("/api/v1/audit/export") as answer:
            await answer.read()
        with psycopg.connect(gateway.database.superuser_url) as connection:
            for statement in many.split(";"):
                connection.execute(statement)
        before, size, lines = gateway.rss_bytes(), 0, 0
        async with gateway.http.get("/api/v1/audit/export") as answer:
            async for piece in answer.content.iter_chunked(1 << 16):
                size += len(piece)
                lines += piece.count(b"\n")
        assert lines > 60_000
        assert size > 60 << 20
        assert gateway.rss_bytes() - before < 25 << 20
        with psycopg.connect(gateway.database.superuser_url) as connection:
            connection.execute("set session_replication_role = replica")
            connection.execute("truncate gateway.audit_entry")
            connection.execute(
                "update gateway.audit_head set seq = 0, hash = repeat('0', 64), sealed_seq = 0, sealed_hash = hash"
            )
