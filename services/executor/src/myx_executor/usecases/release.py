"""Letting agents drop what is stored here: in batches, in the background, and later again where it failed."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from uuid import UUID

from myx_executor.store.commands import CommandStore
from myx_executor.usecases.ports import AgentFailed, Agents, ServerGone
from myx_kit.errors import MyxError
from myx_kit.logging import get_logger

log = get_logger()

_BATCH = 200
# What does not fit is found again in the database.
_WAITING = 10_000
_LATER_S = 60.0
# A silent agent takes a place, and the time that a call may last (Agents.release).
_AGENTS_AT_ONCE = 20


class Releaser:
    """Calls `release_command` for commands that are final and stored."""

    def __init__(self, store: CommandStore, agents: Agents) -> None:
        self._store = store
        self._agents = agents
        self._due: deque[tuple[UUID, str]] = deque(maxlen=_WAITING)
        self._after = UUID(int=0)

    def add(self, command_id: UUID, server_id: str) -> None:
        """A command whose log and result were just stored."""
        self._due.append((command_id, server_id))

    async def run_once(self) -> int:
        """Releases what was added since the last turn; how many commands."""
        due = [self._due.popleft() for _ in range(min(len(self._due), _BATCH * 4))]
        return await self._release(due)

    async def sweep_once(self) -> None:
        """Takes up what failed before or was another replica's, a batch each turn, oldest first and round again."""
        due = await self._store.release_due(self._after, _LATER_S, _BATCH)
        self._after = due[-1][0] if len(due) == _BATCH else UUID(int=0)
        await self._release(due)

    async def _release(self, due: Sequence[tuple[UUID, str]]) -> int:
        by_server: defaultdict[str, list[UUID]] = defaultdict(list)
        for command_id, server_id in due:
            by_server[server_id].append(command_id)
        places = asyncio.Semaphore(_AGENTS_AT_ONCE)
        let_go = await asyncio.gather(*(self._let_go(places, *of_server) for of_server in by_server.items()))
        released = [command_id for command_ids in let_go for command_id in command_ids]
        if released:
            await self._store.mark_released(released)
        return len(released)

    async def _let_go(self, places: asyncio.Semaphore, server_id: str, command_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Those that the agent of a server keeps no more."""
        async with places:
            try:
                return await self._agents.release(server_id, command_ids)
            except ServerGone:
                return command_ids
            except AgentFailed as failure:
                cause = failure.cause
            except MyxError as error:
                cause = error.reason
        log.info("release_postponed", server_id=server_id, count=len(command_ids), cause=cause)
        return []
