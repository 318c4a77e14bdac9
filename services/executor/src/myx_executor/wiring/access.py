"""Whom the executor asks what somebody may do."""

from contextlib import AsyncExitStack

from myx.gateway.v1.access_service_pb2_grpc import AccessServiceStub
from myx_executor.adapters.access import GatewayAccess
from myx_executor.settings import ExecutorSettings
from myx_executor.usecases.schedules.ports import Access
from myx_kit.rpc.client import open_channel

_OWN_NAME = "executor"


def open_access(settings: ExecutorSettings, stack: AsyncExitStack) -> Access | None:
    """The gateway, closed by the stack; None when the settings name none."""
    if not settings.gateway_target:
        return None
    channel = open_channel(settings.gateway_target, settings.tls_dir, _OWN_NAME, "gateway")
    stack.push_async_callback(channel.close)
    return GatewayAccess(AccessServiceStub(channel))
