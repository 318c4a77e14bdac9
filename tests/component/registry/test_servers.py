import asyncio

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from myx.registry.v1 import server_pb2
from myx.registry.v1 import server_service_pb2 as pb
from myx_kit.errors import Aborted, AlreadyExists, InvalidArgument, MyxError, NotFound, PermissionDenied
from myx_kit.ids import new_id
from myx_kit.pagination import encode_token

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def create(registry, name: str | None = None, **values) -> server_pb2.Server:
    request = pb.CreateServerRequest(name=name or registry.new_name(), **({"address": "192.0.2.7"} | values))
    return (await registry.client("gateway").servers.CreateServer(request)).server


async def update(registry, server: str, *paths: str, etag: str = "", **values) -> server_pb2.Server:
    request = pb.UpdateServerRequest(server=server, update_mask=FieldMask(paths=paths), etag=etag, **values)
    return (await registry.client("gateway").servers.UpdateServer(request)).server


async def get(registry, server: str) -> server_pb2.Server:
    return (await registry.client("gateway").servers.GetServer(pb.GetServerRequest(server=server))).server


async def test_a_server_is_found_by_id_and_by_name(registry) -> None:
    made = await create(registry, address="Web-1.Example.org", labels={"role": "web", "env": "prod"})
    assert made.address == "web-1.example.org"
    assert dict(made.labels) == {"role": "web", "env": "prod"}
    assert made.created_at == made.updated_at
    assert not made.HasField("agent")
    assert await get(registry, made.id) == made == await get(registry, made.name)


async def test_an_unknown_server_is_not_found(registry) -> None:
    for reference in (str(new_id()), "nowhere", "", "Ä", "x" * 5000, "a\0b", "'; drop table server; --"):
        with pytest.raises(NotFound) as caught:
            await get(registry, reference)
        assert caught.value.reason == "SERVER_NOT_FOUND"


@pytest.mark.parametrize(
    ("values", "reason", "field"),
    [
        ({"name": "Bad Name"}, "SERVER_NAME_INVALID", "name"),
        ({"address": ""}, "ADDRESS_INVALID", "address"),
        ({"address": "host:22"}, "ADDRESS_INVALID", "address"),
        ({"labels": {"a b": "c"}}, "LABEL_INVALID", "labels"),
        ({"request_id": "x" * 200}, "REQUEST_ID_INVALID", "request_id"),
    ],
)
async def test_bad_input_is_refused_naming_the_field(registry, values, reason: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await create(registry, **values)
    assert (caught.value.reason, caught.value.fields["field"]) == (reason, field)


async def test_a_name_is_given_once(registry) -> None:
    made = await create(registry)
    with pytest.raises(AlreadyExists, match="SERVER_NAME_TAKEN"):
        await create(registry, made.name)
    with pytest.raises(AlreadyExists, match="SERVER_NAME_TAKEN"):
        await create(registry, made.name, request_id=registry.new_name())


async def test_the_same_request_creates_one_server(registry) -> None:
    request_id, name = registry.new_name("request"), registry.new_name()
    made = await asyncio.gather(*(create(registry, name, request_id=request_id) for _ in range(8)))
    assert len({server.id for server in made}) == 1
    await update(registry, name, "address", address="192.0.2.8")
    assert (await create(registry, name, request_id=request_id)).address == "192.0.2.8"


async def test_a_request_id_with_other_content_is_refused(registry) -> None:
    request_id = registry.new_name("request")
    made = await create(registry, request_id=request_id)
    for values in ({"name": made.name, "address": "192.0.2.9"}, {"name": registry.new_name()}):
        with pytest.raises(Aborted, match="REQUEST_ID_REUSED"):
            await create(registry, request_id=request_id, **values)


async def test_an_update_changes_what_the_mask_names_only(registry) -> None:
    made = await create(registry, labels={"a": "1"})
    changed = await update(registry, made.id, "labels", labels={"b": "2"}, name="ignored", address="ignored")
    assert (changed.name, changed.address, dict(changed.labels)) == (made.name, made.address, {"b": "2"})
    assert changed.etag != made.etag
    assert changed.updated_at.ToNanoseconds() > made.updated_at.ToNanoseconds()
    renamed = await update(registry, made.id, "name", "address", name=registry.new_name(), address="2001:DB8::1")
    assert renamed.address == "2001:db8::1"
    assert await get(registry, renamed.name) == renamed
    assert dict((await update(registry, made.id, "labels")).labels) == {}


async def test_an_update_to_the_same_values_changes_nothing(registry) -> None:
    made = await create(registry)
    assert await update(registry, made.id, "name", "address", name=made.name, address=made.address) == made


async def test_of_two_updates_with_one_etag_one_is_lost(registry) -> None:
    made = await create(registry)
    outcomes = await asyncio.gather(
        *(update(registry, made.id, "address", address=f"192.0.2.{i}", etag=made.etag) for i in range(20, 28)),
        return_exceptions=True,
    )
    lost = [outcome for outcome in outcomes if isinstance(outcome, MyxError)]
    assert {(error.code, error.reason) for error in lost} == {("ABORTED", "ETAG_MISMATCH")}
    assert len(lost) == 7


async def test_updates_without_etag_all_succeed(registry) -> None:
    made = await create(registry)
    await asyncio.gather(*(update(registry, made.id, "address", address=f"192.0.2.{i}") for i in range(20, 28)))
    assert (await get(registry, made.id)).etag.endswith("-9")


async def test_bad_updates_are_refused_and_change_nothing(registry) -> None:
    made, other = await create(registry), await create(registry)
    for paths, values, reason in (
        ((), {}, "UPDATE_MASK_INVALID"),
        (("etag",), {}, "UPDATE_MASK_INVALID"),
        (("name", "id"), {"name": "x"}, "UPDATE_MASK_INVALID"),
        (("name",), {}, "SERVER_NAME_INVALID"),
        (("address",), {}, "ADDRESS_INVALID"),
        (("address", "labels"), {"address": "192.0.2.8", "labels": {"": ""}}, "LABEL_INVALID"),
        (("name",), {"name": other.name}, "SERVER_NAME_TAKEN"),
    ):
        with pytest.raises(MyxError, match=reason):
            await update(registry, made.id, *paths, **values)
    with pytest.raises(NotFound, match="SERVER_NOT_FOUND"):
        await update(registry, str(new_id()), "address", address="192.0.2.8")
    assert await get(registry, made.id) == made


async def test_a_deleted_server_is_gone_and_its_name_is_free(registry) -> None:
    made = await create(registry)
    client = registry.client("gateway").servers
    await client.DeleteServer(pb.DeleteServerRequest(server=made.name))
    for reference in (made.id, made.name):
        with pytest.raises(NotFound):
            await get(registry, reference)
        with pytest.raises(NotFound):
            await client.DeleteServer(pb.DeleteServerRequest(server=reference))
    again = await create(registry, made.name)
    assert again.id != made.id
    assert again.etag != made.etag


async def test_pages_hold_every_server_once_by_name(registry) -> None:
    names = {registry.new_name("page") for _ in range(25)}
    for name in names:
        await create(registry, name)
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListServersRequest(page_size=7, page_token=token)
        page = await registry.client("gateway").servers.ListServers(request)
        assert len(page.servers) <= 7
        seen += [server.name for server in page.servers]
        token = page.next_page_token
        if not token:
            break
    assert seen == sorted(seen)
    assert len(seen) == len(set(seen))
    assert names <= set(seen)


async def test_foreign_page_tokens_and_sizes_are_refused(registry) -> None:
    client = registry.client("gateway").servers
    forged = [encode_token("servers", key) for key in ("", "a\0", "\ud800", "Ä", "x" * 999)]
    for token in ("x", "Ä" * 9, encode_token("agents", "a"), encode_token("servers"), *forged):
        with pytest.raises(InvalidArgument, match="PAGE_TOKEN_INVALID"):
            await client.ListServers(pb.ListServersRequest(page_token=token))
    with pytest.raises(InvalidArgument, match="PAGE_SIZE_INVALID"):
        await client.ListServers(pb.ListServersRequest(page_size=-1))


async def test_heartbeat_may_read_but_not_change_servers(registry) -> None:
    made = await create(registry)
    client = registry.client("heartbeat").servers
    assert (await client.GetServer(pb.GetServerRequest(server=made.id))).server == made
    for call, request in (
        (client.CreateServer, pb.CreateServerRequest(name="x", address="192.0.2.7")),
        (client.UpdateServer, pb.UpdateServerRequest(server=made.id)),
        (client.DeleteServer, pb.DeleteServerRequest(server=made.id)),
    ):
        with pytest.raises(PermissionDenied, match="CALLER_NOT_ALLOWED"):
            await call(request)
