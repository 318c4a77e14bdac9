"""The gateway answers other services what somebody may do now."""

from typing import Any

import pytest
import pytest_asyncio
from people import call, new_user

from myx.gateway.v1.access_service_pb2 import CheckAccessRequest
from myx.gateway.v1.access_service_pb2_grpc import AccessServiceStub
from myx_kit.errors import PermissionDenied, Unauthenticated, Unavailable
from myx_kit.rpc.client import open_channel
from myx_testkit.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVERS = ("a", "b")


@pytest_asyncio.fixture(loop_scope="module")
async def rpc(start_gateway: Any) -> Any:
    """A gateway and the port at which other services ask it."""
    port = free_port()
    async with start_gateway(rpc_listen=f"127.0.0.1:{port}") as gateway:
        yield gateway, port


async def ask(
    port: int,
    tls_dir: Any,
    principal: str,
    operation: str = "commands.run",
    servers: tuple[str, ...] = SERVERS,
    caller: str = "executor",
) -> str:
    """Why not; empty: it may."""
    channel = open_channel(f"127.0.0.1:{port}", tls_dir, caller, "gateway")
    try:
        request = CheckAccessRequest(principal=principal, operation=operation, server_ids=servers)
        answer = await AccessServiceStub(channel).CheckAccess(request, timeout=10)
        assert answer.allowed == (not answer.message)
        return str(answer.message)
    finally:
        await channel.close()


async def test_it_follows_from_the_rights_of_now(rpc: Any, tls_dir: Any) -> None:
    gateway, port = rpc
    assert await ask(port, tls_dir, "token:admin") == ""
    for stranger in ("token:gone", "", "token:admin ", "user:nobody", "user:", "user:\0", "x" * 10_000):
        said = await ask(port, tls_dir, stranger)
        assert "is not known (any more) and may not do commands.run on 2 servers" in said
        assert len(said) < 400
    name = await new_user(gateway, "operator")
    assert await ask(port, tls_dir, f"user:{name}") == ""
    assert await ask(port, tls_dir, f"user:{name}", servers=()) == ""
    assert "is no admin" in await ask(port, tls_dir, f"user:{name}", "servers.delete")
    assert "is no operation" in await ask(port, tls_dir, f"user:{name}", "servers.explode")
    await call(gateway, "PATCH", f"/users/{name}", {"grants": [{"role": "viewer"}]})
    assert await ask(port, tls_dir, f"user:{name}") == f"user:{name} is no operator (any more)"
    await call(gateway, "PATCH", f"/users/{name}", {"grants": [{"role": "operator"}], "disabled": True})
    assert "is not known (any more)" in await ask(port, tls_dir, f"user:{name}")
    await call(gateway, "PATCH", f"/users/{name}", {"disabled": False})
    assert await ask(port, tls_dir, f"user:{name}") == ""
    await call(gateway, "DELETE", f"/users/{name}")
    assert "is not known (any more)" in await ask(port, tls_dir, f"user:{name}")


async def test_a_restricted_user_may_only_where_the_registry_says_that_the_selector_matches(
    rpc: Any, backend: Any, tls_dir: Any
) -> None:
    gateway, port = rpc
    name = await new_user(gateway, "operator", "env=prod")
    # The fake registry says that every selector matches this one.
    matched, other = "0192e4a0-0000-7000-8000-0000000000a1", "0192e4a0-0000-7000-8000-0000000000a2"
    assert await ask(port, tls_dir, f"user:{name}", servers=(matched,)) == ""
    said = await ask(port, tls_dir, f"user:{name}", servers=(matched, other))
    assert said == f"user:{name} is no operator on 1 of 2 servers"
    assert any("env=prod" in request.selector for request in backend.requests["ResolveServers"])


@pytest.mark.parametrize("caller", ["registry", "heartbeat", "gateway"])
async def test_only_the_executor_may_ask(rpc: Any, tls_dir: Any, caller: str) -> None:
    with pytest.raises((PermissionDenied, Unauthenticated, Unavailable), match="CALLER_NOT_ALLOWED"):
        await ask(rpc[1], tls_dir, "token:admin", caller=caller)
