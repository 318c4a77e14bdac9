"""Failed logins make the next ones wait, and nobody is locked out by what others do."""

import asyncio
import secrets
from typing import Any

import psycopg
import pytest
from people import PASSWORD, browser, new_user

pytestmark = pytest.mark.asyncio(loop_scope="module")


def address() -> str:
    """One that no other test comes from."""
    return f"198.51.{secrets.randbelow(256)}.{secrets.randbelow(256)}"


async def attempt(
    gateway: Any, name: str, came_from: str, password: str = "wrong", **headers: str
) -> tuple[int, str, str]:
    """Status, reason and Retry-After of a login of a stranger."""
    sent = {"X-Forwarded-For": came_from, **headers}
    body = {"name": name, "password": password}
    async with gateway.stranger.post("/api/v1/session", json=body, headers=sent) as answer:
        document = await answer.json()
        gateway.stranger.cookie_jar.clear()
        return answer.status, document.get("reason", ""), answer.headers.get("Retry-After", "")


async def fail(gateway: Any, name: str, came_from: str, times: int, **headers: str) -> None:
    """Failures of a name that are let through."""
    for _ in range(times):
        assert await attempt(gateway, name, came_from, **headers) == (401, "LOGIN_FAILED", "")


def forgive(gateway: Any) -> None:
    """Let all pauses be over."""
    with psycopg.connect(gateway.database.url, autocommit=True) as connection:
        connection.execute("update gateway.login_failure set blocked_until = now()")


def forget(gateway: Any) -> None:
    """Let there be no failures."""
    with psycopg.connect(gateway.database.url, autocommit=True) as connection:
        connection.execute("delete from gateway.login_failure")


def longest_pause_s(gateway: Any) -> float:
    """Of all that there are."""
    with psycopg.connect(gateway.database.url) as connection:
        query = "select extract(epoch from max(blocked_until - last_at)) from gateway.login_failure"
        (found,) = connection.execute(query).fetchone() or (0,)
    return float(found)


async def waits(gateway: Any, name: str, came_from: str, **more: str) -> bool:
    """Whether a login is refused until a time, which is put off here: a slow machine takes long to ask."""
    with psycopg.connect(gateway.database.url, autocommit=True) as connection:
        connection.execute(
            "update gateway.login_failure set blocked_until = now() + interval '1 hour'"
            " where blocked_until > last_at + interval '0.5 seconds'"
        )
    status, reason, retry_after = await attempt(gateway, name, came_from, **more)
    assert reason != "LOGIN_THROTTLED" or int(retry_after) > 60
    return (status, reason) == (429, "LOGIN_THROTTLED")


@pytest.mark.parametrize("is_there", [True, False])
async def test_after_some_mistypings_a_name_has_to_wait_whether_there_is_such_a_user(
    proxied: Any, is_there: bool
) -> None:
    name, here = await new_user(proxied, "viewer") if is_there else "nobody-like-this", address()
    await fail(proxied, name, here, 5)
    assert await attempt(proxied, name, here) == (401, "LOGIN_FAILED", "")
    assert await waits(proxied, name, here, password=PASSWORD)


async def test_the_pauses_grow_and_end(proxied: Any) -> None:
    forget(proxied)
    name, here = await new_user(proxied, "viewer"), address()
    await fail(proxied, name, here, 5)
    for pause_s in (1, 2, 4, 8, 16, 32, 60, 60):
        forgive(proxied)
        assert (await attempt(proxied, name, here))[0] == 401
        assert longest_pause_s(proxied) == pytest.approx(pause_s, abs=0.1)
    forgive(proxied)
    assert (await attempt(proxied, name, here, PASSWORD))[0] == 200
    await fail(proxied, name, here, 5)


async def test_logins_that_must_wait_do_not_fill_the_audit_trail(proxied: Any) -> None:
    name, here = await new_user(proxied, "viewer"), address()
    await fail(proxied, name, here, 6)
    for _ in range(5):
        assert await waits(proxied, name, here)
    async with proxied.http.get("/api/v1/audit", params={"operation": "session.create"}) as answer:
        entries = [one for one in (await answer.json())["items"] if one["address"] == here]
    assert [one["status"] for one in entries] == [401] * 6


async def test_many_at_once_get_no_more_tries(proxied: Any) -> None:
    name, here = await new_user(proxied, "viewer"), address()
    answers = await asyncio.gather(*(attempt(proxied, name, here) for _ in range(30)))
    tried = [reason for _, reason, _ in answers if reason == "LOGIN_FAILED"]
    assert len(tried) <= 12
    assert {reason for _, reason, _ in answers} <= {"LOGIN_FAILED", "LOGIN_THROTTLED", "LOGIN_BUSY"}


async def test_an_address_that_tries_many_names_has_to_wait(proxied: Any) -> None:
    name, here = await new_user(proxied, "viewer"), address()
    assert (await attempt(proxied, name, here, PASSWORD))[0] == 200
    for number in range(21):
        assert (await attempt(proxied, f"name-{number}", here))[0] == 401
    assert await waits(proxied, "another-name", here)
    # Who logged in from there lately is not slowed by it.
    assert (await attempt(proxied, name, here, PASSWORD))[0] == 200
    # And so nobody wipes the count out by logging in between.
    assert await waits(proxied, "another-name", here)


async def test_a_known_address_is_not_slowed_by_failures_elsewhere(proxied: Any) -> None:
    name, home = await new_user(proxied, "viewer"), address()
    assert (await attempt(proxied, name, home, PASSWORD))[0] == 200
    for _ in range(3):
        await fail(proxied, name, address(), 5)
    assert (await attempt(proxied, name, home, PASSWORD))[0] == 200


async def test_a_known_browser_is_not_slowed_by_others_behind_the_same_address(proxied: Any) -> None:
    name, office = await new_user(proxied, "viewer"), address()
    async with browser(proxied) as one:
        one.http.headers["X-Forwarded-For"] = office
        await one.log_in(name)
        await fail(proxied, name, office, 6)
        assert await waits(proxied, name, office, password=PASSWORD)
        await one.log_in(name)
        mark = one.cookies()["myx_device"]
    # The mark of a browser opens nothing, and serves one user only.
    other = await new_user(proxied, "viewer")
    await fail(proxied, other, office, 6, Cookie=f"myx_device={mark}")
    assert await waits(proxied, other, office, password=PASSWORD, Cookie=f"myx_device={mark}")


async def test_only_what_a_trusted_proxy_wrote_counts_as_the_address(proxied: Any, gateway: Any) -> None:
    name, here = await new_user(proxied, "viewer"), address()
    for number in range(6):
        assert (await attempt(proxied, name, f"203.0.113.{number}, {here}"))[0] == 401
    assert await waits(proxied, name, f"203.0.113.99, {here}")
    # Without a proxy that we trust, nothing that a client writes there is believed.
    for number in range(6):
        assert (await attempt(gateway, name, f"203.0.113.{number}"))[0] == 401
    assert await waits(gateway, name, "203.0.113.77")
    forget(proxied)


async def test_neighbours_in_an_ipv6_network_are_one(proxied: Any) -> None:
    name, network = await new_user(proxied, "viewer"), f"2001:db8:{secrets.token_hex(2)}:1"
    for number in range(6):
        assert (await attempt(proxied, name, f"{network}::{number}"))[0] == 401
    assert await waits(proxied, name, f"{network}:ffff::1")


async def test_replicas_count_together(proxied: Any, start_gateway: Any) -> None:
    name, here = await new_user(proxied, "viewer"), address()
    await fail(proxied, name, here, 6)
    async with start_gateway(trusted_proxies="127.0.0.0/8") as other:
        assert await waits(other, name, here)


async def test_what_was_typed_is_not_kept(proxied: Any) -> None:
    typed = f"my-password-{secrets.token_hex(4)}"
    await attempt(proxied, typed, address())
    with psycopg.connect(proxied.database.url) as connection:
        rows = connection.execute("select f::text from gateway.login_failure f").fetchall()
    assert rows
    assert not any(typed in row[0] for row in rows)
    assert typed not in proxied.program.log.read_text()
