"""Which servers a job or a schedule is about."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from myx.executor.v1 import job_service_pb2, schedule_service_pb2
from myx_gateway.access.fleet import Fleet, is_id
from myx_gateway.access.principal import Principal
from myx_gateway.access.rights import EVERYWHERE, Role, closed
from myx_gateway.clients import Clients
from myx_kit.errors import InvalidArgument

_PAGE: Final = 1000
# Ids that are kept, of all jobs together; an id costs about 100 bytes.
_MAX_KEPT: Final = 100_000
# Who asks for the first ones has an answer to give.
_FIRST_S: Final = 2.0


class JobTargets:
    """The targets of jobs. They are frozen, so that what was read once holds for ever."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._kept = 0

    async def of(self, job_id: str) -> frozenset[str]:
        """Ids of the servers."""
        known = self._known.get(job_id)
        if known is not None:
            self._known.move_to_end(job_id)
            return known
        ids = await self._read(job_id)
        self._keep(job_id, ids)
        return ids

    async def first(self, job_id: str, count: int) -> list[str]:
        """Ids of its first servers, `count` (1 to 1000) of them at most. Unavailable, DeadlineExceeded."""
        request = job_service_pb2.ListJobTargetsRequest(job_id=job_id, page_size=count)
        page = await self._clients.jobs.ListJobTargets(request, timeout=_FIRST_S)
        return [target.server_id for target in page.targets]

    async def _read(self, job_id: str) -> frozenset[str]:
        ids: set[str] = set()
        token = ""
        while True:
            request = job_service_pb2.ListJobTargetsRequest(job_id=job_id, page_size=_PAGE, page_token=token)
            page = await self._clients.jobs.ListJobTargets(request)
            ids.update(target.server_id for target in page.targets)
            token = page.next_page_token
            if not token:
                return frozenset(ids)

    def _keep(self, job_id: str, ids: frozenset[str]) -> None:
        if job_id in self._known or len(ids) > _MAX_KEPT:
            return
        self._known[job_id] = ids
        self._kept += len(ids)
        while self._kept > _MAX_KEPT:
            _, dropped = self._known.popitem(last=False)
            self._kept -= len(dropped)


class ScheduledTargets:
    """What schedules would be about if they fired now."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def within(self, principal: Principal, schedule: schedule_service_pb2.Schedule, role: Role) -> bool:
        """Whether it is the principal's own, or `role` is held on every server, of one at least, that it is about.

        Who sees all that a selector matches now sees the schedule, but has no hand in it: the match is made of labels,
        which others change. A name counts for nothing, since the server that has it may be another one tomorrow.
        """
        held = principal.rights.selector(role)
        if held is None:
            return False
        # What is one's own is not that of a token which is kept to some servers: it would act on all of the work's.
        is_own = schedule.owner == principal.name and principal.rights.cap.selector == EVERYWHERE
        if held == EVERYWHERE or is_own:
            return True
        selector, named = _meant(schedule.work)
        try:
            if named:
                return await self._holds(held, named)
            return role is Role.VIEWER and await self._matches(held, selector)
        except InvalidArgument:
            # Too long together, for example: seen by nobody but its owner and who has all.
            return False

    async def _holds(self, held: str, named: Sequence[str]) -> bool:
        return all(map(is_id, named)) and set(await self._fleet.within(held, named)) == set(named)

    async def _matches(self, held: str, selector: str) -> bool:
        outside = f"({closed(selector)}) and not ({held})"
        return await self._fleet.any(selector) and not await self._fleet.any(outside)


def _meant(work: schedule_service_pb2.ScheduledWork) -> tuple[str, Sequence[str]]:
    """A selector, or ids and names."""
    match work.WhichOneof("work"):
        case "command":
            return "", [work.command.server]
        case "deployment":
            return "", [work.deployment.server]
        case _:
            return work.job.selector, list(work.job.servers)
