"""Why an agent does not answer."""

from myx_executor.adapters.fleet import KitFleet
from myx_executor.usecases.deployments.ports import Diagnosis
from myx_executor.usecases.ports import AgentFailed, ServerGone

# Rungs of the ladder at which the host is there and what listens is not the agent as it should be.
_BROKEN = frozenset(
    {"refused", "tls_failed", "pin_mismatch", "unauthorized", "wrong_path", "bad_request", "server_error", "rpc_error"}
)


class KitDoctor:
    """Fits `Doctor`."""

    def __init__(self, fleet: KitFleet) -> None:
        self._fleet = fleet

    async def diagnose(self, server_id: str) -> Diagnosis:
        """The cause of the call's failure says which rung is broken."""
        self._fleet.forget(server_id)
        try:
            await self._fleet.status(server_id)
        except AgentFailed as failure:
            return Diagnosis(failure.cause, failure.message, agent_is_broken=failure.cause in _BROKEN)
        except ServerGone:
            return Diagnosis("agent_not_found", "the registry knows no agent for this server")
        return Diagnosis("", "the agent answers", answers=True)
