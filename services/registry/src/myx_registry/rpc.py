"""gRPC servicers: decode, one use case, encode."""
# ruff: noqa: N802 - the methods have the names of the protos

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import grpc.aio

from myx.registry.v1 import agent_service_pb2 as agent_pb
from myx.registry.v1 import agent_service_pb2_grpc, credential_service_pb2_grpc, server_service_pb2_grpc
from myx.registry.v1 import credential_service_pb2 as credential_pb
from myx.registry.v1 import server_service_pb2 as server_pb
from myx_kit.wire_time import timestamp
from myx_registry.convert.agents import (
    agent_message,
    allocation_message,
    endpoint_message,
    heartbeat_reports,
    rotation_id,
    rotation_message,
)
from myx_registry.convert.credentials import credential_change, credential_message, secret
from myx_registry.convert.servers import (
    claim,
    counts_message,
    hop_message,
    host_key_message,
    maintenance_message,
    match_message,
    server_change,
    server_draft,
    server_message,
)
from myx_registry.convert.watching import (
    fact_change_message,
    metrics,
    range_of,
    series_response,
    transition_message,
)
from myx_registry.convert.wire import fitting, instant
from myx_registry.domain.credentials import checked_credential_name
from myx_registry.domain.host_keys import checked_fingerprint, shown_key
from myx_registry.domain.texts import checked_actor, checked_request_id
from myx_registry.usecases.agents import Agents
from myx_registry.usecases.credentials import Credentials
from myx_registry.usecases.heartbeats import Heartbeats
from myx_registry.usecases.host_keys import HostKeys
from myx_registry.usecases.identities import Identities
from myx_registry.usecases.maintenance import Leases
from myx_registry.usecases.relocations import Relocations
from myx_registry.usecases.rotations import Rotations
from myx_registry.usecases.selection import Selection
from myx_registry.usecases.servers import Servers
from myx_registry.usecases.ssh_access import SshAccess
from myx_registry.usecases.watching import Histories, Machines, Pauses

SERVER_SERVICE: Final = "myx.registry.v1.ServerService"
AGENT_SERVICE: Final = "myx.registry.v1.AgentService"
CREDENTIAL_SERVICE: Final = "myx.registry.v1.CredentialService"

# Callers by the name in their certificate; methods that are not named are open to every service.
ALLOWED: Final[dict[str, set[str]]] = {
    f"/{SERVER_SERVICE}/CreateServer": {"gateway", "executor", "standalone"},
    f"/{SERVER_SERVICE}/UpdateServer": {"gateway", "executor", "standalone"},
    f"/{SERVER_SERVICE}/DeleteServer": {"gateway", "executor", "standalone"},
    f"/{SERVER_SERVICE}/ResolveServers": {"gateway", "executor"},
    f"/{SERVER_SERVICE}/TrustHostKey": {"gateway"},
    f"/{SERVER_SERVICE}/RecordHostKey": {"executor"},
    f"/{SERVER_SERVICE}/GetSshAccess": {"executor"},
    f"/{SERVER_SERVICE}/AcquireMaintenance": {"executor"},
    f"/{SERVER_SERVICE}/ReleaseMaintenance": {"executor"},
    f"/{AGENT_SERVICE}/AllocateAgent": {"executor", "standalone"},
    f"/{AGENT_SERVICE}/GetAgentEndpoint": {"executor"},
    f"/{AGENT_SERVICE}/BatchGetAgentEndpoints": {"executor"},
    f"/{AGENT_SERVICE}/ListAgentEndpoints": {"heartbeat"},
    f"/{AGENT_SERVICE}/BeginRotation": {"executor"},
    f"/{AGENT_SERVICE}/CommitRotation": {"executor"},
    f"/{AGENT_SERVICE}/AbortRotation": {"executor"},
    f"/{AGENT_SERVICE}/ReallocateAgent": {"executor", "standalone"},
    f"/{AGENT_SERVICE}/CommitReallocation": {"executor", "standalone"},
    f"/{AGENT_SERVICE}/AbortReallocation": {"executor"},
    f"/{AGENT_SERVICE}/RemoveAgent": {"executor"},
    f"/{AGENT_SERVICE}/ReportHeartbeats": {"heartbeat"},
    f"/{AGENT_SERVICE}/PauseChecks": {"gateway"},
    f"/{AGENT_SERVICE}/ResumeChecks": {"gateway"},
    f"/{AGENT_SERVICE}/AcceptMachine": {"gateway", "executor"},
    f"/{CREDENTIAL_SERVICE}/CreateCredential": {"gateway"},
    f"/{CREDENTIAL_SERVICE}/GetCredential": {"gateway", "executor"},
    f"/{CREDENTIAL_SERVICE}/ListCredentials": {"gateway", "executor"},
    f"/{CREDENTIAL_SERVICE}/UpdateCredential": {"gateway"},
    f"/{CREDENTIAL_SERVICE}/DeleteCredential": {"gateway"},
}

# What other teams' programs may use where they are let in.
READS: Final = (
    *(f"/{SERVER_SERVICE}/{method}" for method in ("GetServer", "ListServers", "CountServers")),
    *(f"/{AGENT_SERVICE}/{method}" for method in ("GetAgent", "ListAgents", "ListAgentTransitions")),
    *(f"/{AGENT_SERVICE}/{method}" for method in ("ListFactChanges", "QuerySeries")),
)

# Servers in one piece of a stream: below the 16 MiB that a message may have, whatever their labels are.
_PIECE: Final = 500

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class ServerServicer(server_service_pb2_grpc.ServerServiceServicer):
    """Managed hosts."""

    def __init__(
        self, servers: Servers, selection: Selection, host_keys: HostKeys, access: SshAccess, leases: Leases
    ) -> None:
        self._servers = servers
        self._selection = selection
        self._host_keys = host_keys
        self._access = access
        self._leases = leases

    async def CreateServer(self, request: server_pb.CreateServerRequest, _: Context) -> server_pb.CreateServerResponse:
        draft, request_id = server_draft(request), checked_request_id(request.request_id)
        actor = checked_actor(request.requested_by)
        view = await self._servers.create(draft, request_id, actor, request.required_selector)
        return server_pb.CreateServerResponse(server=server_message(view))

    async def GetServer(self, request: server_pb.GetServerRequest, _: Context) -> server_pb.GetServerResponse:
        return server_pb.GetServerResponse(server=server_message(await self._servers.get(request.server)))

    async def ListServers(self, request: server_pb.ListServersRequest, _: Context) -> server_pb.ListServersResponse:
        page = await self._servers.list(request.page_size, request.page_token, request.selector)
        messages = fitting(server_message(view) for view in page.items)
        return server_pb.ListServersResponse(servers=messages, next_page_token=page.token_after(len(messages)))

    async def CountServers(self, request: server_pb.CountServersRequest, _: Context) -> server_pb.CountServersResponse:
        return counts_message(await self._servers.count(request.selector))

    async def ResolveServers(
        self, request: server_pb.ResolveServersRequest, _: Context
    ) -> AsyncIterator[server_pb.ResolveServersResponse]:
        found = await self._selection.resolve(request.selector, request.servers)
        for start in range(0, len(found), _PIECE):
            messages = [match_message(match) for match in found[start : start + _PIECE]]
            yield server_pb.ResolveServersResponse(servers=messages)

    async def UpdateServer(self, request: server_pb.UpdateServerRequest, _: Context) -> server_pb.UpdateServerResponse:
        change, required = server_change(request), request.required_selector
        view = await self._servers.update(request.server, change, request.etag, required)
        return server_pb.UpdateServerResponse(server=server_message(view))

    async def DeleteServer(self, request: server_pb.DeleteServerRequest, _: Context) -> server_pb.DeleteServerResponse:
        await self._servers.delete(request.server, request.etag, request.required_selector)
        return server_pb.DeleteServerResponse()

    async def TrustHostKey(self, request: server_pb.TrustHostKeyRequest, _: Context) -> server_pb.TrustHostKeyResponse:
        fingerprint, actor = (
            checked_fingerprint(request.fingerprint, "fingerprint"),
            checked_actor(request.requested_by),
        )
        view = await self._host_keys.trust(request.server, fingerprint, actor, request.required_selector)
        return server_pb.TrustHostKeyResponse(server=server_message(view))

    async def RecordHostKey(
        self, request: server_pb.RecordHostKeyRequest, _: Context
    ) -> server_pb.RecordHostKeyResponse:
        key = await self._host_keys.record(request.server, shown_key(request.public_key))
        return server_pb.RecordHostKeyResponse(host_key=host_key_message(key))

    async def GetSshAccess(self, request: server_pb.GetSshAccessRequest, _: Context) -> server_pb.GetSshAccessResponse:
        hops = await self._access.get(request.server)
        return server_pb.GetSshAccessResponse(hops=[hop_message(hop) for hop in hops])

    async def AcquireMaintenance(
        self, request: server_pb.AcquireMaintenanceRequest, _: Context
    ) -> server_pb.AcquireMaintenanceResponse:
        held = await self._leases.acquire(request.server, claim(request))
        return server_pb.AcquireMaintenanceResponse(maintenance=maintenance_message(held))

    async def ReleaseMaintenance(
        self, request: server_pb.ReleaseMaintenanceRequest, _: Context
    ) -> server_pb.ReleaseMaintenanceResponse:
        await self._leases.release(request.server, request.holder)
        return server_pb.ReleaseMaintenanceResponse()


@dataclass(frozen=True, slots=True)
class AgentCases:
    """The use cases behind the service of agents."""

    agents: Agents
    identities: Identities
    rotations: Rotations
    relocations: Relocations
    heartbeats: Heartbeats
    histories: Histories
    pauses: Pauses
    machines: Machines


class AgentServicer(agent_service_pb2_grpc.AgentServiceServicer):
    """Agents: identity, connection data, last known state."""

    def __init__(self, cases: AgentCases) -> None:
        self._cases = cases

    async def GetAgent(self, request: agent_pb.GetAgentRequest, _: Context) -> agent_pb.GetAgentResponse:
        return agent_pb.GetAgentResponse(agent=agent_message(await self._cases.agents.get(request.server)))

    async def ListAgents(self, request: agent_pb.ListAgentsRequest, _: Context) -> agent_pb.ListAgentsResponse:
        page = await self._cases.agents.list(request.page_size, request.page_token)
        messages = fitting(agent_message(agent) for agent in page.items)
        return agent_pb.ListAgentsResponse(agents=messages, next_page_token=page.token_after(len(messages)))

    async def AllocateAgent(self, request: agent_pb.AllocateAgentRequest, _: Context) -> agent_pb.AllocateAgentResponse:
        return allocation_message(await self._cases.identities.allocate(request.server))

    async def GetAgentEndpoint(
        self, request: agent_pb.GetAgentEndpointRequest, _: Context
    ) -> agent_pb.GetAgentEndpointResponse:
        endpoint = await self._cases.agents.endpoint(request.server)
        return agent_pb.GetAgentEndpointResponse(endpoint=endpoint_message(endpoint))

    async def BatchGetAgentEndpoints(
        self, request: agent_pb.BatchGetAgentEndpointsRequest, _: Context
    ) -> agent_pb.BatchGetAgentEndpointsResponse:
        found = await self._cases.agents.endpoints_of(request.servers)
        answers = [
            agent_pb.AgentEndpointAnswer(reason=one)
            if isinstance(one, str)
            else agent_pb.AgentEndpointAnswer(endpoint=endpoint_message(one))
            for one in found
        ]
        return agent_pb.BatchGetAgentEndpointsResponse(answers=answers)

    async def ListAgentEndpoints(
        self, request: agent_pb.ListAgentEndpointsRequest, _: Context
    ) -> agent_pb.ListAgentEndpointsResponse:
        page = await self._cases.agents.endpoints(request.page_size, request.page_token)
        messages = [endpoint_message(endpoint) for endpoint in page.items]
        token = page.token_after(len(messages))
        now = timestamp(datetime.now(UTC))
        return agent_pb.ListAgentEndpointsResponse(endpoints=messages, next_page_token=token, now=now)

    async def BeginRotation(self, request: agent_pb.BeginRotationRequest, _: Context) -> agent_pb.BeginRotationResponse:
        return rotation_message(await self._cases.rotations.begin(request.server))

    async def CommitRotation(
        self, request: agent_pb.CommitRotationRequest, _: Context
    ) -> agent_pb.CommitRotationResponse:
        agent = await self._cases.rotations.commit(request.server, rotation_id(request.rotation_id))
        return agent_pb.CommitRotationResponse(agent=agent_message(agent))

    async def AbortRotation(self, request: agent_pb.AbortRotationRequest, _: Context) -> agent_pb.AbortRotationResponse:
        await self._cases.rotations.abort(request.server, rotation_id(request.rotation_id))
        return agent_pb.AbortRotationResponse()

    async def ReallocateAgent(
        self, request: agent_pb.ReallocateAgentRequest, _: Context
    ) -> agent_pb.ReallocateAgentResponse:
        request_id = checked_request_id(request.request_id)
        agent, place = await self._cases.relocations.reallocate(
            request.server, port=request.new_port, path=request.new_path, request_id=request_id
        )
        return agent_pb.ReallocateAgentResponse(
            agent=agent_message(agent), rpc_port=place.rpc_port, rpc_path=place.rpc_path
        )

    async def CommitReallocation(
        self, request: agent_pb.CommitReallocationRequest, _: Context
    ) -> agent_pb.CommitReallocationResponse:
        agent = await self._cases.relocations.commit(request.server, checked_request_id(request.request_id))
        return agent_pb.CommitReallocationResponse(agent=agent_message(agent))

    async def AbortReallocation(
        self, request: agent_pb.AbortReallocationRequest, _: Context
    ) -> agent_pb.AbortReallocationResponse:
        await self._cases.relocations.abort(request.server)
        return agent_pb.AbortReallocationResponse()

    async def RemoveAgent(self, request: agent_pb.RemoveAgentRequest, _: Context) -> agent_pb.RemoveAgentResponse:
        await self._cases.relocations.remove(request.server)
        return agent_pb.RemoveAgentResponse()

    async def ReportHeartbeats(
        self, request: agent_pb.ReportHeartbeatsRequest, _: Context
    ) -> agent_pb.ReportHeartbeatsResponse:
        taken = await self._cases.heartbeats.report(heartbeat_reports(request.reports))
        return agent_pb.ReportHeartbeatsResponse(
            unknown_agent_ids=map(str, taken.unknown),
            quarantined_agent_ids=map(str, taken.quarantined),
            now=timestamp(datetime.now(UTC)),
        )

    async def ListAgentTransitions(
        self, request: agent_pb.ListAgentTransitionsRequest, _: Context
    ) -> agent_pb.ListAgentTransitionsResponse:
        page = await self._cases.histories.transitions(request.server, request.page_size, request.page_token)
        messages = fitting(transition_message(one) for one in page.items)
        token = page.token_after(len(messages)) if messages else ""
        return agent_pb.ListAgentTransitionsResponse(transitions=messages, next_page_token=token)

    async def ListFactChanges(
        self, request: agent_pb.ListFactChangesRequest, _: Context
    ) -> agent_pb.ListFactChangesResponse:
        page = await self._cases.histories.facts(request.server, request.page_size, request.page_token)
        messages = fitting(fact_change_message(one) for one in page.items)
        token = page.token_after(len(messages)) if messages else ""
        return agent_pb.ListFactChangesResponse(changes=messages, next_page_token=token)

    async def QuerySeries(self, request: agent_pb.QuerySeriesRequest, _: Context) -> agent_pb.QuerySeriesResponse:
        start, end, step_s = range_of(request)
        return series_response(
            *await self._cases.histories.series(request.server, metrics(request.metrics), start, end, step_s)
        )

    async def PauseChecks(self, request: agent_pb.PauseChecksRequest, _: Context) -> agent_pb.PauseChecksResponse:
        until = instant(request.until) if request.HasField("until") else None
        actor = checked_actor(request.requested_by)
        count = await self._cases.pauses.pause(request.selector, request.servers, until, request.reason, actor)
        return agent_pb.PauseChecksResponse(servers=count)

    async def ResumeChecks(self, request: agent_pb.ResumeChecksRequest, _: Context) -> agent_pb.ResumeChecksResponse:
        count = await self._cases.pauses.resume(request.selector, request.servers)
        return agent_pb.ResumeChecksResponse(servers=count)

    async def AcceptMachine(self, request: agent_pb.AcceptMachineRequest, _: Context) -> agent_pb.AcceptMachineResponse:
        agent = await self._cases.machines.accept(request.server)
        return agent_pb.AcceptMachineResponse(agent=agent_message(agent))


class CredentialServicer(credential_service_pb2_grpc.CredentialServiceServicer):
    """Named SSH credentials."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def CreateCredential(
        self, request: credential_pb.CreateCredentialRequest, _: Context
    ) -> credential_pb.CreateCredentialResponse:
        made = await self._credentials.create(
            checked_credential_name(request.name),
            secret(request.secret, "secret"),
            checked_request_id(request.request_id),
        )
        return credential_pb.CreateCredentialResponse(credential=credential_message(made))

    async def GetCredential(
        self, request: credential_pb.GetCredentialRequest, _: Context
    ) -> credential_pb.GetCredentialResponse:
        found = await self._credentials.get(request.credential)
        return credential_pb.GetCredentialResponse(credential=credential_message(found))

    async def ListCredentials(
        self, request: credential_pb.ListCredentialsRequest, _: Context
    ) -> credential_pb.ListCredentialsResponse:
        page = await self._credentials.list(request.page_size, request.page_token)
        messages = fitting(credential_message(credential) for credential in page.items)
        token = page.token_after(len(messages))
        return credential_pb.ListCredentialsResponse(credentials=messages, next_page_token=token)

    async def UpdateCredential(
        self, request: credential_pb.UpdateCredentialRequest, _: Context
    ) -> credential_pb.UpdateCredentialResponse:
        changed = await self._credentials.update(request.credential, credential_change(request), request.etag)
        return credential_pb.UpdateCredentialResponse(credential=credential_message(changed))

    async def DeleteCredential(
        self, request: credential_pb.DeleteCredentialRequest, _: Context
    ) -> credential_pb.DeleteCredentialResponse:
        await self._credentials.delete(request.credential, request.etag, force=request.force)
        return credential_pb.DeleteCredentialResponse()
