"""Named credentials: what goes in never comes out but to the executor."""

import asyncio
import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from myx.registry.v1 import credential_service_pb2 as pb
from myx.registry.v1.credential_pb2 import CREDENTIAL_TYPE_PASSWORD, CREDENTIAL_TYPE_PRIVATE_KEY, CredentialSecret
from myx.registry.v1.server_pb2 import SshSettings
from myx_kit.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, MyxError, NotFound
from myx_kit.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")


def new_key(passphrase: str = "") -> str:
    lock = form.BestAvailableEncryption(passphrase.encode()) if passphrase else form.NoEncryption()
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, lock).decode()


async def user_of(registry, credential: str) -> str:
    return (await registry.create(ssh=SshSettings(credential=credential))).name


async def test_a_password_is_kept_and_not_shown(registry) -> None:
    made = await registry.create_credential(password="pass word", user="admin", sudo_password="for sudo")
    assert (made.type, made.user, made.has_sudo_password) == (CREDENTIAL_TYPE_PASSWORD, "admin", True)
    assert (made.has_passphrase, made.public_key_fingerprint, made.used_by_count) == (False, "", 0)
    assert await registry.get_credential(made.id) == made == await registry.get_credential(made.name)
    assert "pass word" not in str(made)


async def test_a_private_key_is_known_by_its_fingerprint(registry) -> None:
    text = new_key("phrase")
    made = await registry.create_credential(private_key=text.replace("\n", "\r\n"), passphrase="phrase")
    assert (made.type, made.has_passphrase) == (CREDENTIAL_TYPE_PRIVATE_KEY, True)
    assert made.public_key_fingerprint.startswith("SHA256:")
    (hop,) = await registry.way(await user_of(registry, made.name))
    assert hop.secret == CredentialSecret(private_key=text, passphrase="phrase")


async def test_bad_secrets_are_refused_naming_the_field(registry) -> None:
    for values, field in (
        ({"user": "root"}, "secret"),
        ({"private_key": new_key("phrase")}, "secret.passphrase"),
        ({"private_key": new_key("phrase"), "passphrase": "other"}, "secret.passphrase"),
        ({"private_key": new_key()[:200]}, "secret.private_key"),
        ({"password": "x" * 5000}, "secret.password"),
    ):
        with pytest.raises(InvalidArgument, match="CREDENTIAL_INVALID") as caught:
            await registry.create_credential(**values)
        assert caught.value.fields["field"] == field
    for name in ("", "A b", str(new_id()), "x" * 64):
        request = pb.CreateCredentialRequest(name=name, secret=CredentialSecret(password="x"))
        with pytest.raises(InvalidArgument, match="CREDENTIAL_NAME_INVALID"):
            await registry.client("gateway").credentials.CreateCredential(request)


async def test_the_same_request_creates_one_credential(registry) -> None:
    name, request_id = registry.new_name("c"), registry.new_name("r")
    made = await asyncio.gather(
        *(registry.create_credential(name, request_id=request_id, password="x") for _ in range(8))
    )
    assert len({one.id for one in made}) == 1
    for values in ({"password": "y"}, {"password": "x", "user": "me"}):
        with pytest.raises(Aborted, match="REQUEST_ID_REUSED"):
            await registry.create_credential(name, request_id=request_id, **values)
    with pytest.raises(AlreadyExists, match="CREDENTIAL_NAME_TAKEN"):
        await registry.create_credential(name, request_id=registry.new_name("r"))


async def test_a_changed_secret_is_what_all_its_servers_use(registry) -> None:
    made = await registry.create_credential(password="old")
    users = [await user_of(registry, made.name) for _ in range(2)]
    changed = await registry.update_credential(
        made.id, "secret", "name", secret=CredentialSecret(private_key=new_key(), user="ops"), name=made.name + "-x"
    )
    assert (changed.type, changed.user, changed.name) == (CREDENTIAL_TYPE_PRIVATE_KEY, "ops", made.name + "-x")
    assert (changed.used_by_count, list(changed.used_by)) == (2, sorted(users))
    for user in users:
        assert (await registry.way(user))[0].secret.private_key.startswith("-----BEGIN OPENSSH")
        assert (await registry.get(user)).ssh.credential == changed.name


async def test_an_update_to_the_same_values_changes_nothing(registry) -> None:
    made = await registry.create_credential(password="same")
    again = await registry.update_credential(
        made.id, "secret", "name", secret=CredentialSecret(password="same"), name=made.name
    )
    assert again == made


async def test_of_two_updates_with_one_etag_one_is_lost(registry) -> None:
    made = await registry.create_credential()
    outcomes = await asyncio.gather(
        *(
            registry.update_credential(made.id, "secret", secret=CredentialSecret(password=str(i)), etag=made.etag)
            for i in range(6)
        ),
        return_exceptions=True,
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, MyxError)]
    assert ({error.reason for error in lost}, len(lost)) == ({"ETAG_MISMATCH"}, 5)


async def test_a_credential_that_was_changed_since_is_not_removed(registry) -> None:
    made = await registry.create_credential()
    changed = await registry.update_credential(made.id, "secret", secret=CredentialSecret(password="new"))
    with pytest.raises(MyxError, match="ETAG_MISMATCH"):
        await registry.delete_credential(made.id, etag=made.etag)
    assert await registry.get_credential(made.id) == changed
    await registry.delete_credential(made.id, etag=changed.etag)
    with pytest.raises(MyxError, match="CREDENTIAL_NOT_FOUND"):
        await registry.get_credential(made.id)


async def test_bad_updates_change_nothing(registry) -> None:
    made, other = await registry.create_credential(), await registry.create_credential()
    for paths, values, reason in (
        ((), {}, "UPDATE_MASK_INVALID"),
        (("user",), {}, "UPDATE_MASK_INVALID"),
        (("secret",), {}, "CREDENTIAL_INVALID"),
        (("name",), {"name": "A"}, "CREDENTIAL_NAME_INVALID"),
        (("name",), {"name": other.name}, "CREDENTIAL_NAME_TAKEN"),
    ):
        with pytest.raises(MyxError, match=reason):
            await registry.update_credential(made.id, *paths, **values)
    with pytest.raises(NotFound, match="CREDENTIAL_NOT_FOUND"):
        await registry.update_credential(str(new_id()), "name", name="x")
    assert await registry.get_credential(made.id) == made


async def test_one_in_use_goes_only_by_force(registry) -> None:
    made = await registry.create_credential()
    user = await registry.create(ssh=SshSettings(credential=made.name, user="ops"))
    with pytest.raises(FailedPrecondition, match="CREDENTIAL_IN_USE") as caught:
        await registry.delete_credential(made.name)
    assert caught.value.fields["used_by"] == user.name
    await registry.delete_credential(made.name, force=True)
    seen = await registry.get(user.id)
    assert (seen.ssh.credential, seen.ssh.has_credential, seen.ssh.user) == ("", False, "ops")
    assert seen.etag != user.etag
    with pytest.raises(NotFound, match="CREDENTIAL_NOT_FOUND"):
        await registry.delete_credential(made.id)


async def test_beginning_to_use_one_while_it_goes_ends_one_way_or_the_other(registry) -> None:
    for _ in range(10):
        made, server = await registry.create_credential(), await registry.create()
        outcomes = await asyncio.gather(
            registry.update(server.id, "ssh", ssh=SshSettings(credential=made.name)),
            registry.delete_credential(made.id),
            return_exceptions=True,
        )
        reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, BaseException)]
        assert reasons in (["CREDENTIAL_NOT_FOUND"], ["CREDENTIAL_IN_USE"])


async def test_own_credentials_are_not_among_the_named_ones(registry) -> None:
    made = {(await registry.create_credential()).name for _ in range(5)}
    await registry.create(own_credential=CredentialSecret(password="own"))
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListCredentialsRequest(page_size=3, page_token=token)
        page = await registry.client("gateway").credentials.ListCredentials(request)
        seen += [one.name for one in page.credentials]
        if not (token := page.next_page_token):
            break
    assert "" not in seen
    assert seen == sorted(set(seen))
    assert made <= set(seen)


async def test_no_secret_of_a_credential_is_stored_or_told_in_plain(registry, capfd) -> None:
    secrets = ["hidden-password", "hidden-sudo", "hidden-phrase", "hidden-own"]
    text = new_key("hidden-phrase")
    secrets += [line for line in text.splitlines()[1:-1] if len(line) > 20]
    request_id = registry.new_name("r")
    named = await registry.create_credential(
        password="hidden-password", sudo_password="hidden-sudo", request_id=request_id
    )
    key = await registry.create_credential(private_key=text, passphrase="hidden-phrase")
    own = CredentialSecret(password="hidden-own")
    server = await registry.create(own_credential=own, request_id=registry.new_name("r"))
    errors: list[str] = []
    for values in (
        {"private_key": text, "passphrase": "hidden-own"},
        {"password": "hidden-password", "private_key": text},
        {"password": "hidden-password\n"},
        {"private_key": text[:-40], "passphrase": "hidden-phrase"},
    ):
        with pytest.raises(InvalidArgument) as caught:
            await registry.create_credential(**values)
        errors.append(f"{caught.value!r} {caught.value.fields}")
    with pytest.raises(Aborted) as aborted:
        await registry.create_credential(named.name, request_id=request_id, password="hidden-own")
    errors.append(repr(aborted.value))
    shown = "".join(str(one) for one in (named, key, server, *errors))
    told = capfd.readouterr()
    stored = registry.stored()
    for secret in secrets:
        forms = [secret, base64.b64encode(secret.encode()).decode(), json.dumps(secret)]
        assert not any(text in shown + told.out + told.err for text in forms)
        assert not any(text.encode() in stored or text.encode().hex().encode() in stored for text in forms)
