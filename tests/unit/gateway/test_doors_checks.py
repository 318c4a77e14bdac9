"""Small judgements at the door: addresses, origins, cookies, secrets, passwords, grants."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from myx_gateway.access import passwords as passwords_module
from myx_gateway.access.addresses import ClientAddresses, neighbourhood
from myx_gateway.access.cookies import Cookies
from myx_gateway.access.crowd import Crowd
from myx_gateway.access.grants import is_full_admin, is_narrower, rights_of, rows_of
from myx_gateway.access.origins import Origins
from myx_gateway.access.passwords import Passwords, check_new_password
from myx_gateway.access.rights import Grant, Role
from myx_gateway.access.secrets import csrf_token, new_secret, token_id_in, token_text
from myx_gateway.settings import parse_networks
from myx_gateway.store.access_records import Kind, Token, User
from myx_kit.errors import InvalidArgument, PermissionDenied, ResourceExhausted
from myx_kit.ids import new_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def scope(kind: str = "http", method: str = "POST", peer: str = "10.0.0.1", **headers: str) -> dict[str, Any]:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": kind, "method": method, "client": (peer, 1), "headers": sent, "scheme": "http"}


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("", "198.51.100.7", ""),
    ],
)
def test_the_address_is_what_the_nearest_stranger_has(peer: str, forwarded: str, address: str) -> None:
    addresses = ClientAddresses(parse_networks("10.0.0.0/8"))
    headers = {"x_forwarded_for": forwarded} if forwarded else {}
    assert addresses.of(scope(peer=peer, **headers)) == address


def test_several_lines_of_forwarders_are_one_list() -> None:
    visit = scope()
    visit["headers"] = [(b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-for", b"198.51.100.7")]
    assert ClientAddresses(parse_networks("10.0.0.0/8")).of(visit) == "198.51.100.7"


def test_who_has_a_network_is_one_neighbour() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::2") == "2001:db8::/64"
    assert neighbourhood("192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(
    ("public", "host", "origin", "ours"),
    [
        ("", "a:8470", "http://a:8470", True),
        ("", "a", "http://a", True),
        ("", "a", "https://a", True),
        ("", "a:443", "https://a", True),
        ("", "a:8470", "http://a", False),
        ("", "a", "http://b", False),
        ("", "a", "http://a@b", False),
        ("", "", "http://a", False),
        ("", "a", "file://a", False),
        ("", "a", "http://[a", False),
        ("", "a", "http://a:99999", False),
        ("https://a", "b", "https://a", True),
        ("https://a", "b", "https://a:443", True),
        ("https://a", "b", "http://a", False),
        ("https://a", "b", "https://b", False),
    ],
)
def test_an_origin_is_ours_when_it_is_where_we_are(public: str, host: str, origin: str, ours: bool) -> None:
    visit = scope("websocket", host=host, origin=origin)
    origins = Origins(public, ["a"])
    if ours:
        origins.check_session(visit, "")
    else:
        with pytest.raises(PermissionDenied, match="CSRF_REFUSED" if host else "HOST_UNKNOWN"):
            origins.check_session(visit, "")


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8470", True),
        ("10.0.0.5", True),
        ("[::1]:8470", True),
        ("localhost:8470", True),
        ("MyX.example.com", True),
        ("evil.example:8470", False),
        ("127.0.0.1.evil.example", False),
        ("evil.example@127.0.0.1", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_a_name_that_leads_to_us_is_not_ours_because_of_that(host: str, known: bool) -> None:
    origins = Origins("", ["myx.example.com"])
    origin = f"http://{host}"
    login = scope("http", host=host, origin=origin) | {"method": "POST"}
    page = scope("http", host=host) | {"method": "GET"}
    for check in (lambda: origins.check_login(login), lambda: origins.check_session(page, "")):
        if known:
            check()
        else:
            with pytest.raises(PermissionDenied, match=r"MYX_GATEWAY_PUBLIC_URL.*MYX_GATEWAY_HOST_NAMES"):
                check()
    # Programs log in under any name; and over TLS the browser has looked at the certificate.
    origins.check_login(scope("http", host=host) | {"method": "POST"})
    origins.check_session(page | {"scheme": "https"}, "")


def test_a_plain_page_is_not_ours_where_we_speak_tls() -> None:
    visit = scope("websocket", host="a", origin="http://a") | {"scheme": "wss"}
    with pytest.raises(PermissionDenied, match="CSRF_REFUSED"):
        Origins().check_session(visit, "")


def test_over_tls_cookies_have_a_name_that_no_other_host_can_set() -> None:
    assert Cookies(secure=True).set_session("s") == "__Host-myx_session=s; Path=/; HttpOnly; SameSite=Strict; Secure"
    assert Cookies(secure=False).set_session("s") == "myx_session=s; Path=/; HttpOnly; SameSite=Strict"
    assert "Max-Age=0" in Cookies(secure=False).end_session()
    headers = [(b"cookie", b"a=1; myx_session=x;b"), (b"cookie", b"myx_session=y"), (b"other", b"myx_session=z")]
    assert Cookies(secure=False).session_in(headers) == [b"x", b"y"]
    assert Cookies(secure=True).session_in(headers) == []


def test_tokens_have_one_form() -> None:
    id_, secret = new_id(), new_secret()
    text = token_text(id_, secret)
    assert token_id_in(text.encode()) == id_
    for wrong in (text + "a", text[:-1], text.upper(), f" {text}", secret, "", f"{text}\n"):
        assert token_id_in(wrong.encode()) is None


def test_what_a_page_sends_back_follows_from_the_secret_alone() -> None:
    assert csrf_token("a") == csrf_token(b"a") != csrf_token("b")
    assert "secret" not in csrf_token("secret")


@pytest.mark.parametrize(
    "password", ["a" * 11, "x" * 1025, "Password1234", "alice-2024-alice", "ababababababab", "ALICE1234567"]
)
def test_weak_passwords(password: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_new_password(password, "alice")
    assert password not in str(refused.value)


def test_good_passwords() -> None:
    for password in ("correct battery staple", "größer-als-zwölf", "Vb7!kd92#pQx", "x" * 500 + "abc"):
        check_new_password(password, "alice")


async def test_an_unknown_name_costs_one_comparison_too(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    real = passwords_module._matches
    monkeypatch.setattr(
        passwords_module, "_matches", lambda hashed, password: compared.append(hashed) or real(hashed, password)
    )
    with ThreadPoolExecutor(1) as pool:
        passwords = Passwords(pool)
        hashed = await passwords.hash("a-good-password")
        assert await passwords.matches(hashed, "a-good-password", known=False)
        assert not await passwords.matches(hashed, "another", known=True)
        assert not await passwords.matches(None, "a-good-password", known=False)
        assert not await passwords.matches("no hash", "a-good-password", known=False)
        assert not passwords.is_outdated(hashed)
    assert len(compared) == 4
    parameters = {text.rsplit("$", 2)[0] for text in compared[:3]}
    assert len(parameters) == 1, "the comparison with nothing costs the same"


async def test_strangers_do_not_crowd_out_who_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords_module, "_WAITING", 0)
    with ThreadPoolExecutor(2) as pool:
        passwords = Passwords(pool)
        async with passwords._strangers.turn():
            with pytest.raises(ResourceExhausted, match="LOGIN_BUSY"):
                await passwords.matches(None, "x", known=False)
            assert not await passwords.matches(None, "x", known=True)


def user(*grants: tuple[str, str], **fields: Any) -> User:
    values = {"kind": Kind.PERSON, "disabled": False, **fields}
    return User(UUID(int=1), "alice", "", grants=grants, revision=1, created_at=NOW, last_login_at=None, **values)


def test_rights_follow_from_grants_and_from_a_tokens_cap() -> None:
    operator = user(("operator", "all"), ("admin", "env=prod"))
    assert rights_of(operator).everywhere(Role.OPERATOR)
    assert rights_of(operator).selector(Role.ADMIN) == "env=prod"
    token = Token(UUID(int=2), "ci", "alice", UUID(int=1), "viewer", "all", "", NOW, None, None)
    assert rights_of(operator, token).selector(Role.OPERATOR) is None
    assert rights_of(operator, token).everywhere(Role.VIEWER)
    assert rights_of(user(("admin", "all"), disabled=True)).selector(Role.VIEWER) is None


@pytest.mark.parametrize(
    ("before", "after", "narrower"),
    [
        ([("viewer", "all")], [("viewer", "all")], False),
        ([("viewer", "all")], [("operator", "all")], False),
        ([("viewer", "env=prod")], [("viewer", "all")], False),
        ([("operator", "all")], [("viewer", "all")], True),
        ([("viewer", "all")], [("viewer", "env=prod")], True),
        ([("viewer", "env=prod")], [("admin", "env=dev")], True),
        ([], [("viewer", "all")], False),
    ],
)
def test_narrowing_is_noticed(before: list[tuple[str, str]], after: list[tuple[str, str]], narrower: bool) -> None:
    assert is_narrower(user(*before), user(*after)) is narrower
    assert is_narrower(user(*before), user(*before, disabled=True))


def test_grants_are_stored_once_and_the_greatest_first() -> None:
    grants = [Grant(Role.VIEWER), Grant(Role.ADMIN, "a"), Grant(Role.VIEWER)]
    assert rows_of(grants) == (("admin", "a"), ("viewer", "all"))
    assert is_full_admin(user(("admin", "all")))
    for other in (
        user(("admin", "a")),
        user(("admin", "all"), disabled=True),
        user(("admin", "all"), kind=Kind.PROGRAM),
    ):
        assert not is_full_admin(other)


async def test_one_address_cannot_fill_the_way_in() -> None:
    crowd = Crowd()
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(crowd.turn("a"))
        waiting = [asyncio.create_task(crowd.turn("a").__aenter__()) for _ in range(6)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted, match="LOGIN_BUSY"):
            async with crowd.turn("a"):
                pass
        other = asyncio.create_task(crowd.turn("b").__aenter__())
        await asyncio.sleep(0)
        assert not other.done(), "it waits like everybody, and is not sent away"
        for task in (*waiting, other):
            task.cancel()
        await asyncio.gather(*waiting, other, return_exceptions=True)
    async with crowd.turn("a"):
        pass
