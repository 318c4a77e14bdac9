"""Browser sessions: begun by a password, ended by their owner, by an administrator or by time."""

import hashlib
from typing import Any

import psycopg
import pytest
from people import PASSWORD, browser, call, new_token, new_user, with_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


def sql(gateway: Any, statement: str, *values: object) -> list[Any]:
    """Run a statement in the gateway's database."""
    with psycopg.connect(gateway.database.url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


async def test_the_first_admin_logs_in_and_may_do_everything(gateway: Any) -> None:
    async with browser(gateway) as one:
        answer = await one.log_in("admin", gateway.password)
        assert answer["me"]["name"] == "user:admin"
        assert answer["me"]["grants"] == [{"role": "admin", "selector": "all"}]
        status, current = await one.call("GET", "/session")
        assert (status, current["csrf_token"]) == (200, one.csrf_token)
        assert current["me"]["via"] == "session"
        assert current["session"]["current"]
        assert current["session"]["address"] == "127.0.0.1"
        assert (await one.call("GET", "/users"))[0] == 200


async def test_who_one_is_with_a_token(gateway: Any) -> None:
    status, me = await call(gateway, "GET", "/session")
    assert (status, me["me"]["name"], me["me"]["via"], me["me"]["user"]) == (200, "token:admin", "root", None)
    assert (me["session"], me["csrf_token"], me["me"]["cap"]) == (None, None, None)
    name = await new_user(gateway, "operator")
    token = await new_token(gateway, name, role="viewer", selector="env=prod")
    _, me = await with_token(gateway, token, "GET", "/session")
    assert (me["me"]["via"], me["me"]["user"]["name"]) == ("token", name)
    assert me["me"]["cap"] == {"role": "viewer", "selector": "env=prod"}


async def test_the_cookie_cannot_be_read_by_scripts_nor_sent_from_elsewhere(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    body = {"name": name, "password": PASSWORD}
    async with gateway.stranger.post("/api/v1/session", json=body) as answer:
        lines = answer.headers.getall("Set-Cookie")
    session = next(line for line in lines if line.startswith("myx_session="))
    assert session.split("; ")[1:] == ["Path=/", "HttpOnly", "SameSite=Strict"]
    device = next(line for line in lines if line.startswith("myx_device="))
    assert "HttpOnly" in device
    assert "SameSite=Strict" in device
    gateway.stranger.cookie_jar.clear()


async def test_only_a_digest_of_the_secret_is_stored(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one:
        secret = one.cookies()["myx_session"]
        assert len(secret) == 43
        found = sql(gateway, "select secret_sha256 from gateway.session where id = %s", one.session["id"])
        assert found == [(hashlib.sha256(secret.encode()).digest(),)]
        rows = sql(gateway, "select s::text, a::text from gateway.session s join gateway.account a on true")
        assert not any(secret in text or PASSWORD in text for row in rows for text in row)
        assert all("$argon2id$" in row[1] for row in rows if "person" in row[1])


async def test_a_login_ends_the_session_that_the_browser_had_and_takes_none_that_it_brings(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one, browser(gateway) as other:
        before = one.cookies()["myx_session"]
        await one.log_in(name)
        assert one.cookies()["myx_session"] != before
        other.http.cookie_jar.update_cookies({"myx_session": before})
        assert (await other.call("GET", "/session"))[1]["reason"] == "SESSION_ENDED"
        planted = "A" * 43
        other.http.cookie_jar.update_cookies({"myx_session": planted})
        await other.log_in(name)
        assert other.cookies()["myx_session"] != planted


async def test_logging_out_ends_it_and_takes_the_cookie_away(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one:
        secret = one.cookies()["myx_session"]
        assert (await one.call("DELETE", "/session"))[0] == 204
        assert "myx_session" not in one.cookies()
        one.http.cookie_jar.update_cookies({"myx_session": secret})
        assert (await one.call("GET", "/session"))[0] == 401


async def test_nobody_without_a_session_can_end_it_or_change_the_password(gateway: Any) -> None:
    name = await new_user(gateway, "admin")
    token = await new_token(gateway, name)
    passwords = {"old_password": PASSWORD, "new_password": "another-good-password"}
    for method, path, body in (("DELETE", "/session", None), ("POST", "/session/password", passwords)):
        for status, answer in (
            await call(gateway, method, path, body),
            await with_token(gateway, token, method, path, body),
        ):
            assert (status, answer["reason"]) == (403, "SESSION_NEEDED")


async def test_sessions_are_listed_and_ended_by_their_owner_and_by_administrators_alone(gateway: Any) -> None:
    name, other = await new_user(gateway, "viewer"), await new_user(gateway, "operator")
    async with browser(gateway, name) as one, browser(gateway, name) as two, browser(gateway, other) as stranger:
        _, page = await one.call("GET", "/sessions")
        assert [(item["user"], item["current"]) for item in page["items"]] == [(name, False), (name, True)]
        assert (await stranger.call("GET", f"/sessions?user={name}"))[0] == 403
        assert (await stranger.call("GET", "/sessions?user=nobody"))[0] == 403
        assert (await stranger.call("GET", "/sessions?user=*"))[0] == 403
        status, problem = await stranger.call("DELETE", f"/sessions/{two.session['id']}")
        assert (status, problem["reason"]) == (404, "SESSION_NOT_FOUND")
        assert (await one.call("DELETE", f"/sessions/{two.session['id']}"))[0] == 204
        assert (await two.call("GET", "/session"))[0] == 401
        _, page = await call(gateway, "GET", f"/sessions?user={name}")
        assert [item["id"] for item in page["items"]] == [one.session["id"]]
        assert (await call(gateway, "DELETE", f"/sessions/{one.session['id']}"))[0] == 204
        assert (await one.call("GET", "/session"))[0] == 401
        assert (await call(gateway, "DELETE", f"/sessions/{one.session['id']}"))[0] == 404
        assert (await call(gateway, "DELETE", "/sessions/no-id"))[0] == 404


async def test_pages_of_sessions_hold_each_once(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name), browser(gateway, name), browser(gateway, name) as one:
        seen, token = [], ""
        while True:
            _, page = await one.call("GET", f"/sessions?page_size=1&page_token={token}")
            seen += [item["id"] for item in page["items"]]
            token = page["next_page_token"]
            if token is None:
                break
        assert len(seen) == len(set(seen)) == 3
        assert (await one.call("GET", "/sessions?page_token=abc"))[1]["reason"] == "PAGE_TOKEN_INVALID"


async def test_a_session_ends_by_its_age_and_when_it_is_not_used(start_gateway: Any) -> None:
    async with start_gateway(session_idle_s=3600, session_max_s=7200) as gateway:
        name = await new_user(gateway, "viewer")
        for column, age in (("last_used_at", "3601 seconds"), ("expires_at", "1 second")):
            async with browser(gateway, name) as one:
                id_ = one.session["id"]
                lasts = sql(
                    gateway,
                    "select extract(epoch from expires_at - created_at) from gateway.session where id = %s",
                    id_,
                )
                assert lasts[0][0] == 7200
                sql(gateway, f"update gateway.session set {column} = now() - interval '{age}' where id = %s", id_)
                assert (await one.call("GET", "/session"))[1]["reason"] == "SESSION_ENDED"
                page = await call(gateway, "GET", f"/sessions?user={name}")
                assert page[1]["items"] == []


async def test_use_is_written_at_most_once_a_minute(start_gateway: Any) -> None:
    async with start_gateway() as gateway:
        name = await new_user(gateway, "viewer")
        async with browser(gateway, name) as one:
            query = "select last_used_at, xmin::text from gateway.session where id = %s"
            before = sql(gateway, query, one.session["id"])
            for _ in range(3):
                await one.call("GET", "/session")
            assert sql(gateway, query, one.session["id"]) == before
            past = "update gateway.session set last_used_at = now() - interval '61 seconds' where id = %s"
            async with browser(gateway, name) as other:
                sql(gateway, past, other.session["id"])
                await other.call("GET", "/session")
                (used,) = sql(
                    gateway,
                    "select now() - last_used_at < interval '30 seconds' from gateway.session where id = %s",
                    other.session["id"],
                )
                assert used == (True,)


async def test_changing_ones_password_needs_the_old_one_and_ends_all_other_sessions(gateway: Any) -> None:
    name, new = await new_user(gateway, "viewer"), "another-good-password"
    async with browser(gateway, name) as one, browser(gateway, name) as two:
        wrong = {"old_password": "no", "new_password": new}
        status, problem = await one.call("POST", "/session/password", wrong)
        assert (status, problem["reason"]) == (400, "PASSWORD_WRONG")
        for weak in ("short", name + "1234", "password1234", "aaaaaaaaaaaaaaaa", PASSWORD):
            right_old = {"old_password": PASSWORD, "new_password": weak}
            status, problem = await one.call("POST", "/session/password", right_old)
            assert (status, problem["reason"]) == (400, "PASSWORD_WEAK"), weak
            assert PASSWORD not in str(problem)
        changed = {"old_password": PASSWORD, "new_password": new}
        assert (await one.call("POST", "/session/password", changed))[0] == 204
        assert (await one.call("GET", "/session"))[0] == 200
        assert (await two.call("GET", "/session"))[0] == 401
        async with gateway.stranger.post("/api/v1/session", json={"name": name, "password": PASSWORD}) as answer:
            assert answer.status == 401
    async with browser(gateway, name, new):
        pass


async def test_a_wrong_name_a_wrong_password_a_program_and_a_disabled_user_are_told_the_same(gateway: Any) -> None:
    name, gone = await new_user(gateway, "viewer"), await new_user(gateway, "viewer")
    program = await new_user(gateway, "viewer", kind="program")
    assert (await call(gateway, "PATCH", f"/users/{gone}", {"disabled": True}))[0] == 200
    told = []
    for who, password in (
        (name, "wrong"),
        ("nobody", PASSWORD),
        (gone, PASSWORD),
        (program, PASSWORD),
        ("\u00fc \n", "x"),
    ):
        async with gateway.stranger.post("/api/v1/session", json={"name": who, "password": password}) as answer:
            problem = await answer.json()
            told.append((answer.status, problem["reason"], problem["detail"], problem["fields"]))
            assert "Set-Cookie" not in answer.headers
    assert set(map(str, told)) == {str((401, "LOGIN_FAILED", "name or password is wrong", {}))}


async def test_names_are_taken_as_people_type_them(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, f" {name.upper()} "):
        pass


async def test_the_oldest_sessions_of_a_user_make_room(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    (user,) = sql(gateway, "select id from gateway.account where name = %s", name)
    for number in range(55):
        sql(
            gateway,
            "insert into gateway.session (id, account_id, secret_sha256, address, user_agent, last_used_at, expires_at)"
            " values (gen_random_uuid(), %s, sha256(%s), '', '', now() - interval '1 hour', now() + interval '1 day')",
            user[0],
            f"{name}{number}".encode(),
        )
    async with browser(gateway, name) as one:
        assert sql(gateway, "select count(*) from gateway.session where account_id = %s", user[0]) == [(50,)]
        assert (await one.call("GET", "/session"))[0] == 200


async def test_a_password_is_never_in_the_log(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one:
        secret = one.cookies()["myx_session"]
    body = {"name": PASSWORD, "password": PASSWORD, PASSWORD: 1}
    async with gateway.stranger.post("/api/v1/session", json=body) as answer:
        assert answer.status == 400
    log = gateway.program.log.read_text()
    assert name not in log or PASSWORD not in log
    assert PASSWORD not in log
    assert secret not in log


async def test_strangers_cannot_make_the_door_hold_much(gateway: Any) -> None:
    body = {"name": "admin", "password": "x" * (20 << 10)}
    async with gateway.stranger.post("/api/v1/session", json=body) as answer:
        assert (answer.status, (await answer.json())["reason"]) == (413, "BODY_TOO_LARGE")


async def test_a_mark_of_a_browser_that_was_planted_is_not_kept(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway) as one:
        one.http.cookie_jar.update_cookies({"myx_device": "planted"})
        await one.log_in(name)
        mark = one.cookies()["myx_device"]
        assert mark != "planted"
        await one.log_in(name)
        assert one.cookies()["myx_device"] == mark
