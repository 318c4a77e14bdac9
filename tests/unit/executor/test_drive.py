"""The owner's work on one command, where no database is needed."""

import asyncio
from types import SimpleNamespace

from executor_samples import command

from myx_executor.usecases.drive import Drive
from myx_executor.usecases.ledger import Lease


class HastyAgents:
    """Answers a long poll at once, with nothing."""

    async def read_log(self, server_id, command_id, offset, *, wait_s, until_final=False):
        return []


def drive(agents) -> Drive:
    owned = SimpleNamespace(command=command(), sealed=None)
    tools = SimpleNamespace(agents=agents, commands=None, logs=None, hub=None)
    return Drive(tools, owned, Lease(owned.command, 1e18))


async def test_an_agent_that_does_not_wait_is_not_asked_without_a_pause(monkeypatch) -> None:
    pauses = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    assert await drive(HastyAgents())._poll(SimpleNamespace(received=0), 25.0) is None
    assert pauses == [0.5]
