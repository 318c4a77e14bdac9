"""Why an agent that should answer does not, as far as it shows from outside, and whether mending it is worth a try."""

import asyncio
import errno
import socket
from contextlib import suppress
from dataclasses import dataclass

from myx_kit.agent_rpc.client import AgentClient, AgentTarget
from myx_kit.agent_rpc.errors import AgentCallError, Attempt, Cause, JsonRpcError

SSH_TIMEOUT_S = 5.0
_BANNER_BYTES = 4096

# The host took the connection, or refused it itself: what is wrong is the program behind the port.
_BROKEN = frozenset(
    [
        Cause.REFUSED,
        Cause.TLS_FAILED,
        Cause.PIN_MISMATCH,
        Cause.CONNECTION_LOST,
        Cause.HUNG,
        Cause.UNAUTHORIZED,
        Cause.WRONG_PATH,
        Cause.SERVER_ERROR,
        Cause.RPC_ERROR,
    ]
)
# Nothing came back from the host, or it cannot be said from where.
_NETWORK = frozenset([Cause.NAME_UNRESOLVED, Cause.NO_ROUTE, Cause.FILTERED])


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found. `cause` None: the agent answers and is the right one.

    `ssh` says why no SSH server answers, None when one does or none was asked (`ssh_asked`). `host_is_there`:
    something at the address answers. `agent_is_broken`: it is plausible that the host is sound and its agent is not;
    only then can a reinstallation help. Over SSH it is to be proved that it is the same machine.
    """

    cause: Cause | None
    sentence: str
    ssh: Cause | None
    ssh_asked: bool
    host_is_there: bool
    agent_is_broken: bool
    attempts: tuple[Attempt, ...] = ()


async def diagnose(
    client: AgentClient,
    target: AgentTarget,
    *,
    ssh_address: str = "",
    ssh_port: int = 22,
    machine_id: str = "",
    timeout_s: float | None = None,
) -> Diagnosis:
    """Call the agent once, and look whether SSH answers. Never raises for what it finds.

    `ssh_address` is the target's own by default; `ssh_port` 0: SSH is not asked (it lies behind a jump host).
    `machine_id`, where it is known, tells the agent's machine from another one with the same credentials.
    """
    attempts: list[Attempt] = []
    calling = _ask_agent(client, target, machine_id, timeout_s, attempts)
    if not ssh_port:
        cause, sentence = await calling
        return _judge(cause, sentence, None, False, attempts)
    address = ssh_address or target.address
    (cause, sentence), ssh = await asyncio.gather(calling, probe_ssh(address, ssh_port))
    return _judge(cause, sentence, ssh, True, attempts)


async def probe_ssh(address: str, port: int, timeout_s: float = SSH_TIMEOUT_S) -> Cause | None:
    """None when an SSH server introduces itself there; nothing is sent to it."""
    connected = False
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(address.strip("[]"), port)
            connected = True
            try:
                return None if await _introduces_itself(reader) else Cause.RPC_ERROR
            finally:
                writer.transport.abort()
                with suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError:
        return Cause.HUNG if connected else Cause.FILTERED
    except socket.gaierror:
        return Cause.NAME_UNRESOLVED
    except (OSError, UnicodeError) as error:
        return Cause.CONNECTION_LOST if connected else _connect_cause(error)


async def _introduces_itself(reader: asyncio.StreamReader) -> bool:
    """RFC 4253, 4.2: other lines may come before the identification."""
    text = b""
    while len(text) < _BANNER_BYTES and (piece := await reader.read(_BANNER_BYTES - len(text))):
        text += piece
        lines = text.split(b"\n")
        if any(line.startswith(b"SSH-") for line in lines[:-1]):
            return True
    return text.startswith(b"SSH-")


def _connect_cause(error: Exception) -> Cause:
    if isinstance(error, UnicodeError):
        return Cause.NAME_UNRESOLVED
    number = error.errno if isinstance(error, OSError) else None
    if number is None:  # several addresses were tried
        return Cause.REFUSED if str(errno.ECONNREFUSED) in str(error) else Cause.NO_ROUTE
    return {errno.ECONNREFUSED: Cause.REFUSED, errno.ETIMEDOUT: Cause.FILTERED}.get(number, Cause.NO_ROUTE)


async def _ask_agent(
    client: AgentClient, target: AgentTarget, machine_id: str, timeout_s: float | None, attempts: list[Attempt]
) -> tuple[Cause | None, str]:
    try:
        items = await client.batch(
            target, [("health_check", {}), ("get_status", {})], timeout_s=timeout_s, retry=False, attempts=attempts
        )
    except AgentCallError as error:
        return error.cause, error.message
    for item in items:
        if isinstance(item, JsonRpcError):
            return Cause.RPC_ERROR, item.sentence
    status = items[1]
    found = "" if isinstance(status, JsonRpcError) else status.get("machine_id")
    if machine_id and found and found != machine_id:
        return Cause.OTHER_MACHINE, Cause.OTHER_MACHINE.sentence
    return None, "the agent answers"


def _judge(
    cause: Cause | None, sentence: str, ssh: Cause | None, ssh_asked: bool, attempts: list[Attempt]
) -> Diagnosis:
    ssh_answers = ssh_asked and ssh is None
    host_is_there = ssh_answers or cause not in _NETWORK
    return Diagnosis(
        cause=cause,
        sentence=sentence if cause is None else f"{sentence}; {_about_ssh(cause, ssh, ssh_asked)}",
        ssh=ssh,
        ssh_asked=ssh_asked,
        host_is_there=host_is_there,
        agent_is_broken=cause in _BROKEN and (ssh_answers or not ssh_asked),
        attempts=tuple(attempts),
    )


_SSH_TEXTS = {
    Cause.NAME_UNRESOLVED: "the host name does not resolve",
    Cause.NO_ROUTE: "there is no route to it",
    Cause.FILTERED: "no answer",
    Cause.REFUSED: "nothing listens there",
    Cause.CONNECTION_LOST: "the connection was lost",
    Cause.HUNG: "the port is open, but nobody speaks",
    Cause.RPC_ERROR: "what listens there is no SSH server",
}


def _about_ssh(cause: Cause, ssh: Cause | None, ssh_asked: bool) -> str:
    if not ssh_asked:
        return "whether SSH answers was not asked"
    if ssh is None:
        if cause is Cause.FILTERED:
            return "the host answers over SSH: a firewall keeps the agent's port shut"
        return "the host answers over SSH"
    return f"SSH does not answer either: {_SSH_TEXTS[ssh]}"
