"""What a log can be of: a command, or a deployment."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from myx.executor.v1 import command_pb2, deployment_pb2, deployment_service_pb2
from myx.executor.v1 import command_service_pb2 as executor
from myx_gateway.clients import Clients
from myx_gateway.convert import commands, deployments
from myx_gateway.schemas.commands import LogStream
from myx_kit.errors import NotFound

_OPEN = frozenset({command_pb2.LOG_COMPLETENESS_UNSPECIFIED, command_pb2.LOG_COMPLETENESS_OPEN})


@dataclass(frozen=True)
class LogFacts:
    """What is known of a log before it is read. `size` is the offset at which it ends now.

    `is_whole`: it is final and has no gap. `sizes` are then those of its streams, as far as they are known.
    """

    server_name: str
    size: int
    is_final: bool
    is_whole: bool
    sizes: Mapping[LogStream, int] = field(default_factory=dict)


def log_purged() -> NotFound:
    """The log was there and is not kept any more."""
    return NotFound("LOG_PURGED", "this log is older than logs are kept; what became of the work is still known")


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
    async def facts(self) -> LogFacts:
        """What is known of its log now; NotFound when there is none, or `LOG_PURGED` when retention took it."""

    @abstractmethod
    async def document(self, final: executor.LogFinal) -> str:
        """The JSON of it as it stands at the end of its log."""


class CommandSubject(Subject):
    """A command."""

    word = "command"

    async def check(self) -> None:
        """Nothing: FollowLog itself says when there is none."""

    async def facts(self) -> LogFacts:
        """Sizes of both streams too, once the agent has counted them."""
        answer = await self._clients.commands.GetCommand(executor.GetCommandRequest(command_id=self.id))
        command = answer.command
        if command.HasField("log_purged_at"):
            raise log_purged()
        result = command.result
        return _facts(command, {LogStream.STDOUT: result.stdout.bytes, LogStream.STDERR: result.stderr.bytes})

    async def document(self, final: executor.LogFinal) -> str:
        """The command, which comes with the log's end."""
        return commands.command(final.command).model_dump_json()


class DeploymentSubject(Subject):
    """A deployment, whose log is stored as that of a command with the same id."""

    word = "deployment"

    async def check(self) -> None:
        """NotFound `DEPLOYMENT_NOT_FOUND`, also for the id of a command."""
        await self._get()

    async def facts(self) -> LogFacts:
        """Without sizes of streams, which nobody counts."""
        return _facts((await self._get()).deployment, {})

    async def document(self, final: executor.LogFinal) -> str:
        """The deployment as it is now."""
        answer = await self._get()
        return deployments.deployment(answer.deployment).model_dump_json()

    async def _get(self) -> deployment_service_pb2.GetDeploymentResponse:
        request = deployment_service_pb2.GetDeploymentRequest(deployment_id=self.id)
        return await self._clients.deployments.GetDeployment(request)


def _facts(message: command_pb2.Command | deployment_pb2.Deployment, sizes: Mapping[LogStream, int]) -> LogFacts:
    completeness = message.log_completeness
    return LogFacts(
        server_name=message.server_name,
        size=message.log_size_bytes,
        is_final=completeness not in _OPEN,
        is_whole=completeness == command_pb2.LOG_COMPLETENESS_COMPLETE,
        sizes=sizes,
    )


SubjectKind = Callable[[Clients, str], Subject]
