"""The authority of whoever ordered work, asked for again when it acts later than it was ordered."""

from collections.abc import Sequence

from myx_executor.usecases.schedules.ports import Access
from myx_kit.errors import MyxError, Unavailable

# Names in the gateway's table of operations.
RUN, DEPLOY, JOB = "commands.run", "deployments.create", "jobs.create"
# People may lose rights; services and the root token do not.
_PEOPLE = "user:"


class Authority:
    """Judges work that waited. `access` None: this executor knows nobody to ask, and what was accepted stands."""

    def __init__(self, access: Access | None = None) -> None:
        self.access = access

    async def refusal(self, principal: str, operation: str, server_ids: Sequence[str]) -> str | None:
        """Why it may not be begun any more; None: it may. Unavailable `ACCESS_UNKNOWN`: that cannot be told now."""
        if self.access is None or not principal.startswith(_PEOPLE):
            return None
        try:
            return await self.access.refusal(principal, operation, server_ids)
        except MyxError as error:
            raise Unavailable("ACCESS_UNKNOWN", "it cannot be told now whether who ordered it still may") from error
