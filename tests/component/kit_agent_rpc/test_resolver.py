"""Agents that are known by name, some of which do not resolve."""

import asyncio
import socket
import threading

import pytest

from myx_kit.agent_rpc import resolver
from myx_kit.agent_rpc.client import AgentClient
from myx_kit.agent_rpc.errors import AgentCallError, Cause
from myx_testkit.wait import until


class NameServer:
    """Lets lookups of names that begin with "dead" wait for `give_up`, which fails them all."""

    def __init__(self):
        self.waiting = 0
        self.given_up = threading.Event()
        self.real = socket.getaddrinfo

    def getaddrinfo(self, host, *args, **kwargs):
        if not host.startswith("dead"):
            return self.real(host, *args, **kwargs)
        self.waiting += 1
        self.given_up.wait(60)
        self.waiting -= 1
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")


@pytest.fixture
def names(monkeypatch):
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.getaddrinfo)
    yield server
    server.given_up.set()


@pytest.fixture
async def client(names):
    async with AgentClient(timeout_s=30) as one:
        yield one
        names.given_up.set()


def ask_dead(client, agent, count):
    targets = [agent.target(address=f"dead-{number}.example") for number in range(count)]
    return [asyncio.ensure_future(client.call(one, "heartbeat", {}, retry=False)) for one in targets]


async def causes_of(calls):
    errors = await asyncio.gather(*calls, return_exceptions=True)
    return {error.cause for error in errors if isinstance(error, AgentCallError)}


async def test_names_that_nobody_resolves_keep_no_others_waiting(agent, client, names):
    dead = ask_dead(client, agent, 25)
    await until(lambda: names.waiting == 25)

    assert await client.call(agent.target(address="localhost"), "heartbeat", {}) == {}

    assert not any(call.done() for call in dead)
    names.given_up.set()
    assert await causes_of(dead) == {Cause.NAME_UNRESOLVED}


async def test_however_many_did_not_resolve_before_others_do_not_wait(agent, names, monkeypatch):
    monkeypatch.setattr(resolver, "LOOKUPS", 2)
    async with AgentClient(timeout_s=30) as client:
        names.given_up.set()
        assert await causes_of(ask_dead(client, agent, 10)) == {Cause.NAME_UNRESOLVED}
        names.given_up.clear()
        dead = ask_dead(client, agent, 10)
        await until(lambda: names.waiting == 2)

        assert await client.call(agent.target(address="localhost"), "heartbeat", {}) == {}

        assert names.waiting == 2
        names.given_up.set()
        await causes_of(dead)


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a..b", "x" * 70 + ".example"])
async def test_what_is_no_name_is_told(agent, client, name):
    with pytest.raises(AgentCallError) as caught:
        await client.call(agent.target(address=name), "heartbeat", {}, retry=False)

    assert caught.value.cause is Cause.NAME_UNRESOLVED
