"""/commands/{command_id}/log/search and /deployments/{deployment_id}/log/search"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator

from myx.executor.v1 import command_service_pb2 as executor
from myx.executor.v1 import deployment_service_pb2
from myx_gateway.api.dependencies import ClientsDep, CommandPath, DeploymentPath
from myx_gateway.api.routes import OperationRouter
from myx_gateway.clients import Clients
from myx_gateway.convert import commands as convert
from myx_gateway.schemas.commands import LogMatches
from myx_gateway.schemas.common import clean

router = OperationRouter(tags=["logs"])

# One call looks at a bounded part, which may be many megabytes.
_SEARCH_DEADLINE_S = 30.0
_MAX_OFFSET = (1 << 63) - 1


@dataclass(frozen=True)
class Search:
    """What is looked for, and from where on."""

    pattern: Annotated[
        str,
        Query(min_length=1, max_length=1000, description="Plain text; with `regex` an RE2 expression."),
        AfterValidator(clean),
    ]
    regex: Annotated[bool, Query(description="The pattern is an RE2 expression.")] = False
    ignore_case: bool = False
    from_offset: Annotated[
        int, Query(ge=0, le=_MAX_OFFSET, description="Where to begin; the line that holds it is looked at whole.")
    ] = 0
    max_matches: Annotated[int, Query(ge=1, le=1000)] = 100

    async def run(self, clients: Clients, id_: str) -> LogMatches:
        """Search the log of a command or deployment."""
        request = executor.SearchLogRequest(
            command_id=id_,
            pattern=self.pattern,
            regex=self.regex,
            ignore_case=self.ignore_case,
            from_offset=self.from_offset,
            max_matches=self.max_matches,
        )
        return convert.log_matches(await clients.commands.SearchLog(request, timeout=_SEARCH_DEADLINE_S))


SearchDep = Annotated[Search, Depends()]


@router.operation("commands.search_log")
async def search_log(clients: ClientsDep, command_id: CommandPath, search: SearchDep) -> LogMatches:
    """Lines of a log that match. A call looks at a bounded part: go on at `next_offset` until `is_end`."""
    return await search.run(clients, command_id)


@router.operation("deployments.search_log")
async def search_deployment_log(clients: ClientsDep, deployment_id: DeploymentPath, search: SearchDep) -> LogMatches:
    """Lines of a deployment's log that match, as of a command's."""
    await clients.deployments.GetDeployment(deployment_service_pb2.GetDeploymentRequest(deployment_id=deployment_id))
    return await search.run(clients, deployment_id)
