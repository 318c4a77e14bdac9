"""A gateway's auditor that keeps nothing, where a test or a measurement is about something else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from myx_gateway.access.audit import NOBODY, Entry
from myx_gateway.access.principal import Principal


class NullAuditor:
    """Makes entries that go nowhere."""

    @asynccontextmanager
    async def entry(
        self, *, operation: str, principal: Principal | None, address: str, request_id: str, **_: Any
    ) -> AsyncIterator[Entry]:
        """An entry for as long as the call lasts."""
        yield Entry(operation, principal.name if principal else NOBODY, address=address, request_id=request_id)
