"""Who may call what: each method's callers are named, and nobody else is let in."""

import pytest

from myx.registry.v1 import agent_service_pb2, credential_service_pb2, server_service_pb2
from myx_kit.errors import MyxError, PermissionDenied
from myx_kit.rpc.client import translate_errors
from myx_kit.settings import SERVICE_NAMES
from myx_registry.rpc import ALLOWED

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ("gateway", "executor", "heartbeat", "standalone", "nats")
MODULES = {"servers": server_service_pb2, "agents": agent_service_pb2, "credentials": credential_service_pb2}
STUBS = {"servers": "ServerService", "agents": "AgentService", "credentials": "CredentialService"}
EXECUTOR_ONLY = {
    *("GetSshAccess", "RecordHostKey", "AcquireMaintenance", "ReleaseMaintenance", "GetAgentEndpoint"),
    "BatchGetAgentEndpoints",
    *("BeginRotation", "CommitRotation", "AbortRotation", "AbortReallocation", "RemoveAgent"),
}
GATEWAY_ONLY = {"TrustHostKey", "CreateCredential", "UpdateCredential", "DeleteCredential"}
OPEN = {
    *("GetServer", "ListServers", "CountServers", "GetAgent", "ListAgents"),
    *("ListAgentTransitions", "ListFactChanges", "QuerySeries"),
}
STREAMS = {"ResolveServers"}

METHODS = [
    (stub, method.name)
    for stub, module in MODULES.items()
    for method in module.DESCRIPTOR.services_by_name[STUBS[stub]].methods
]


def full_name(stub: str, method: str) -> str:
    return f"/myx.registry.v1.{STUBS[stub]}/{method}"


async def test_every_method_names_its_callers_or_is_meant_to_be_open() -> None:
    named = {full_name(stub, method) for stub, method in METHODS if method not in OPEN}
    assert named == set(ALLOWED)
    for stub, method in METHODS:
        if method in EXECUTOR_ONLY:
            assert ALLOWED[full_name(stub, method)] == {"executor"}
        if method in GATEWAY_ONLY:
            assert ALLOWED[full_name(stub, method)] == {"gateway"}


@pytest.mark.parametrize(("stub", "method"), METHODS)
async def test_a_method_lets_in_its_callers_and_nobody_else(registry, stub: str, method: str) -> None:
    request = getattr(MODULES[stub], f"{method}Request")()
    for service in SERVICES:
        reason = ""
        try:
            with translate_errors("registry"):
                call = getattr(getattr(registry.client(service), stub), method)(request, timeout=20)
                await (call.read() if method in STREAMS else call)
        except PermissionDenied as error:
            reason = error.reason
        except MyxError:
            pass
        name = full_name(stub, method)
        allowed = service in (SERVICE_NAMES if method in OPEN else ALLOWED[name])
        assert (reason == "") is allowed, (service, reason)
