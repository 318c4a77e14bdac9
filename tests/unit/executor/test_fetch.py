"""Fetching a log, where no database is needed."""

import asyncio
from types import SimpleNamespace
from uuid import uuid4

from myx_executor.usecases.deliver import Attempts
from myx_executor.usecases.fetch import Fetch


class HastyAgents:
    """Answers a long poll at once, with nothing."""

    async def read_log(self, server_id, command_id, offset, *, wait_s, until_final=False):
        return []


async def test_an_agent_that_does_not_wait_is_not_asked_without_a_pause(monkeypatch) -> None:
    pauses = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    fetch = Fetch(HastyAgents(), "server", uuid4(), Attempts(()), note=note, calm_s=1)
    assert await fetch._poll(SimpleNamespace(received=0), 25.0) is None
    assert pauses == [0.5]
