"""What is wrong with an agent, as it shows from outside, and whether mending it is worth a try."""

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from myx_kit.agent_rpc.client import AgentClient
from myx_kit.agent_rpc.diagnose import diagnose, probe_ssh
from myx_kit.agent_rpc.errors import Cause
from myx_kit.retry import RetryPolicy


@asynccontextmanager
async def listening(speak):
    """A TCP server that says something; its port."""

    async def serve(reader, writer):
        with contextlib.suppress(ConnectionError):
            await speak(writer)
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saying(text):
    async def speak(writer):
        writer.write(text)
        await writer.drain()

    return speak


async def hang_up(writer):
    writer.transport.abort()


@pytest.fixture
async def ssh_port():
    async with listening(saying(b"SSH-2.0-OpenSSH_9.2p1\r\n")) as port:
        yield port


@pytest.fixture
async def one_try():
    """Retries would be seen: the client has plenty."""
    async with AgentClient(timeout_s=2, retry=RetryPolicy(base_delay_s=5)) as client:
        yield client


BROKEN = {
    "hang": Cause.HUNG,
    "closed without an answer": Cause.CONNECTION_LOST,
    "no HTTP": Cause.RPC_ERROR,
    "no JSON": Cause.RPC_ERROR,
    "401": Cause.UNAUTHORIZED,
    "404": Cause.WRONG_PATH,
    "500": Cause.SERVER_ERROR,
    "-32603": Cause.RPC_ERROR,
}
WELL = {"skew": Cause.CLOCK_SKEW, "400": Cause.BAD_REQUEST, "429": Cause.THROTTLED}


@pytest.mark.parametrize("name", BROKEN | WELL)
async def test_a_program_that_misbehaves_on_a_sound_host(one_try, agent, behaviours, ssh_port, name):
    agent.script = [behaviours[name]]
    found = await diagnose(one_try, agent.target(), ssh_port=ssh_port)

    assert (found.cause, found.ssh, found.host_is_there) == ((BROKEN | WELL)[name], None, True)
    assert found.agent_is_broken is (name in BROKEN)
    assert found.sentence.endswith("the host answers over SSH")
    assert len(found.attempts) == 1


async def test_nothing_listens(one_try, agent, ssh_port, free_port):
    found = await diagnose(one_try, agent.target(rpc_port=free_port), ssh_port=ssh_port)

    assert (found.cause, found.agent_is_broken) == (Cause.REFUSED, True)


async def test_another_certificate(one_try, agent, ssh_port):
    found = await diagnose(one_try, agent.target(certificate_sha256="00" * 32), ssh_port=ssh_port)

    assert (found.cause, found.agent_is_broken) == (Cause.PIN_MISMATCH, True)


async def test_no_tls(one_try, agent, ssh_port):
    async with listening(saying(b"hello, I am no TLS\r\n" * 10)) as port:
        found = await diagnose(one_try, agent.target(rpc_port=port), ssh_port=ssh_port)

    assert (found.cause, found.agent_is_broken) == (Cause.TLS_FAILED, True)


async def test_a_host_that_is_not_there_is_no_broken_agent(one_try, agent, free_port):
    found = await diagnose(one_try, agent.target(address="no-such-host.invalid"), ssh_port=22)

    assert (found.cause, found.ssh) == (Cause.NAME_UNRESOLVED, Cause.NAME_UNRESOLVED)
    assert (found.host_is_there, found.agent_is_broken) == (False, False)


async def test_a_port_that_is_shut_by_a_firewall_is_no_broken_agent(one_try, agent, ssh_port, monkeypatch):
    async def filtered(*_args, **_options):
        return Cause.FILTERED, Cause.FILTERED.sentence

    monkeypatch.setattr("myx_kit.agent_rpc.diagnose._ask_agent", filtered)
    found = await diagnose(one_try, agent.target(), ssh_port=ssh_port)

    assert (found.cause, found.host_is_there, found.agent_is_broken) == (Cause.FILTERED, True, False)
    assert "firewall" in found.sentence


async def test_without_ssh_a_refused_port_proves_nothing(one_try, agent, free_port):
    found = await diagnose(one_try, agent.target(rpc_port=free_port), ssh_port=free_port)

    assert (found.cause, found.ssh, found.agent_is_broken) == (Cause.REFUSED, Cause.REFUSED, False)
    assert found.sentence.endswith("SSH does not answer either: nothing listens there")


async def test_behind_a_jump_host_ssh_is_not_asked(one_try, agent, free_port):
    found = await diagnose(one_try, agent.target(rpc_port=free_port), ssh_port=0)

    assert (found.ssh_asked, found.ssh, found.agent_is_broken) == (False, None, True)


async def test_a_well_agent(one_try, module_agent, ssh_port):
    status = await one_try.call(module_agent.target, "get_status", {})
    found = await diagnose(one_try, module_agent.target, ssh_port=ssh_port, machine_id=status["machine_id"])

    assert (found.cause, found.host_is_there, found.agent_is_broken) == (None, True, False)
    assert found.sentence == "the agent answers"


async def test_another_machine_with_the_same_credentials(one_try, module_agent, ssh_port):
    found = await diagnose(one_try, module_agent.target, ssh_port=ssh_port, machine_id="0" * 32)

    if (await one_try.call(module_agent.target, "get_status", {}))["machine_id"]:
        assert (found.cause, found.agent_is_broken) == (Cause.OTHER_MACHINE, False)


async def test_nothing_that_is_found_tells_a_secret(one_try, module_agent, ssh_port):
    target = replace(module_agent.target, agent_token="another-token-of-it")
    found = await diagnose(one_try, target, ssh_port=ssh_port)

    assert not any(secret in repr(found) for secret in (target.agent_token, target.secret_key, target.rpc_path))


class TestProbeSsh:
    @pytest.mark.parametrize(
        ("speak", "cause"),
        [
            (saying(b"SSH-2.0-dropbear\r\n"), None),
            (saying(b"Welcome\r\nSSH-2.0-x\r\n"), None),
            (saying(b"220 smtp\r\n" * 1000), Cause.RPC_ERROR),
            (saying(b""), Cause.HUNG),
        ],
    )
    async def test_what_speaks_there(self, speak, cause):
        async with listening(speak) as port:
            assert await probe_ssh("127.0.0.1", port, 0.5) is cause

    async def test_who_hangs_up(self):
        async with listening(hang_up) as port:
            assert await probe_ssh("127.0.0.1", port, 5) in {Cause.CONNECTION_LOST, Cause.RPC_ERROR}

    async def test_nobody(self, free_port):
        assert await probe_ssh("127.0.0.1", free_port, 5) is Cause.REFUSED

    @pytest.mark.parametrize("name", ["no-such-host.invalid", "a..b", "x" * 70 + ".example"])
    async def test_a_name_that_does_not_resolve(self, name):
        assert await probe_ssh(name, 22, 5) is Cause.NAME_UNRESOLVED
