"""Host keys: trusted by a word, recorded at first contact, never changed silently."""

import asyncio
import base64
import hashlib
import os

import pytest

from myx_kit.errors import FailedPrecondition, InvalidArgument, NotFound

pytestmark = pytest.mark.asyncio(loop_scope="module")


def new_key() -> tuple[str, str]:
    """(OpenSSH line, fingerprint) of an Ed25519 key."""
    blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + os.urandom(32)
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}", f"SHA256:{digest}"


async def test_an_unknown_key_is_a_hard_stop_that_shows_it(registry) -> None:
    made = await registry.create()
    line, fingerprint = new_key()
    with pytest.raises(FailedPrecondition, match="HOST_KEY_UNKNOWN") as caught:
        await registry.record(made.id, line)
    assert caught.value.fields["shown"] == fingerprint
    assert not (await registry.get(made.id)).HasField("host_key")


async def test_the_first_key_is_taken_where_that_was_accepted(registry) -> None:
    made = await registry.create(accept_new_host_key=True)
    line, fingerprint = new_key()
    key = await registry.record(made.id, f"{line} root@host")
    assert (key.fingerprint, key.public_key, key.how) == (fingerprint, line, "first_contact")
    assert await registry.record(made.id, line) == key == (await registry.get(made.id)).host_key


async def test_another_key_is_a_hard_stop_that_shows_both(registry) -> None:
    made = await registry.create(accept_new_host_key=True)
    (line, known), (other, shown) = new_key(), new_key()
    await registry.record(made.id, line)
    with pytest.raises(FailedPrecondition, match="HOST_KEY_CHANGED") as caught:
        await registry.record(made.id, other)
    assert (caught.value.fields["trusted"], caught.value.fields["shown"]) == (known, shown)
    assert known in caught.value.message
    assert shown in caught.value.message
    assert (await registry.get(made.id)).host_key.fingerprint == known


async def test_a_given_fingerprint_is_completed_by_the_key_that_fits(registry) -> None:
    line, fingerprint = new_key()
    made = await registry.create(host_key_fingerprint=fingerprint, requested_by="token:admin")
    with pytest.raises(FailedPrecondition, match="HOST_KEY_CHANGED"):
        await registry.record(made.id, new_key()[0])
    key = await registry.record(made.id, line)
    assert (key.public_key, key.how, key.accepted_by) == (line, "fingerprint", "token:admin")


async def test_a_trusted_key_replaces_any_other_and_is_trusted_once(registry) -> None:
    made = await registry.create(accept_new_host_key=True)
    await registry.record(made.id, new_key()[0])
    line, fingerprint = new_key()
    trusted = await registry.trust(made.id, fingerprint)
    assert (trusted.host_key.how, trusted.host_key.public_key) == ("accepted", "")
    assert (await registry.trust(made.id, f" {fingerprint}= ", by="token:other")).host_key == trusted.host_key
    key = await registry.record(made.id, line)
    assert (key.public_key, key.accepted_by) == (line, "token:admin")
    assert trusted.etag == made.etag


async def test_the_trusted_key_outlives_a_change_of_address(registry) -> None:
    made = await registry.create(accept_new_host_key=True)
    await registry.record(made.id, new_key()[0])
    await registry.update(made.id, "address", address="192.0.2.8")
    with pytest.raises(FailedPrecondition, match="HOST_KEY_CHANGED"):
        await registry.record(made.id, new_key()[0])


async def test_of_many_first_keys_one_is_trusted(registry) -> None:
    for _ in range(5):
        made = await registry.create(accept_new_host_key=True)
        lines = [new_key()[0] for _ in range(8)]
        outcomes = await asyncio.gather(*(registry.record(made.id, line) for line in lines), return_exceptions=True)
        taken = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        lost = [outcome for outcome in outcomes if isinstance(outcome, FailedPrecondition)]
        assert (len(taken), {error.reason for error in lost}) == (1, {"HOST_KEY_CHANGED"})
        assert len(lost) == 7
        assert (await registry.get(made.id)).host_key == taken[0]


async def test_what_is_no_host_key_is_refused(registry) -> None:
    made = await registry.create(accept_new_host_key=True)
    line, _ = new_key()
    for bad in (
        "",
        "x",
        "ssh-ed25519",
        "ssh-ed25519 !!",
        line.replace("ssh-ed25519", "ssh-rsa"),
        "ssh-dss AAAA",
        line * 99,
    ):
        with pytest.raises(InvalidArgument, match="HOST_KEY_INVALID"):
            await registry.record(made.id, bad)
    for bad in ("", "SHA256:x", "MD5:" + "0" * 32, "SHA256:" + "A" * 42 + "B"):
        with pytest.raises(InvalidArgument, match="HOST_KEY_INVALID"):
            await registry.trust(made.id, bad)
    for call, text in ((registry.record, line), (registry.trust, new_key()[1])):
        with pytest.raises(NotFound, match="SERVER_NOT_FOUND"):
            await call("nowhere", text)
