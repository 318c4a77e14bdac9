"""API tokens: hashed, scoped, expiring, and never more than their user may do."""

import re
import secrets
from typing import Any

import psycopg
import pytest
from people import PASSWORD, browser, call, new_token, new_user, with_token

pytestmark = pytest.mark.asyncio(loop_scope="module")

YEAR_S = 365 * 86_400


async def test_a_token_is_shown_once_and_only_its_digest_is_kept(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one:
        status, made = await one.call("POST", "/tokens", {"name": "ci"})
        assert (status, made["user"], made["role"], made["selector"]) == (201, name, "admin", "all")
        assert made["created_by"] == f"user:{name}"
        token = made["token"]
        assert re.fullmatch(r"myx_[0-9a-f]{32}_[A-Za-z0-9_-]{43}", token)
        _, page = await one.call("GET", "/tokens")
        assert [item["name"] for item in page["items"]] == ["ci"]
        assert token not in str(page)
    with psycopg.connect(gateway.database.url) as connection:
        rows = connection.execute("select t::text from gateway.token t").fetchall()
    assert not any(token in row[0] or token[-43:] in row[0] for row in rows)
    assert (await with_token(gateway, token, "GET", "/servers"))[0] == 200
    _, page = await call(gateway, "GET", f"/tokens?user={name}")
    assert page["items"][0]["last_used_at"] is not None
    log = gateway.program.log.read_text()
    assert token[-43:] not in log


async def test_what_is_no_token_of_ours_is_told_the_same(gateway: Any) -> None:
    token = await new_token(gateway, await new_user(gateway, "viewer"))
    other = await new_token(gateway, await new_user(gateway, "admin"))
    mixed = token[:37] + other[37:]
    for wrong in (
        token[:-1],
        token + "a",
        token.upper(),
        token.replace("myx_", ""),
        mixed,
        f"myx_{'0' * 32}_{'a' * 43}",
    ):
        status, problem = await with_token(gateway, wrong, "GET", "/session")
        assert (status, problem["reason"], problem["detail"]) == (401, "UNAUTHENTICATED", "the API token is not valid")
        assert wrong not in str(problem)


async def test_a_token_in_the_address_opens_nothing(gateway: Any) -> None:
    token = await new_token(gateway, await new_user(gateway, "admin"))
    async with gateway.stranger.get(f"/api/v1/session?token={token}&access_token={token}") as answer:
        assert answer.status == 401
    assert token not in gateway.program.log.read_text()


async def test_a_token_may_less_than_its_user(gateway: Any) -> None:
    name = await new_user(gateway, "admin")
    viewer = await new_token(gateway, name, role="viewer")
    assert (await with_token(gateway, viewer, "GET", "/servers"))[0] == 200
    assert (await with_token(gateway, viewer, "GET", "/users"))[0] == 403
    assert (await with_token(gateway, viewer, "POST", "/servers/web-1/check"))[0] == 403
    narrow = await new_token(gateway, name, selector="env=prod")
    assert (await with_token(gateway, narrow, "GET", "/users"))[0] == 403
    full = await new_token(gateway, name)
    assert (await with_token(gateway, full, "GET", "/users"))[0] == 200


async def test_a_token_never_may_more_than_its_user_does_now(gateway: Any) -> None:
    name = await new_user(gateway, "admin")
    token = await new_token(gateway, name, role="admin")
    assert (await with_token(gateway, token, "GET", "/users"))[0] == 200
    assert (await call(gateway, "PATCH", f"/users/{name}", {"grants": [{"role": "viewer"}]}))[0] == 200
    assert (await with_token(gateway, token, "GET", "/users"))[0] == 403
    assert (await with_token(gateway, token, "GET", "/servers"))[0] == 200
    assert (await call(gateway, "DELETE", f"/users/{name}"))[0] == 204
    assert (await with_token(gateway, token, "GET", "/servers"))[0] == 401


async def test_a_token_ends_by_its_time(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    token = await new_token(gateway, name, expires_in_s=60)
    with psycopg.connect(gateway.database.url, autocommit=True) as connection:
        query = "select extract(epoch from expires_at - created_at)::int from gateway.token where id = %s"
        assert connection.execute(query, [token[4:36]]).fetchone() == (60,)
        connection.execute("update gateway.token set expires_at = now() where id = %s", [token[4:36]])
    assert (await with_token(gateway, token, "GET", "/session"))[0] == 401


async def test_lifetimes_have_bounds(gateway: Any) -> None:
    person, program = await new_user(gateway, "viewer"), await new_user(gateway, "viewer", kind="program")
    for user, lasts, status in (
        (person, YEAR_S, 201),
        (person, YEAR_S + 1, 400),
        (person, 59, 400),
        (person, None, 400),
        (program, None, 201),
    ):
        body = {"name": secrets.token_hex(4), "user": user, "expires_in_s": lasts}
        assert (await call(gateway, "POST", "/tokens", body))[0] == status, body
    _, made = await call(gateway, "POST", "/tokens", {"name": "default", "user": person})
    assert made["expires_at"] is not None


async def test_a_deleted_token_opens_nothing_at_once(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    token = await new_token(gateway, name)
    assert (await with_token(gateway, token, "GET", "/session"))[0] == 200
    _, page = await call(gateway, "GET", f"/tokens?user={name}")
    async with browser(gateway, await new_user(gateway, "operator")) as stranger:
        assert (await stranger.call("DELETE", f"/tokens/{page['items'][0]['id']}"))[0] == 404
    async with browser(gateway, name) as owner:
        assert (await owner.call("DELETE", f"/tokens/{page['items'][0]['id']}"))[0] == 204
    assert (await with_token(gateway, token, "GET", "/session"))[0] == 401
    assert (await call(gateway, "DELETE", f"/tokens/{page['items'][0]['id']}"))[0] == 404


async def test_a_token_makes_no_token_and_ends_no_session_but_can_delete_itself(gateway: Any) -> None:
    name = await new_user(gateway, "operator")
    token = await new_token(gateway, name)
    status, problem = await with_token(gateway, token, "POST", "/tokens", {"name": "more", "role": "admin"})
    assert (status, problem["reason"]) == (403, "SESSION_NEEDED")
    async with browser(gateway, name) as one:
        assert (await with_token(gateway, token, "DELETE", f"/sessions/{one.session['id']}"))[0] == 403
        assert (await one.call("GET", "/session"))[0] == 200
    capped = await new_token(gateway, await new_user(gateway, "admin"), role="operator")
    assert (await with_token(gateway, capped, "POST", "/tokens", {"name": "more"}))[0] == 403
    _, page = await with_token(gateway, token, "GET", "/tokens")
    assert (await with_token(gateway, token, "DELETE", f"/tokens/{page['items'][0]['id']}"))[0] == 204
    assert (await with_token(gateway, token, "GET", "/session"))[0] == 401


async def test_tokens_of_others_need_an_administrator(gateway: Any) -> None:
    name, other = await new_user(gateway, "admin", "env=prod"), await new_user(gateway, "viewer")
    async with browser(gateway, name) as one:
        for user in (other, "nobody"):
            assert (await one.call("POST", "/tokens", {"name": "x", "user": user}))[0] == 403
            assert (await one.call("GET", f"/tokens?user={user}"))[0] == 403
        assert (await one.call("GET", "/tokens?user=*"))[0] == 403
        assert (await one.call("POST", "/tokens", {"name": "x", "user": name}))[0] == 201
    _, page = await call(gateway, "GET", "/tokens?user=*&page_size=1000")
    assert name in {item["user"] for item in page["items"]}
    assert (await call(gateway, "POST", "/tokens", {"name": "x", "user": "nobody"}))[0] == 404
    assert (await call(gateway, "POST", "/tokens", {"name": "x"}))[1]["fields"] == {
        "user": "say whose token it is to be"
    }


async def test_the_same_key_makes_one_token_and_gives_it_again_until_it_is_used(gateway: Any) -> None:
    name, key = await new_user(gateway, "viewer"), secrets.token_hex(8)
    body = {"name": "ci", "user": name}
    (_, first), (_, second) = [await call(gateway, "POST", "/tokens", body, Idempotency_Key=key) for _ in range(2)]
    assert first["id"] == second["id"]
    assert (await with_token(gateway, first["token"], "GET", "/session"))[0] == 401
    assert (await with_token(gateway, second["token"], "GET", "/session"))[0] == 200
    status, problem = await call(gateway, "POST", "/tokens", body, Idempotency_Key=key)
    assert (status, problem["reason"]) == (409, "TOKEN_EXISTS")
    assert (await call(gateway, "POST", "/tokens", body))[1]["reason"] == "TOKEN_EXISTS"
    for other in ({"role": "viewer"}, {"selector": "env=prod"}, {"expires_in_s": 3600}):
        assert (await call(gateway, "POST", "/tokens", {**body, **other}, Idempotency_Key=key))[0] == 422


async def test_the_last_token_that_a_user_may_have_is_given_again_too(gateway: Any) -> None:
    name, key = await new_user(gateway, "viewer"), secrets.token_hex(8)
    with psycopg.connect(gateway.database.url, autocommit=True) as connection:
        connection.execute(
            "insert into gateway.token (id, account_id, name, secret_sha256, role, selector, created_by, request_id,"
            " expires_at) select gen_random_uuid(), a.id, 'n' || n, sha256(a.name::bytea || n::text::bytea), 'viewer',"
            " 'all', 'test', a.name || n, now() + interval '1 day' from gateway.account a, generate_series(1, 199) n"
            " where a.name = %s",
            [name],
        )
    body = {"name": "last", "user": name}
    (_, first), (_, again) = [await call(gateway, "POST", "/tokens", body, Idempotency_Key=key) for _ in range(2)]
    assert first["id"] == again["id"]
    assert (await call(gateway, "POST", "/tokens", {**body, "name": "more"}))[1]["reason"] == "TOO_MANY_TOKENS"


async def test_a_person_with_a_token_only_cannot_change_the_password(gateway: Any) -> None:
    name = await new_user(gateway, "admin")
    token = await new_token(gateway, name, role="operator")
    body = {"old_password": PASSWORD, "new_password": "another-good-password"}
    assert (await with_token(gateway, token, "POST", "/session/password", body))[0] == 403
