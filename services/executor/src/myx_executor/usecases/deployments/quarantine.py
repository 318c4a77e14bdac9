"""Where another machine is found under a server's name nothing is deployed by any way but a new installation."""

from myx_executor.domain.deployment import Kind, StepFailed
from myx_executor.usecases.deployments.ports import Registry, ServerFacts

REASON = "AGENT_QUARANTINED"


def obstacle(kind: Kind, server: ServerFacts) -> str:
    """Why a deployment of this kind is not for the server now; empty: there is no reason."""
    if not server.quarantined or kind is Kind.INSTALL_AGENT:
        return ""
    return f"another machine answers for {server.name}: nothing is sent to it until it is accepted as the right one"


def cure(server: ServerFacts) -> str:
    """What an operator can do about it."""
    accept = f"`myx server accept-machine {server.name}`"
    return f"see which machine it is; {accept} or a new installation takes it for the right one"


async def check(registry: Registry, server_id: str, kind: Kind) -> None:
    """StepFailed `AGENT_QUARANTINED`."""
    server = await registry.server(server_id)
    why = obstacle(kind, server)
    if why:
        raise StepFailed(REASON, why, cure(server))


def check_machine(kind: Kind, server: ServerFacts, found_id: str) -> None:
    """StepFailed `OTHER_MACHINE` when the one that SSH reaches is not the one whose agent was known."""
    if kind is not Kind.INSTALL_AGENT and found_id and server.machine_id and found_id != server.machine_id:
        message = f"SSH reaches another machine than the one whose agent was known as {server.name}"
        raise StepFailed("OTHER_MACHINE", message, cure(server))
