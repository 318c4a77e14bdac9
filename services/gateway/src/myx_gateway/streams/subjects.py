"""What a log can be of: a command, or a deployment."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from myx.executor.v1 import command_service_pb2 as executor
from myx.executor.v1 import deployment_service_pb2
from myx_gateway.clients import Clients
from myx_gateway.convert import commands, deployments


class Subject(ABC):
    """One command or deployment; `word` names it in the last event of its log."""

    word: str

    def __init__(self, clients: Clients, id_: str) -> None:
        self._clients = clients
        self.id = id_

    @abstractmethod
    async def check(self) -> None:
        """NotFound when there is none."""

    @abstractmethod
    async def document(self, final: executor.LogFinal) -> str:
        """The JSON of it as it stands at the end of its log."""


class CommandSubject(Subject):
    """A command."""

    word = "command"

    async def check(self) -> None:
        """Nothing: FollowLog itself says when there is none."""

    async def document(self, final: executor.LogFinal) -> str:
        """The command, which comes with the log's end."""
        return commands.command(final.command).model_dump_json()


class DeploymentSubject(Subject):
    """A deployment, whose log is stored as that of a command with the same id."""

    word = "deployment"

    async def check(self) -> None:
        """NotFound `DEPLOYMENT_NOT_FOUND`, also for the id of a command."""
        await self._get()

    async def document(self, final: executor.LogFinal) -> str:
        """The deployment as it is now."""
        answer = await self._get()
        return deployments.deployment(answer.deployment).model_dump_json()

    async def _get(self) -> deployment_service_pb2.GetDeploymentResponse:
        request = deployment_service_pb2.GetDeploymentRequest(deployment_id=self.id)
        return await self._clients.deployments.GetDeployment(request)


SubjectKind = Callable[[Clients, str], Subject]
