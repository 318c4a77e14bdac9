"""Tokens and principals."""

import hashlib
from pathlib import Path

import pytest

from myx_gateway.access.principal import Principal
from myx_gateway.access.token import TokenCheck
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
    assert loaded.principal([(b"authorization", f"Bearer {TOKEN}".encode())]).name == "token:admin"


def test_only_one_right_bearer_token_opens() -> None:
    right = (b"authorization", f"Bearer {TOKEN}".encode())
    assert check().principal([(b"host", b"a"), right]).name == "token:admin"
    for headers in ([], [right, right], [(b"authorization", TOKEN.encode())], [(b"authorization", b"Bearer \xff\xfe")]):
        with pytest.raises(Unauthenticated):
            check().principal(headers)


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
