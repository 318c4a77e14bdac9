"""Tokens and principals."""

import hashlib
from pathlib import Path

import pytest

from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import Role
from myx_gateway.access.token import TokenCheck, bearer_in
from myx_kit.errors import FailedPrecondition, Unauthenticated

TOKEN = "correct-horse-battery-staple"


def check() -> TokenCheck:
    return TokenCheck(hashlib.sha256(TOKEN.encode()).digest())


def test_the_token_itself_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(f"{TOKEN}\n")
    loaded = TokenCheck.from_file(file)
    assert TOKEN not in repr(vars(loaded))
    admin = loaded.principal(TOKEN.encode())
    assert admin is not None
    assert admin.name == "token:admin"
    assert admin.rights.everywhere(Role.ADMIN)


def test_another_token_is_nobodys() -> None:
    for token in (b"", b"\xff\xfe", TOKEN.encode() + b"x", TOKEN[:-1].encode()):
        assert check().principal(token) is None


def test_one_bearer_token_is_read_and_no_other_authorization() -> None:
    right = (b"authorization", f"Bearer {TOKEN}".encode())
    assert bearer_in([(b"host", b"a"), right]) == TOKEN.encode()
    assert bearer_in([(b"host", b"a")]) is None
    for headers in ([right, right], [(b"authorization", TOKEN.encode())], [(b"authorization", b"Basic abc")]):
        with pytest.raises(Unauthenticated):
            bearer_in(headers)


@pytest.mark.parametrize(
    "content", ["short", "has a space in the middle", "ümläute-are-not-ascii", "tab\tinside-the-token"]
)
def test_an_unusable_token_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(content)
    with pytest.raises(FailedPrecondition) as refused:
        TokenCheck.from_file(file)
    assert content not in str(refused.value)


def test_a_request_id_belongs_to_the_principal_and_its_key() -> None:
    admin, other = Principal("token:admin"), Principal("token:other")
    assert admin.request_id("k") == admin.request_id("k")
    assert len({admin.request_id("k"), admin.request_id("l"), other.request_id("k")}) == 3


def test_without_a_key_a_request_id_is_new_each_time_and_no_key_can_hit_it() -> None:
    admin = Principal("token:admin")
    ids = {admin.request_id(None) for _ in range(100)}
    assert len(ids) == 100
    assert admin.request_id("once:x") not in ids
