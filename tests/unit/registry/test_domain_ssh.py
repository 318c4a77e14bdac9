from uuid import uuid4

import pytest

from myx_kit.errors import FailedPrecondition, InvalidArgument
from myx_registry.domain.credentials import MAX_PASSWORD, MAX_PRIVATE_KEY, CredentialType, checked_login, checked_secret
from myx_registry.domain.servers import checked_draft
from myx_registry.domain.ssh import RepairPolicy, SshDraft, SudoMode, check_way, checked_ssh

SECRET = {"login": "", "password": "", "private_key": "", "passphrase": "", "sudo_password": ""}


def ssh(**values: object) -> SshDraft:
    given = {"address": "", "port": 0, "user": "", "credential": "", "sudo": SudoMode.AUTO, "jump_servers": ()}
    return checked_ssh(**(given | values))


def secret(**values: str):
    return checked_secret(**(SECRET | values), where="secret")


def test_port_zero_means_22() -> None:
    assert ssh() == SshDraft()
    assert ssh(port=2222).port == 2222


@pytest.mark.parametrize("login", ["root", "", "web.admin", "DOMAIN\\user", "user@example.org", "jörg", "a" * 128])
def test_logins_that_hosts_have_are_taken(login: str) -> None:
    assert checked_login(login, "SSH_INVALID", "user") == login


@pytest.mark.parametrize("login", ["-l", "a b", "a:b", "a\n", "a\0", "a" * 129, "\x9b"])
def test_logins_that_could_be_read_otherwise_are_refused(login: str) -> None:
    with pytest.raises(InvalidArgument, match="SSH_INVALID"):
        checked_login(login, "SSH_INVALID", "user")


def test_a_way_leads_by_nobody_twice_and_is_short() -> None:
    ids = [uuid4() for _ in range(6)]
    check_way(ids[:5], "web-1")
    for way in (ids, [ids[0], ids[1], ids[0]]):
        with pytest.raises(FailedPrecondition, match="JUMP_LOOP"):
            check_way(way, "web-1")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "secret"),
        ({"password": "a", "private_key": "b"}, "secret"),
        ({"password": "a", "passphrase": "b"}, "secret.passphrase"),
        ({"password": "a\n"}, "secret.password"),
        ({"password": "a\0"}, "secret.password"),
        ({"password": "a" * (MAX_PASSWORD + 1)}, "secret.password"),
        ({"password": "a", "sudo_password": "b\r"}, "secret.sudo_password"),
        ({"private_key": "a" * (MAX_PRIVATE_KEY + 1)}, "secret.private_key"),
        ({"private_key": "ä"}, "secret.private_key"),
        ({"password": "a", "login": "a b"}, "secret.user"),
    ],
)
def test_a_secret_that_cannot_be_one_is_refused_naming_the_field_and_no_value(values, field) -> None:
    with pytest.raises(InvalidArgument, match="CREDENTIAL_INVALID") as caught:
        secret(**values)
    assert caught.value.fields == {"field": field}


def test_a_key_gets_one_form() -> None:
    made = secret(private_key="\r\n  -----BEGIN X-----\r\nabc  \r\n-----END X-----\r\n\r\n")
    assert made.private_key == "-----BEGIN X-----\nabc\n-----END X-----\n"
    assert made.type is CredentialType.PRIVATE_KEY


def test_secrets_are_not_printed() -> None:
    made = secret(password="hidden-1", sudo_password="hidden-2", login="shown")
    assert repr(made) == "CredentialSecret(login='shown')"


def test_digests_differ_with_every_part() -> None:
    parts = [
        {"password": "a"},
        {"password": "b"},
        {"password": "a", "login": "b"},
        {"password": "a", "sudo_password": "b"},
        {"private_key": "a"},
        {"private_key": "a", "passphrase": "b"},
    ]
    digests = [secret(**part).digest() for part in parts]
    assert len(set(digests)) == len(parts)
    assert secret(password="a").digest("n") != digests[0]


def test_a_draft_of_the_first_version_keeps_its_digest() -> None:
    plain = checked_draft("a", "192.0.2.7", {"x": "1"})
    assert plain.digest().hex() == "3fb5e5f56f2149492c71f10867dc266a56031bd9baee520e01e98f013044d47c"
    others = [
        checked_draft("a", "192.0.2.7", {"x": "1"}, ssh=ssh(port=2222)),
        checked_draft("a", "192.0.2.7", {"x": "1"}, ssh=ssh(jump_servers=["b"])),
        checked_draft("a", "192.0.2.7", {"x": "1"}, accept_new_host_key=True),
        checked_draft("a", "192.0.2.7", {"x": "1"}, repair_policy=RepairPolicy.OFF),
        checked_draft("a", "192.0.2.7", {"x": "1"}, host_key_fingerprint="SHA256:x"),
    ]
    assert len({draft.digest() for draft in (plain, *others)}) == 6
