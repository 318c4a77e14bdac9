"""Why an agent does not answer."""

from myx_executor.adapters.fleet import KitFleet
from myx_executor.usecases.deployments.ports import Diagnosis, Registry
from myx_executor.usecases.ports import AgentFailed, ServerGone
from myx_kit.agent_rpc.diagnose import diagnose

_CALL_S = 10.0


class KitDoctor:
    """Fits `Doctor`, with the kit's ladder; SSH is asked too, unless it lies behind a jump host."""

    def __init__(self, fleet: KitFleet, registry: Registry) -> None:
        self._fleet = fleet
        self._registry = registry

    async def diagnose(self, server_id: str) -> Diagnosis:
        """One call and one look at SSH."""
        server = await self._registry.server(server_id)
        self._fleet.forget(server_id)
        try:
            target = await self._fleet.target(server_id)
        except ServerGone:
            return Diagnosis("agent_not_found", "the registry knows no agent for this server")
        except AgentFailed as failure:
            return Diagnosis(failure.cause, failure.message)
        found = await diagnose(
            self._fleet.client,
            target,
            ssh_address=server.ssh_address,
            ssh_port=0 if server.has_jump_host else server.ssh_port,
            machine_id=server.machine_id,
            timeout_s=_CALL_S,
        )
        return Diagnosis(
            cause=found.cause.value if found.cause else "",
            message=found.sentence,
            answers=found.cause is None,
            agent_is_broken=found.agent_is_broken,
        )
