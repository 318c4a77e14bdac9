"""The audit trail on a real database: one chain whoever adds to it, and nothing is lost or changed unnoticed."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import psycopg.errors
import pytest
import pytest_asyncio

from myx_gateway import migrations
from myx_gateway.access.audit_check import export, verify
from myx_gateway.access.principal import Principal
from myx_gateway.access.trail import Lease, Retention, Trail
from myx_gateway.chain import Head, Result
from myx_gateway.store.audit import AuditStore, Filter
from myx_gateway.store.database import Database as Units
from myx_kit.db.engine import create_engine
from myx_kit.errors import NotFound, ResourceExhausted, Unavailable
from myx_kit.loops import TaskOwner
from myx_testkit.postgres import Database

ALICE = Principal("user:alice", via="session")
CALL: dict[str, Any] = {
    "operation": "commands.run",
    "principal": ALICE,
    "address": "10.0.0.7",
    "request_id": "r1",
    "path_params": {},
    "body": {"server": "web-1", "command": "uptime", "stdin": "c2VjcmV0"},
}


@pytest.fixture
def database(postgres: Database) -> Database:
    migrations.upgrade(postgres.url)
    return postgres


@pytest_asyncio.fixture
async def store(database: Database) -> AsyncIterator[AuditStore]:
    engine = create_engine(database.url)
    yield AuditStore(Units(engine))
    await engine.dispose()


@asynccontextmanager
async def gateway(store: AuditStore, lease_s: float = 20) -> AsyncIterator[Trail]:
    """The trail of one gateway; without `leave` it dies."""
    async with TaskOwner("test") as owner:
        lease = Lease(store, lease_s)
        trail = Trail(store, lease, owner)
        yield trail
        await trail.close(5)


async def act(trail: Trail, **changes: Any) -> None:
    async with trail.entry(**{**CALL, **changes}) as entry:
        entry.result(201)


async def all_entries(store: AuditStore, **wanted: Any) -> list[dict[str, Any]]:
    return (await store.page(Filter(**wanted), None, 1000))[::-1]


def count(database: Database, table: str) -> int:
    with psycopg.connect(database.url) as connection:
        row = connection.execute(f"select count(*) from gateway.{table}").fetchone()
        assert row is not None
        return int(row[0])


async def test_an_act_leaves_one_entry_that_says_who_did_what(store: AuditStore, database: Database) -> None:
    async with gateway(store) as trail, trail.entry(**CALL) as entry:
        assert count(database, "audit_intent") == 1
        entry.targets.append("0191-server")
        entry.resource = "0192-command"
        entry.result(201)
    (told,) = await all_entries(store)
    assert {name: told[name] for name in told.keys() - {"at", "hash", "prev_hash"}} == {
        "seq": 1,
        "principal": "user:alice",
        "via": "session",
        "address": "10.0.0.7",
        "operation": "commands.run",
        "targets": ["web-1", "0191-server"],
        "resource": "0192-command",
        "request_id": "r1",
        "result": "ok",
        "status": 201,
        "reason": "",
        "details": {"server": "web-1", "command": "uptime", "stdin": "given"},
    }
    assert count(database, "audit_intent") == 0


async def throttled(trail: Trail) -> None:
    async with trail.entry(**{**CALL, "request_id": "not-kept"}) as entry:
        entry.is_kept = False
        raise ResourceExhausted("LOGIN_THROTTLED", "wait")


async def test_what_is_not_kept_leaves_neither_an_entry_nor_an_intent(store: AuditStore, database: Database) -> None:
    async with gateway(store) as trail:
        await act(trail, request_id="before")
        with pytest.raises(ResourceExhausted):
            await throttled(trail)
        await act(trail, request_id="after")
    assert [one["request_id"] for one in await all_entries(store)] == ["before", "after"]
    assert count(database, "audit_intent") == 0


async def test_what_became_of_it_is_told(store: AuditStore) -> None:
    async def go(trail: Trail, error: BaseException | None = None, status: int = 0) -> None:
        with suppress(Exception, asyncio.CancelledError):
            async with trail.entry(**CALL) as entry:
                if status:
                    entry.result(status, "SOME_REASON")
                if error is not None:
                    raise error

    async with gateway(store) as trail:
        await go(trail)
        await go(trail, NotFound("SERVER_NOT_FOUND", "no such server"))
        await go(trail, ValueError("a fault"))
        await go(trail, asyncio.CancelledError())
        await go(trail, status=403)
        await go(trail, status=504)
        await go(trail, status=503)
    told = [(one["result"], one["status"], one["reason"]) for one in await all_entries(store)]
    assert told == [
        ("ok", 200, ""),
        ("refused", 404, "SERVER_NOT_FOUND"),
        ("failed", 500, "INTERNAL"),
        ("unknown", 0, "ABANDONED"),
        ("refused", 403, "SOME_REASON"),
        ("unknown", 504, "SOME_REASON"),
        ("failed", 503, "SOME_REASON"),
    ]


async def test_many_gateways_make_one_chain(store: AuditStore) -> None:
    async with gateway(store) as one, gateway(store) as two, gateway(store) as three:
        trails = [one, two, three]
        acts = (act(trails[number % 3], request_id=str(number)) for number in range(300))
        await asyncio.gather(*acts)
    entries = await all_entries(store)
    assert [entry["seq"] for entry in entries] == list(range(1, 301))
    assert {entry["request_id"] for entry in entries} == {str(number) for number in range(300)}
    verdict = await verify(store)
    assert verdict.fault is None
    assert verdict.count == 300


async def test_entries_cannot_be_changed_by_the_gateways_own_role(store: AuditStore, database: Database) -> None:
    async with gateway(store) as trail:
        await act(trail)
    for statement in (
        "update gateway.audit_entry set principal = 'user:bob'",
        "delete from gateway.audit_entry",
        "truncate gateway.audit_entry",
    ):
        with psycopg.connect(database.url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute(statement)
    assert (await verify(store)).fault is None


async def test_nothing_is_done_while_no_intent_can_be_recorded(store: AuditStore, database: Database) -> None:
    done = False
    async with gateway(store) as trail:
        await act(trail)
        database.kill9()
        try:
            with pytest.raises(Unavailable) as refused:
                async with trail.entry(**CALL):
                    done = True
        finally:
            database.restart()
    assert refused.value.reason == "AUDIT_UNAVAILABLE"
    assert not done


async def test_an_entry_waits_for_a_database_that_went_away_during_the_act(
    store: AuditStore, database: Database
) -> None:
    async with gateway(store) as trail:
        async with trail.entry(**CALL) as entry:
            database.kill9()
            entry.result(201)
        # The client has its answer by now.
        database.restart()
    (told,) = await all_entries(store)
    assert (told["result"], told["status"]) == ("ok", 201)


async def test_what_a_dead_gateway_was_about_becomes_unknown_once(store: AuditStore, database: Database) -> None:
    async with TaskOwner("dead") as owner:
        lease = Lease(store, 2)
        dead = Trail(store, lease, owner)
        alive, other = Lease(store, 20), Lease(store, 20)
        held = dead.entry(**CALL)
        await held.__aenter__()
        for one in (alive, other):
            await one.run_once()
        # It lives: its act is under way, however long that takes.
        assert await alive.run_once() == 0
        with psycopg.connect(database.url) as connection:
            connection.execute("update gateway.audit_process set lease_until = now() where id = %s", [lease.process_id])
        swept = await asyncio.gather(alive.run_once(), other.run_once())
        assert sum(swept) == 1
        # It was only asleep. What it says now comes too late.
        await held.__aexit__(None, None, None)
    (told,) = await all_entries(store)
    assert (told["result"], told["reason"], told["status"]) == ("unknown", "GATEWAY_DIED", 0)
    assert told["details"]["command"] == "uptime"
    assert (await verify(store)).fault is None
    assert count(database, "audit_intent") == 0


async def test_a_gateway_that_was_away_itself_gives_the_others_time(store: AuditStore, database: Database) -> None:
    async with gateway(store, 20) as trail, trail.entry(**CALL) as entry:
        sweeper = Lease(store, 20)
        with psycopg.connect(database.url) as connection:
            connection.execute("update gateway.audit_process set lease_until = now()")
        assert await sweeper.run_once() == 0
        entry.result(201)
    assert [one["result"] for one in await all_entries(store)] == ["ok"]


async def test_filters(store: AuditStore) -> None:
    async with gateway(store) as trail:
        await act(trail, path_params={"server": "web-1"})
        await act(trail, operation="servers.delete", principal=Principal("user:bob"), path_params={"server": "db-1"})
        await act(trail, operation="jobs.cancel", path_params={"job_id": "j1"})
        with suppress(NotFound):
            async with trail.entry(**{**CALL, "operation": "users.update"}):
                raise NotFound("USER_NOT_FOUND", "no such user")

    async def found(**wanted: Any) -> list[int]:
        return [entry["seq"] for entry in await all_entries(store, **wanted)]

    assert await found(principal="user:bob") == [2]
    assert await found(operation="jobs.cancel") == [3]
    assert await found(targets=["web-1"], operation="commands.run") == [1]
    assert await found(targets=["j1", "db-1"]) == [2, 3]
    assert await found(result=Result.REFUSED) == [4]
    now = datetime.now(UTC)
    assert await found(since=now) == []
    assert await found(until=now) == [1, 2, 3, 4]
    assert await found(since=now - timedelta(minutes=5), until=now, principal="user:alice") == [1, 3, 4]


async def test_what_retention_drops_is_sealed_and_the_rest_can_be_checked(
    store: AuditStore, database: Database
) -> None:
    async with gateway(store) as trail:
        for number in range(5):
            await act(trail, request_id=str(number))
        kept = (await store.ends()).head
        assert await Retention(store, 1).run_once() == 0
        assert await Retention(store, 0).run_once() == 5
        await act(trail, request_id="after")
    entries = await all_entries(store)
    assert [(entry["seq"], entry["operation"]) for entry in entries] == [(6, "audit.seal"), (7, "commands.run")]
    assert entries[0]["details"] == {"through": 5, "hash": kept.hash, "dropped": 5}
    verdict = await verify(store)
    assert (verdict.fault, verdict.count, verdict.sealed) == (None, 2, kept)
    assert (await verify(store, kept)).fault is None
    # Only what was sealed may go.
    with psycopg.connect(database.url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("delete from gateway.audit_entry where seq = 6")


async def test_an_export_is_read_in_batches_and_says_where_it_ends(store: AuditStore) -> None:
    async with gateway(store) as trail:
        await asyncio.gather(*(act(trail, request_id=str(number)) for number in range(1200)))
    pieces = [piece async for piece in export(store, 0)]
    assert len(pieces) == 4
    assert max(piece.count(b"\n") for piece in pieces) == 500
    head = (await store.ends()).head
    assert pieces[-1] == b'{"head": {"seq": 1200, "hash": "%b"}, "count": 1200}\n' % head.hash.encode()
    assert len([piece async for piece in export(store, 1150)]) == 2


COPY = """
    insert into gateway.audit_entry select {seq}, at, principal, via, address, operation, targets, resource, request_id,
    result, status, reason, details, hash, md5(hash) || md5(hash) from gateway.audit_entry where seq = 6
"""
SWAP = """
    update gateway.audit_entry set seq = 99 where seq = 2;
    update gateway.audit_entry set seq = 2 where seq = 3;
    update gateway.audit_entry set seq = 3 where seq = 99
"""
UNSEALED = """
    update gateway.audit_head set sealed_seq = 2,
    sealed_hash = (select hash from gateway.audit_entry where seq = 2);
    delete from gateway.audit_entry where seq <= 2
"""
# What somebody with all rights on the database does, and the first entry that is not right then.
TAMPERED: dict[str, tuple[str, int]] = {
    "changed": ("update gateway.audit_entry set principal = 'user:bob' where seq = 3", 3),
    "changed details": ("""update gateway.audit_entry set details = '{"command": "ls"}' where seq = 5""", 5),
    "changed time": ("update gateway.audit_entry set at = at - interval '1 microsecond' where seq = 2", 2),
    "removed": ("delete from gateway.audit_entry where seq = 4", 4),
    "removed first": ("delete from gateway.audit_entry where seq <= 2", 1),
    "inserted": (COPY.format(seq=7), 7),
    "inserted before": (COPY.format(seq=0), 0),
    "reordered": (SWAP, 2),
    "tail cut": ("delete from gateway.audit_entry where seq > 4", 5),
    "emptied": ("truncate gateway.audit_entry", 1),
    "dropped without a seal": (UNSEALED, 2),
}


@pytest.fixture
def verify_audit(database: Database, tls_dir: Path, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("x" * 32)
    env = {
        "PATH": os.environ["PATH"],
        "MYX_GATEWAY_TLS_DIR": str(tls_dir),
        "MYX_GATEWAY_ADMIN_TOKEN_FILE": str(token),
        "MYX_GATEWAY_DATABASE_URL_FILE": str(database.url_file),
        **{f"MYX_GATEWAY_{name}_TARGET": "127.0.0.1:1" for name in ("REGISTRY", "HEARTBEAT", "EXECUTOR")},
    }

    def run(*arguments: str) -> tuple[int, str]:
        program = [sys.executable, "-m", "myx_gateway", "verify-audit", *arguments]
        done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("how", TAMPERED)
async def test_tampering_is_found(
    store: AuditStore, database: Database, verify_audit: Callable[..., tuple[int, str]], how: str
) -> None:
    async with gateway(store) as trail:
        for number in range(6):
            await act(trail, request_id=str(number))
    assert (await verify(store)).fault is None
    statements, bad_seq = TAMPERED[how]
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("set session_replication_role = replica")
        for statement in statements.split(";"):
            connection.execute(statement.encode())
    fault = (await verify(store)).fault
    assert fault is not None
    assert fault.seq == bad_seq
    if how == "tail cut":
        code, said = verify_audit()
        assert code == 1, said
        assert f"first bad seq {bad_seq}" in said


async def test_a_tail_cut_off_with_its_head_is_found_by_a_head_that_was_kept(
    store: AuditStore, database: Database, verify_audit: Callable[..., tuple[int, str]]
) -> None:
    async with gateway(store) as trail:
        for number in range(6):
            await act(trail, request_id=str(number))
    head = (await store.ends()).head
    code, said = verify_audit()
    assert (code, said) == (0, f"6 entries from 1 on are right; head 6:{head.hash}\n")
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("delete from gateway.audit_entry where seq > 4")
        connection.execute(
            "update gateway.audit_head set (seq, hash) = (select seq, hash from gateway.audit_entry where seq = 4)"
        )
    assert (await verify(store)).fault is None
    code, said = verify_audit("--expect", f"6:{head.hash}")
    assert code == 1
    assert "first bad seq 5" in said
    fault = (await verify(store, Head(6, head.hash))).fault
    assert fault is not None
    assert fault.seq == 5
