"""The identity of an agent: made once, the same until somebody asks for another."""

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from myx_kit.db.outbox import Outbox
from myx_kit.db.unit_of_work import UnitOfWork
from myx_kit.errors import ResourceExhausted
from myx_kit.ids import new_id
from myx_kit.tls import make_agent_certificate
from myx_registry.domain import ports
from myx_registry.domain.agents import Agent, AgentHealth, AgentIdentity, AgentSecrets, AgentStatus, NextIdentity
from myx_registry.store import agents
from myx_registry.store.locks import share_ports
from myx_registry.usecases import events
from myx_registry.usecases.references import the_server
from myx_registry.usecases.vault import Vault

_PATH_CHARACTERS = string.ascii_lowercase + string.digits
_PATH_LENGTH = 24
# The fingerprint is pinned; a telling name would tell strangers whose port this is.
_CERTIFICATE_NAME = "localhost"
# Blind tries first: they read nothing. Only a fleet that fills the ranges needs the list of what is free.
_BLIND_TRIES = 8
_INFORMED_TRIES = 32


@dataclass(frozen=True, slots=True)
class Allocation:
    """An agent's whole identity; `created` is False when it existed before."""

    agent: Agent
    secrets: AgentSecrets
    certificate_pem: str
    created: bool


class Identities:
    """Create-or-get of agent identities."""

    def __init__(
        self,
        uow: UnitOfWork,
        outbox: Outbox,
        vault: Vault,
        now: Callable[[], datetime],
    ) -> None:
        self._uow = uow
        self._outbox = outbox
        self._vault = vault
        self._now = now

    async def allocate(self, reference: str) -> Allocation:
        """The identity of a server's agent (seed 3.1); concurrent calls get the same one.

        Raises NotFound `SERVER_NOT_FOUND`, ResourceExhausted `NO_FREE_PORT`.
        """
        async with self._uow.begin() as connection:
            server = await the_server(connection, reference)
            stored = await agents.find_identity(connection, server.id)
        if stored is not None:
            return self._existing(stored)
        identity = _new_identity()
        sealed = self._vault.seal(identity.agent_id, identity.secrets)
        async with self._uow.begin() as connection:
            # Locked, so that two calls make one identity and only ports are left to collide.
            await the_server(connection, str(server.id), lock=True)
            stored = await agents.find_identity(connection, server.id)
            if stored is not None:
                return self._existing(stored)
            agent = _new_agent(identity, server.id, self._now())
            insert = partial(agents.insert_on_free_port, connection, agent, sealed, identity.certificate_pem)
            await share_ports(connection)
            placed = await insert(ports.candidates(_BLIND_TRIES, await agents.kept_ports(connection)))
            if placed is None:
                taken = await agents.ports_in_use(connection)
                placed = await insert(ports.candidates(_INFORMED_TRIES, taken))
            if placed is None:
                raise no_free_port()
            await self._outbox.add(connection, "agent", "registered", str(placed.id), events.agent_registered(placed))
        return Allocation(placed, identity.secrets, identity.certificate_pem, created=True)

    def _existing(self, stored: agents.StoredIdentity) -> Allocation:
        opened = self._vault.open(stored.agent.id, stored.secrets)
        return Allocation(stored.agent, opened, stored.certificate_pem, created=False)


def new_path() -> str:
    """A random path for calls to an agent."""
    return "".join(secrets.choice(_PATH_CHARACTERS) for _ in range(_PATH_LENGTH))


def next_identity() -> NextIdentity:
    """A new token, secret key and certificate for an agent that there is."""
    certificate_pem, private_key_pem, certificate_sha256 = make_agent_certificate(_CERTIFICATE_NAME)
    return NextIdentity(
        rotation_id=new_id(),
        agent_token=secrets.token_urlsafe(32),
        secret_key=secrets.token_urlsafe(32),
        private_key_pem=private_key_pem,
        certificate_pem=certificate_pem,
        certificate_sha256=certificate_sha256,
    )


def no_free_port() -> ResourceExhausted:
    """Every port that an agent may have is taken."""
    return ResourceExhausted("NO_FREE_PORT", f"All {len(ports.ALLOWED)} ports for agents are allocated.")


def _new_identity() -> AgentIdentity:
    certificate_pem, private_key_pem, certificate_sha256 = make_agent_certificate(_CERTIFICATE_NAME)
    return AgentIdentity(
        agent_id=new_id(),
        secrets=AgentSecrets(
            agent_token=secrets.token_urlsafe(32),
            secret_key=secrets.token_urlsafe(32),
            rpc_path=new_path(),
            private_key_pem=private_key_pem,
        ),
        certificate_pem=certificate_pem,
        certificate_sha256=certificate_sha256,
    )


def _new_agent(identity: AgentIdentity, server_id: UUID, now: datetime) -> Agent:
    return Agent(
        id=identity.agent_id,
        server_id=server_id,
        rpc_port=0,
        certificate_sha256=identity.certificate_sha256,
        health=AgentHealth(status=AgentStatus.PENDING, status_since=now),
        revision=1,
        created_at=now,
    )
