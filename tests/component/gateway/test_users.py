"""Users: made, changed and removed by administrators; the last of these cannot lock everybody out."""

import asyncio
import secrets
from typing import Any

import pytest
from people import PASSWORD, browser, call, new_token, new_user, with_token

from myx_kit.errors import InvalidArgument

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL = [{"role": "admin", "selector": "all"}]


async def test_a_user_is_made_shown_changed_and_removed(gateway: Any) -> None:
    name = f"alice-{secrets.token_hex(3)}"
    grants = [{"role": "operator", "selector": "env=prod"}, {"role": "viewer", "selector": "all"}]
    body = {"name": name, "display_name": "Alice Ä", "password": PASSWORD, "grants": grants}
    status, made = await call(gateway, "POST", "/users", body)
    assert status == 201
    assert "password" not in str(made)
    assert (made["name"], made["kind"], made["disabled"], made["last_login_at"]) == (name, "person", False, None)
    assert made["grants"] == grants
    for reference in (name, made["id"]):
        assert await call(gateway, "GET", f"/users/{reference}") == (200, made)
    status, changed = await call(gateway, "PATCH", f"/users/{name}", {"display_name": "A", "grants": []})
    assert (status, changed["display_name"], changed["grants"]) == (200, "A", [])
    assert changed["etag"] != made["etag"]
    assert (await call(gateway, "DELETE", f"/users/{name}"))[0] == 204
    assert (await call(gateway, "GET", f"/users/{name}"))[1]["reason"] == "USER_NOT_FOUND"


async def test_pages_of_users_hold_each_once(gateway: Any) -> None:
    names = {await new_user(gateway) for _ in range(3)}
    seen, token = [], ""
    while token is not None:
        _, page = await call(gateway, "GET", f"/users?page_size=2&page_token={token}")
        seen += [item["name"] for item in page["items"]]
        token = page["next_page_token"]
    assert seen == sorted(set(seen))
    assert names < set(seen)


async def test_a_lost_update_is_noticed(gateway: Any) -> None:
    name = await new_user(gateway)
    _, user = await call(gateway, "GET", f"/users/{name}")
    etag = f'"{user["etag"]}"'
    assert (await call(gateway, "PATCH", f"/users/{name}", {"display_name": "1"}, If_Match=etag))[0] == 200
    for method, body in (("PATCH", {"display_name": "2"}), ("DELETE", None)):
        assert (await call(gateway, method, f"/users/{name}", body, If_Match=etag))[0] == 412


async def test_the_same_key_makes_one_user(gateway: Any) -> None:
    name, key = f"bob-{secrets.token_hex(3)}", secrets.token_hex(8)
    body = {"name": name, "password": PASSWORD, "grants": FULL}
    answers = [await call(gateway, "POST", "/users", body, Idempotency_Key=key) for _ in range(2)]
    assert answers[0] == answers[1]
    other = {**body, "grants": []}
    assert (await call(gateway, "POST", "/users", other, Idempotency_Key=key))[1]["reason"] == "REQUEST_ID_REUSED"
    assert (await call(gateway, "POST", "/users", body))[1]["reason"] == "USER_EXISTS"


async def test_a_name_is_never_given_to_somebody_else(gateway: Any) -> None:
    name = await new_user(gateway)
    assert (await call(gateway, "DELETE", f"/users/{name}"))[0] == 204
    status, problem = await call(gateway, "POST", "/users", {"name": name, "password": PASSWORD})
    assert (status, problem["reason"]) == (409, "USER_EXISTS")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "Upper"}, "NAME_INVALID"),
        ({"name": "a b"}, "NAME_INVALID"),
        ({"name": ".a"}, "NAME_INVALID"),
        ({"name": "x" * 64}, "NAME_INVALID"),
        ({"name": "0192e4a0-0000-7000-8000-000000000000"}, "NAME_INVALID"),
        ({"name": "user:admin"}, "NAME_INVALID"),
        ({"password": "short"}, "PASSWORD_WEAK"),
        ({"password": "CORRECT-horse-battery-staple"}, "PASSWORD_WEAK"),
        ({"password": "some-name-2024!"}, "PASSWORD_WEAK"),
        ({"password": None}, "REQUEST_INVALID"),
        ({"kind": "program"}, "REQUEST_INVALID"),
        ({"kind": "robot"}, "REQUEST_INVALID"),
        ({"grants": [{"role": "root"}]}, "REQUEST_INVALID"),
        ({"grants": [{"role": "admin", "selector": ""}]}, "REQUEST_INVALID"),
        ({"is_admin": True}, "REQUEST_INVALID"),
    ],
)
async def test_wrong_users_are_refused(gateway: Any, fields: dict[str, Any], reason: str) -> None:
    body = {"name": "some-name", "password": PASSWORD, **fields}
    status, problem = await call(gateway, "POST", "/users", body)
    assert (status, problem["reason"]) == (400, reason)
    assert "short" not in str(problem)
    assert (await call(gateway, "GET", "/users/some-name"))[0] == 404


async def test_a_selector_that_the_registry_does_not_understand_is_refused(gateway: Any, backend: Any) -> None:
    name = await new_user(gateway)
    backend.errors["ListServers"] = InvalidArgument("SELECTOR_INVALID", "expected a value", field="selector")
    wrong = {"grants": [{"role": "viewer", "selector": "env="}]}
    assert (await call(gateway, "PATCH", f"/users/{name}", wrong))[1]["reason"] == "SELECTOR_INVALID"
    del backend.errors["ListServers"]
    assert (await call(gateway, "GET", f"/users/{name}"))[1]["grants"] == []


async def test_who_is_disabled_is_out_at_once_and_can_come_back(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    token = await new_token(gateway, name)
    async with browser(gateway, name) as one:
        assert (await with_token(gateway, token, "GET", "/session"))[0] == 200
        assert (await call(gateway, "PATCH", f"/users/{name}", {"disabled": True}))[0] == 200
        assert (await one.call("GET", "/session"))[0] == 401
        assert (await with_token(gateway, token, "GET", "/session"))[0] == 401
        assert (await call(gateway, "PATCH", f"/users/{name}", {"disabled": False}))[0] == 200
        assert (await with_token(gateway, token, "GET", "/session"))[0] == 200
        assert (await one.call("GET", "/session"))[0] == 401
        await one.log_in(name)


async def test_sessions_end_when_an_administrator_takes_rights_or_sets_a_password(gateway: Any) -> None:
    name = await new_user(gateway, "operator")
    wider = [{"role": "admin", "selector": "env=prod"}, {"role": "operator", "selector": "all"}]
    for changes, stays in (
        ({"display_name": "x"}, True),
        ({"grants": wider}, True),
        ({"grants": [{"role": "operator", "selector": "all"}]}, False),
        ({"password": "another-good-password"}, False),
    ):
        async with browser(gateway, name) as one:
            assert (await call(gateway, "PATCH", f"/users/{name}", changes))[0] == 200
            assert ((await one.call("GET", "/session"))[0] == 200) == stays, changes
    async with browser(gateway, name, "another-good-password"):
        pass


async def test_new_rights_hold_at_once(gateway: Any) -> None:
    name = await new_user(gateway, "viewer")
    async with browser(gateway, name) as one:
        assert (await one.call("GET", "/users"))[0] == 403
        assert (await call(gateway, "PATCH", f"/users/{name}", {"grants": FULL}))[0] == 200
        assert (await one.call("GET", "/users"))[0] == 200


async def test_an_administrators_own_session_outlives_the_own_new_password(gateway: Any) -> None:
    name = await new_user(gateway, "admin")
    async with browser(gateway, name) as one, browser(gateway, name) as two:
        assert (await one.call("PATCH", f"/users/{name}", {"password": "another-good-password"}))[0] == 200
        assert (await one.call("GET", "/session"))[0] == 200
        assert (await two.call("GET", "/session"))[0] == 401


async def test_a_program_has_no_password(gateway: Any) -> None:
    name = await new_user(gateway, "viewer", kind="program")
    status, problem = await call(gateway, "PATCH", f"/users/{name}", {"password": "another-good-password"})
    assert (status, problem["reason"]) == (409, "PROGRAM_HAS_NO_PASSWORD")


async def test_only_who_administrates_everything_sees_and_changes_users(gateway: Any) -> None:
    restricted = await new_user(gateway, "admin", "env=prod")
    for name in (restricted, await new_user(gateway, "operator"), await new_user(gateway)):
        async with browser(gateway, name) as one:
            for method, path, body in (
                ("GET", "/users", None),
                ("GET", f"/users/{name}", None),
                ("POST", "/users", {"name": "new", "password": PASSWORD, "grants": FULL}),
                ("PATCH", f"/users/{name}", {"grants": FULL}),
                ("DELETE", "/users/admin", None),
            ):
                status, problem = await one.call(method, path, body)
                assert (status, problem["reason"]) == (403, "FORBIDDEN"), (name, path)


async def test_the_last_full_administrator_stays_one(start_gateway: Any) -> None:
    async with start_gateway() as gateway:
        _, page = await call(gateway, "GET", "/users?page_size=1000")
        others = [user["name"] for user in page["items"] if user["grants"] == FULL and user["name"] != "admin"]
        for name in others:
            assert (await call(gateway, "PATCH", f"/users/{name}", {"grants": []}))[0] == 200
        await new_user(gateway, "admin", kind="program")
        lesser = [{"role": "admin", "selector": "env=prod"}]
        for method, body in (
            ("PATCH", {"disabled": True}),
            ("PATCH", {"grants": lesser}),
            ("PATCH", {"grants": []}),
            ("DELETE", None),
        ):
            status, problem = await call(gateway, method, "/users/admin", body)
            assert (status, problem["reason"]) == (409, "LAST_ADMIN"), body
        second = await new_user(gateway, "admin")
        answers = await asyncio.gather(
            call(gateway, "PATCH", "/users/admin", {"grants": lesser}),
            call(gateway, "PATCH", f"/users/{second}", {"grants": lesser}),
        )
        assert sorted(status for status, _ in answers) == [200, 409], "two at once must not demote each other"
        for name in ("admin", second):
            await call(gateway, "PATCH", f"/users/{name}", {"grants": FULL})
