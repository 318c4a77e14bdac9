"""SSH settings, own credentials, the way to a host."""

import pytest

from myx.registry.v1 import server_pb2
from myx.registry.v1 import server_service_pb2 as pb
from myx.registry.v1.credential_pb2 import CredentialSecret
from myx.registry.v1.server_pb2 import SshSettings
from myx_kit.errors import Aborted, FailedPrecondition, InvalidArgument, MyxError, NotFound
from myx_kit.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = CredentialSecret(password="pass word", user="admin", sudo_password="for sudo")
FINGERPRINT = "SHA256:" + "A" * 43


async def test_a_server_keeps_how_it_is_reached(registry) -> None:
    credential = await registry.create_credential(user="deploy", password="x")
    first, second = await registry.create(), await registry.create()
    ssh = SshSettings(
        address="Bastion.Example.org",
        port=2222,
        user="ops",
        credential=credential.id,
        sudo=server_pb2.SUDO_MODE_ALWAYS,
        jump_servers=[second.name, first.id],
    )
    made = await registry.create(
        ssh=ssh,
        repair_policy=server_pb2.REPAIR_POLICY_ASK,
        host_key_fingerprint=FINGERPRINT,
        accept_new_host_key=True,
        requested_by="token:admin",
    )
    seen = await registry.get(made.name)
    assert seen == made
    assert (seen.ssh.address, seen.ssh.port, seen.ssh.user) == ("bastion.example.org", 2222, "ops")
    assert (seen.ssh.credential, seen.ssh.sudo, seen.ssh.has_credential) == (credential.name, ssh.sudo, True)
    assert list(seen.ssh.jump_servers) == [second.name, first.name]
    assert seen.repair_policy == server_pb2.REPAIR_POLICY_ASK
    assert seen.accept_new_host_key
    key = seen.host_key
    assert (key.fingerprint, key.public_key, key.accepted_by, key.how) == (
        FINGERPRINT,
        "",
        "token:admin",
        "fingerprint",
    )
    names = {server.name: server for server in await listed(registry)}
    assert names[made.name] == seen


async def listed(registry) -> list[server_pb2.Server]:
    page = await registry.client("gateway").servers.ListServers(pb.ListServersRequest(page_size=1000))
    return list(page.servers)


async def test_without_settings_the_defaults_hold(registry) -> None:
    made = await registry.create()
    assert made.ssh == SshSettings(port=22, sudo=server_pb2.SUDO_MODE_AUTO)
    assert made.repair_policy == server_pb2.REPAIR_POLICY_AUTOMATIC
    assert not made.HasField("host_key")
    assert not made.HasField("maintenance")


@pytest.mark.parametrize(
    ("values", "reason", "field"),
    [
        ({"ssh": SshSettings(port=65536)}, "SSH_INVALID", "ssh.port"),
        ({"ssh": SshSettings(port=-1)}, "SSH_INVALID", "ssh.port"),
        ({"ssh": SshSettings(user="-oProxyCommand=x")}, "SSH_INVALID", "ssh.user"),
        ({"ssh": SshSettings(user="a b")}, "SSH_INVALID", "ssh.user"),
        ({"ssh": SshSettings(address="a b")}, "ADDRESS_INVALID", "ssh.address"),
        ({"ssh": SshSettings(sudo=77)}, "SSH_INVALID", "ssh.sudo"),
        ({"ssh": SshSettings(credential="No Name")}, "SSH_INVALID", "ssh.credential"),
        ({"ssh": SshSettings(jump_servers=["A"])}, "SSH_INVALID", "ssh.jump_servers"),
        ({"ssh": SshSettings(jump_servers=list("abcde"))}, "SSH_INVALID", "ssh.jump_servers"),
        ({"ssh": SshSettings(credential="nowhere")}, "CREDENTIAL_NOT_FOUND", "ssh.credential"),
        ({"ssh": SshSettings(jump_servers=["nowhere"])}, "JUMP_SERVER_NOT_FOUND", "ssh.jump_servers"),
        ({"repair_policy": 9}, "REPAIR_POLICY_INVALID", "repair_policy"),
        ({"host_key_fingerprint": "MD5:00"}, "HOST_KEY_INVALID", "host_key_fingerprint"),
        ({"own_credential": CredentialSecret()}, "CREDENTIAL_INVALID", "own_credential"),
        ({"own_credential": CredentialSecret(password="a\nb")}, "CREDENTIAL_INVALID", "own_credential.password"),
        ({"own_credential": CredentialSecret(private_key="x")}, "CREDENTIAL_INVALID", "own_credential.private_key"),
        ({"requested_by": "x" * 201}, "ACTOR_INVALID", "requested_by"),
    ],
)
async def test_what_cannot_be_meant_is_refused_naming_the_field(registry, values, reason, field) -> None:
    with pytest.raises(MyxError) as caught:
        await registry.create(**values)
    assert (caught.value.reason, caught.value.fields["field"]) == (reason, field)


async def test_an_own_credential_opens_the_way_and_is_seen_by_nobody_else(registry) -> None:
    made = await registry.create(own_credential=PASSWORD)
    assert made.ssh.has_credential
    assert "pass word" not in str(made)
    (hop,) = await registry.way(made.id)
    assert hop.secret == PASSWORD
    assert (hop.server_name, hop.address, hop.port, hop.user) == (made.name, "192.0.2.7", 22, "admin")


async def test_an_own_credential_is_replaced_and_taken_away(registry) -> None:
    made = await registry.create(own_credential=PASSWORD)
    same = await registry.update(made.id, "own_credential", own_credential=PASSWORD)
    assert same == made
    other = CredentialSecret(password="other")
    changed = await registry.update(made.id, "own_credential", own_credential=other, etag=made.etag)
    assert changed.etag != made.etag
    (hop,) = await registry.way(made.id)
    assert (hop.secret, hop.user) == (other, "root")
    gone = await registry.update(made.id, "own_credential")
    assert not gone.ssh.has_credential
    assert await registry.update(made.id, "own_credential") == gone
    with pytest.raises(FailedPrecondition, match="NO_SSH_CREDENTIAL") as caught:
        await registry.way(made.id)
    assert caught.value.fields["server"] == made.name


async def test_a_named_credential_goes_before_the_own_one(registry) -> None:
    named = await registry.create_credential(password="named", user="shared")
    made = await registry.create(own_credential=PASSWORD, ssh=SshSettings(credential=named.name))
    (hop,) = await registry.way(made.id)
    assert (hop.secret.password, hop.user) == ("named", "shared")
    await registry.update(made.id, "ssh", ssh=SshSettings(user="me", port=2200))
    (hop,) = await registry.way(made.id)
    assert (hop.secret.password, hop.user, hop.port) == ("pass word", "me", 2200)


async def test_a_repeated_request_may_carry_a_secret_and_a_reused_one_not_another(registry) -> None:
    name, request_id = registry.new_name(), registry.new_name("r")
    made = await registry.create(name, own_credential=PASSWORD, request_id=request_id)
    assert await registry.create(name, own_credential=PASSWORD, request_id=request_id) == made
    other = CredentialSecret(password="pass-word", user="admin", sudo_password="for sudo")
    for values in ({"own_credential": other}, {}, {"own_credential": PASSWORD, "accept_new_host_key": True}):
        with pytest.raises(Aborted, match="REQUEST_ID_REUSED"):
            await registry.create(name, request_id=request_id, **values)


async def test_only_what_the_mask_names_changes(registry) -> None:
    made = await registry.create(ssh=SshSettings(user="ops"), accept_new_host_key=True)
    changed = await registry.update(made.id, "repair_policy", repair_policy=server_pb2.REPAIR_POLICY_OFF)
    assert changed.etag != made.etag
    assert (changed.ssh, changed.accept_new_host_key) == (made.ssh, True)
    assert not (await registry.update(made.id, "accept_new_host_key")).accept_new_host_key
    assert (await registry.update(made.id, "ssh")).ssh == SshSettings(port=22, sudo=server_pb2.SUDO_MODE_AUTO)


async def test_the_way_leads_over_jump_servers_as_openssh_would_go(registry) -> None:
    outer = await registry.create(own_credential=PASSWORD)
    gate = await registry.create(own_credential=PASSWORD, ssh=SshSettings(jump_servers=[outer.id]))
    inner = await registry.create(own_credential=PASSWORD, ssh=SshSettings(jump_servers=[outer.id]))
    host = await registry.create(own_credential=PASSWORD, ssh=SshSettings(jump_servers=[gate.name, inner.name]))
    hops = await registry.way(host.name)
    assert [hop.server_name for hop in hops] == [outer.name, gate.name, inner.name, host.name]


async def test_every_hop_needs_a_credential(registry) -> None:
    gate = await registry.create()
    host = await registry.create(own_credential=PASSWORD, ssh=SshSettings(jump_servers=[gate.name]))
    with pytest.raises(FailedPrecondition, match="NO_SSH_CREDENTIAL") as caught:
        await registry.way(host.name)
    assert caught.value.fields["server"] == gate.name


async def test_a_loop_is_refused_and_nothing_is_stored(registry) -> None:
    a = await registry.create(own_credential=PASSWORD)
    b = await registry.create(own_credential=PASSWORD, ssh=SshSettings(jump_servers=[a.id]))
    c = await registry.create(own_credential=PASSWORD, ssh=SshSettings(jump_servers=[b.id]))
    for target, jump in ((a, a), (a, b), (a, c)):
        with pytest.raises(FailedPrecondition, match="JUMP_LOOP"):
            await registry.update(target.id, "ssh", ssh=SshSettings(jump_servers=[jump.id]))
    assert await registry.get(a.id) == a
    assert [hop.server_name for hop in await registry.way(c.id)] == [a.name, b.name, c.name]


async def test_a_way_has_at_most_five_hops(registry) -> None:
    last = await registry.create(own_credential=PASSWORD)
    for _ in range(4):
        last = await registry.create(own_credential=PASSWORD, ssh=SshSettings(jump_servers=[last.id]))
    assert len(await registry.way(last.id)) == 5
    too_far = await registry.create(own_credential=PASSWORD, ssh=SshSettings(jump_servers=[last.id]))
    with pytest.raises(FailedPrecondition, match="more than 5 hops"):
        await registry.way(too_far.id)


async def test_a_jump_server_cannot_be_removed_before_its_users(registry) -> None:
    gate = await registry.create()
    host = await registry.create(ssh=SshSettings(jump_servers=[gate.id]))
    with pytest.raises(FailedPrecondition, match="JUMP_SERVER_IN_USE") as caught:
        await registry.delete(gate.id)
    assert caught.value.fields["used_by"] == host.name
    await registry.delete(host.id)
    await registry.delete(gate.id)


async def test_a_renamed_jump_server_is_shown_by_its_name(registry) -> None:
    gate = await registry.create()
    host = await registry.create(ssh=SshSettings(jump_servers=[gate.id]))
    renamed = await registry.update(gate.id, "name", name=registry.new_name())
    assert list((await registry.get(host.id)).ssh.jump_servers) == [renamed.name]


async def test_a_server_is_removed_only_as_it_was_seen(registry) -> None:
    made = await registry.create(own_credential=PASSWORD)
    await registry.update(made.id, "address", address="192.0.2.8")
    with pytest.raises(Aborted, match="ETAG_MISMATCH"):
        await registry.delete(made.id, etag=made.etag)
    await registry.delete(made.id, etag=(await registry.get(made.id)).etag)
    with pytest.raises(NotFound):
        await registry.get(made.id)
    with pytest.raises(NotFound, match="SERVER_NOT_FOUND"):
        await registry.way(str(new_id()))


async def test_a_wrong_mask_is_refused(registry) -> None:
    made = await registry.create()
    for path in ("host_key", "maintenance", "ssh.user", "etag"):
        with pytest.raises(InvalidArgument, match="UPDATE_MASK_INVALID"):
            await registry.update(made.id, "ssh", path)
