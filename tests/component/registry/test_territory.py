"""Who may not administer all servers changes only what they administer, before and after."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from myx.registry.v1 import server_pb2
from myx.registry.v1 import server_service_pb2 as rpc
from myx.registry.v1.credential_pb2 import CredentialSecret
from myx_kit.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied

pytestmark = pytest.mark.asyncio(loop_scope="module")
REQUIRED = "team=a"


async def create(registry, required=REQUIRED, **values):
    request = rpc.CreateServerRequest(
        **{"name": registry.new_name(), "address": "10.0.0.1", "labels": {"team": "a"}, "required_selector": required}
        | values
    )
    return (await registry.client("gateway").servers.CreateServer(request)).server


async def update(registry, server, *paths, required=REQUIRED, **values):
    request = rpc.UpdateServerRequest(
        server=server, update_mask=FieldMask(paths=paths), required_selector=required, **values
    )
    return (await registry.client("gateway").servers.UpdateServer(request)).server


async def get(registry, server):
    return (await registry.client("gateway").servers.GetServer(rpc.GetServerRequest(server=server))).server


async def refused(coroutine):
    with pytest.raises(PermissionDenied) as caught:
        await coroutine
    assert caught.value.reason == "FORBIDDEN"


async def test_a_new_server_must_be_one_of_them(registry):
    assert (await create(registry)).labels == {"team": "a"}
    name = registry.new_name()
    await refused(create(registry, name=name, labels={"team": "b"}))
    await refused(create(registry, name=name, labels={}))
    with pytest.raises(NotFound):
        await get(registry, name)


async def test_labels_are_changed_only_within(registry):
    server = await create(registry)
    assert (await update(registry, server.id, "labels", labels={"team": "a", "x": "y"})).labels["x"] == "y"
    await refused(update(registry, server.id, "labels", labels={"team": "b"}))
    assert (await get(registry, server.id)).labels == {"team": "a", "x": "y"}


async def test_what_is_not_theirs_is_not_taken(registry):
    server = await create(registry, required="", labels={"team": "b"})
    await refused(update(registry, server.id, "labels", labels={"team": "a"}))
    await refused(update(registry, server.id, "name", name=registry.new_name()))
    request = rpc.DeleteServerRequest(server=server.id, required_selector=REQUIRED)
    await refused(registry.client("gateway").servers.DeleteServer(request))
    assert (await get(registry, server.id)).labels == {"team": "b"}


async def test_a_name_counts_as_well_as_a_label(registry):
    server = await create(registry, required="", name=f"web-{registry.new_name()}")
    await refused(update(registry, server.id, "name", required="name ~ 'web-*'", name=registry.new_name("db")))
    assert (await get(registry, server.id)).name == server.name


async def test_one_of_them_is_removed(registry):
    server = await create(registry)
    request = rpc.DeleteServerRequest(server=server.id, required_selector=REQUIRED)
    await registry.client("gateway").servers.DeleteServer(request)
    with pytest.raises(NotFound):
        await get(registry, server.id)


async def test_a_shared_password_cannot_be_sent_to_a_machine_of_ones_own(registry):
    credential = await registry.create_credential()
    shared = server_pb2.SshSettings(credential=credential.name)
    await refused(create(registry, ssh=shared))
    server = await create(registry, required="", ssh=shared)
    await refused(update(registry, server.id, "address", address="10.9.9.9"))
    await refused(update(registry, server.id, "ssh", ssh=server_pb2.SshSettings(address="10.9.9.9")))
    await refused(
        update(registry, server.id, "ssh", ssh=server_pb2.SshSettings(credential=credential.name, address="10.9.9.9"))
    )
    assert (await get(registry, server.id)).address == "10.0.0.1"
    own = await create(registry, own_credential=CredentialSecret(password="x"))
    assert (await update(registry, own.id, "address", address="10.0.0.2")).address == "10.0.0.2"
    await refused(update(registry, own.id, "ssh", ssh=shared))


async def test_no_way_over_the_servers_of_others(registry):
    jump = await create(registry, required="", labels={"team": "b"})
    over = server_pb2.SshSettings(jump_servers=[jump.id])
    await refused(create(registry, ssh=over))
    server = await create(registry)
    await refused(update(registry, server.id, "ssh", ssh=over))


async def test_a_repeated_creation_does_not_show_what_was_taken_away(registry):
    name, request_id = registry.new_name(), registry.new_name("r")
    server = await create(registry, name=name, request_id=request_id)
    assert (await create(registry, name=name, request_id=request_id)).id == server.id
    await update(registry, server.id, "labels", required="", labels={"team": "b"})
    await refused(create(registry, name=name, request_id=request_id))


async def test_a_wrong_selector_stops_everything(registry):
    server = await create(registry)
    with pytest.raises(InvalidArgument):
        await update(registry, server.id, "labels", required="team=", labels={"team": "a"})


async def trust(registry, server, required=REQUIRED):
    request = rpc.TrustHostKeyRequest(server=server, fingerprint="SHA256:" + "A" * 43, required_selector=required)
    return (await registry.client("gateway").servers.TrustHostKey(request)).server


async def test_the_way_to_others_does_not_change_under_them(registry):
    jump = await create(registry, own_credential=CredentialSecret(password="x"))
    credential = await registry.create_credential()
    over = server_pb2.SshSettings(credential=credential.name, jump_servers=[jump.id])
    behind = await create(registry, required="", labels={"team": "b"}, ssh=over)
    before = await get(registry, jump.id)
    await refused(update(registry, jump.id, "address", address="10.9.9.9"))
    await refused(update(registry, jump.id, "ssh", ssh=server_pb2.SshSettings(port=2222)))
    await refused(update(registry, jump.id, "own_credential", own_credential=CredentialSecret(password="mine")))
    await refused(update(registry, jump.id, "own_credential"))
    await refused(update(registry, jump.id, "accept_new_host_key", accept_new_host_key=True))
    await refused(trust(registry, jump.id))
    assert await get(registry, jump.id) == before
    # What is no way stays theirs.
    assert (await update(registry, jump.id, "labels", labels={"team": "a", "x": "y"})).labels["x"] == "y"
    await update(registry, jump.id, "address", required="", address="10.0.0.9")
    await update(registry, behind.id, "ssh", required="", ssh=server_pb2.SshSettings())
    assert (await update(registry, jump.id, "address", address="10.0.0.3")).address == "10.0.0.3"


async def test_no_other_host_is_trusted_with_a_shared_password(registry):
    credential = await registry.create_credential()
    shared = await create(registry, required="", ssh=server_pb2.SshSettings(credential=credential.name))
    await refused(trust(registry, shared.id))
    await refused(update(registry, shared.id, "accept_new_host_key", accept_new_host_key=True))
    assert not (await get(registry, shared.id)).HasField("host_key")
    assert (await trust(registry, shared.id, required="")).HasField("host_key")
    others = await create(registry, required="", labels={"team": "b"})
    await refused(trust(registry, others.id))
    own = await create(registry)
    assert (await trust(registry, own.id)).HasField("host_key")


async def test_what_is_reached_through_a_server_is_named_only_to_who_administers_all(registry):
    jump = await create(registry)
    hidden = await create(
        registry, required="", labels={"team": "b"}, ssh=server_pb2.SshSettings(jump_servers=[jump.id])
    )
    for required, is_named in ((REQUIRED, False), ("", True)):
        request = rpc.DeleteServerRequest(server=jump.id, required_selector=required)
        with pytest.raises(FailedPrecondition) as caught:
            await registry.client("gateway").servers.DeleteServer(request)
        assert caught.value.reason == "JUMP_SERVER_IN_USE"
        assert (hidden.name in f"{caught.value.message} {caught.value.fields}") == is_named
