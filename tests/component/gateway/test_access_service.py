"""The gateway answers other services what somebody may do."""

import pytest

from myx.gateway.v1.access_service_pb2 import CheckAccessRequest
from myx.gateway.v1.access_service_pb2_grpc import AccessServiceStub
from myx_kit.errors import PermissionDenied, Unauthenticated, Unavailable
from myx_kit.rpc.client import open_channel
from myx_testkit.ports import free_port


@pytest.fixture
def rpc_port() -> int:
    return free_port()


async def ask(port: int, tls_dir, caller: str, principal: str):
    channel = open_channel(f"127.0.0.1:{port}", tls_dir, caller, "gateway")
    try:
        request = CheckAccessRequest(principal=principal, operation="commands.run", server_ids=["a", "b"])
        return await AccessServiceStub(channel).CheckAccess(request, timeout=10)
    finally:
        await channel.close()


async def test_only_who_is_known_may_do_anything(start_gateway, rpc_port, tls_dir):
    async with start_gateway(rpc_listen=f"127.0.0.1:{rpc_port}"):
        allowed = await ask(rpc_port, tls_dir, "executor", "token:admin")
        assert (allowed.allowed, allowed.message) == (True, "")
        for stranger in ("token:gone", "", "token:admin ", "x" * 10_000):
            denied = await ask(rpc_port, tls_dir, "executor", stranger)
            assert not denied.allowed
            assert "may not do commands.run on 2 servers" in denied.message
            assert len(denied.message) < 400


@pytest.mark.parametrize("caller", ["registry", "heartbeat", "gateway"])
async def test_only_the_executor_may_ask(start_gateway, rpc_port, tls_dir, caller):
    async with start_gateway(rpc_listen=f"127.0.0.1:{rpc_port}"):
        with pytest.raises((PermissionDenied, Unauthenticated, Unavailable), match="CALLER_NOT_ALLOWED"):
            await ask(rpc_port, tls_dir, caller, "token:admin")
