"""SSH connections to hosts: typed errors, checked host keys, root by sudo, no file of the user's."""

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh

from myx_executor.adapters.ssh_errors import connect_failed, where
from myx_executor.adapters.ssh_keys import (
    ALL_HOST_KEY_ALGORITHMS,
    HOST_KEY_TYPES,
    algorithms_of,
    fingerprint,
    private_key,
    shown,
)
from myx_executor.adapters.ssh_session import SshSession
from myx_executor.domain.ssh import Hop, HostKeyChanged, HostKeyUnknown, LoginRefused, ShownKey, TrustedKey

__all__ = ["NewHostKey", "SshConnector", "SshSession", "fingerprint"]

# Hears of a host key before anything secret is sent to its host: first contact that is accepted by policy, or a trusted
# fingerprint whose whole key was seen now. What it raises ends the connect.
NewHostKey = Callable[[Hop, ShownKey], Awaitable[None]]

# What is seen when the host has no host key of a type that was asked for: it says so, or just hangs up.
_NO_COMMON_KEY = (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError)
_KEEPALIVE_S = 10
_KEEPALIVES_MISSED = 3
# Nothing of the user that runs the executor: no files, no agent, nothing forwarded.
_NOTHING_LOCAL: dict[str, Any] = {
    "config": None,
    "agent_path": None,
    "agent_forwarding": False,
    "x11_forwarding": False,
    "client_certs": (),
    "pkcs11_provider": None,
    "gss_host": None,
    "gss_kex": False,
    "gss_auth": False,
    "host_based_auth": False,
    "send_env": None,
    "env": None,
}


class SshConnector:
    """Opens sessions. One is enough for a process."""

    def __init__(self, *, connect_timeout_s: float = 10.0, login_timeout_s: float = 20.0) -> None:
        _name_this_user()
        self._connect_timeout_s = connect_timeout_s
        self._login_timeout_s = login_timeout_s

    async def connect(
        self, hops: Sequence[Hop], *, on_new_host_key: NewHostKey | None = None, need_root: bool = True
    ) -> SshSession:
        """A session on the last hop, through the others, that can be root. SshError and its kinds; bounded."""
        connections: list[asyncssh.SSHClientConnection] = []
        try:
            for hop in hops:
                connections.append(await self._hop(hop, connections, on_new_host_key))
            session = SshSession(hops[-1], connections)
            if need_root:
                await session.become_root()
        except BaseException:
            _drop(connections)
            raise
        return session

    @asynccontextmanager
    async def session(
        self, hops: Sequence[Hop], *, on_new_host_key: NewHostKey | None = None, need_root: bool = True
    ) -> AsyncIterator[SshSession]:
        """As `connect`, closed at the end."""
        async with await self.connect(hops, on_new_host_key=on_new_host_key, need_root=need_root) as session:
            yield session

    async def scan_host_key(self, hops: Sequence[Hop], *, on_new_host_key: NewHostKey | None = None) -> ShownKey:
        """The key that the last hop shows; it gets no secret, the hops before it are logged in to as ever.

        Where a key is trusted and the host still has it, that one is told and not another of its keys.
        """
        connections: list[asyncssh.SSHClientConnection] = []
        try:
            for hop in hops[:-1]:
                connections.append(await self._hop(hop, connections, on_new_host_key))
            target = hops[-1]
            if target.host_key is not None:
                key, _ = await self._key_of(target, target.host_key.fingerprint, connections)
                if key is not None:
                    return shown(key)
            return shown(await self._any_key(target, connections))
        finally:
            _drop(connections)

    async def _hop(
        self, hop: Hop, before: Sequence[asyncssh.SSHClientConnection], on_new: NewHostKey | None
    ) -> asyncssh.SSHClientConnection:
        if not hop.password and not hop.private_key:
            raise LoginRefused(
                "SSH_CREDENTIAL_MISSING",
                f"there is no password or key for {where(hop)}",
                "store a credential for the server",
                host=hop.name,
            )
        login_key = await private_key(hop)
        trusted = _whole(hop.host_key)
        if trusted is None:
            trusted = await self._first_contact(hop, before, on_new)
        return await self._login(hop, trusted, login_key, before)

    async def _first_contact(
        self, hop: Hop, before: Sequence[asyncssh.SSHClientConnection], on_new: NewHostKey | None
    ) -> asyncssh.SSHKey:
        """The whole key to trust: what a given fingerprint belongs to, or what policy accepts. No secret is sent."""
        if hop.host_key is not None:
            key, other = await self._key_of(hop, hop.host_key.fingerprint, before)
            if key is None:
                raise _changed(hop, other or await self._any_key(hop, before))
        else:
            key = await self._any_key(hop, before)
            if not hop.accept_new or on_new is None:
                raise _unknown(hop, key)
        if on_new is not None:
            await on_new(hop, shown(key))
        return key

    async def _key_of(
        self, hop: Hop, fingerprint: str, before: Sequence[asyncssh.SSHClientConnection]
    ) -> tuple[asyncssh.SSHKey | None, asyncssh.SSHKey | None]:
        """The host's key with that fingerprint, and else the first that it has."""
        first = None
        for algorithms in HOST_KEY_TYPES:
            key = await self._scan(hop, before, algorithms)
            if key is not None and key.get_fingerprint() == fingerprint:
                return key, None
            first = first or key
        return None, first

    async def _any_key(self, hop: Hop, before: Sequence[asyncssh.SSHClientConnection]) -> asyncssh.SSHKey:
        key = await self._scan(hop, before, ALL_HOST_KEY_ALGORITHMS)
        if key is None:
            raise connect_failed(hop, asyncssh.KeyExchangeFailed("it shows no host key"))
        return key

    async def _scan(
        self, hop: Hop, before: Sequence[asyncssh.SSHClientConnection], algorithms: Sequence[str]
    ) -> asyncssh.SSHKey | None:
        """One handshake without a login; None when the host has no key of these types."""
        options = asyncssh.SSHClientConnectionOptions(
            **_NOTHING_LOCAL,
            username=hop.user,
            client_keys=None,
            known_hosts=None,
            connect_timeout=self._connect_timeout_s,
            login_timeout=self._connect_timeout_s,
        )
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await asyncssh.get_server_host_key(
                    hop.address,
                    hop.port,
                    tunnel=_tunnel(before),
                    server_host_key_algs=list(algorithms),
                    config=None,
                    options=options,
                )
        except _NO_COMMON_KEY as error:
            if algorithms is not ALL_HOST_KEY_ALGORITHMS:
                return None
            raise connect_failed(hop, error) from None
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise connect_failed(hop, error) from None

    async def _login(
        self,
        hop: Hop,
        trusted: asyncssh.SSHKey,
        login_key: asyncssh.SSHKey | None,
        before: Sequence[asyncssh.SSHClientConnection],
    ) -> asyncssh.SSHClientConnection:
        client = _Client(trusted)
        methods = ["publickey"] * (login_key is not None) + ["password", "keyboard-interactive"] * bool(hop.password)
        options: dict[str, Any] = _NOTHING_LOCAL | {
            "client_factory": lambda: client,
            "username": hop.user,
            "password": hop.password or None,
            "client_keys": [login_key] if login_key is not None else None,
            "preferred_auth": ",".join(methods),
            "known_hosts": ([], [], []),
            "server_host_key_algs": algorithms_of(trusted),
            "connect_timeout": self._connect_timeout_s,
            "login_timeout": self._login_timeout_s,
            "keepalive_interval": _KEEPALIVE_S,
            "keepalive_count_max": _KEEPALIVES_MISSED,
        }
        try:
            async with asyncio.timeout(self._connect_timeout_s + self._login_timeout_s):
                return await asyncssh.connect(hop.address, hop.port, tunnel=_tunnel(before), **options)
        except asyncssh.HostKeyNotVerifiable as error:
            if client.other is not None:
                raise _changed(hop, client.other) from None
            raise connect_failed(hop, error) from None
        except _NO_COMMON_KEY as error:
            # So it ends where the host has no more key of the trusted one's type.
            other = await self._scan(hop, before, ALL_HOST_KEY_ALGORITHMS)
            if other is not None and other.get_algorithm() != trusted.get_algorithm():
                raise _changed(hop, other) from None
            raise connect_failed(hop, error) from None
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise connect_failed(hop, error) from None


class _Client(asyncssh.SSHClient):
    """Takes one host key, and remembers another that was shown."""

    def __init__(self, trusted: asyncssh.SSHKey) -> None:
        self._trusted = trusted
        self.other: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        if key == self._trusted:
            return True
        self.other = key
        return False


def _name_this_user() -> None:
    """A container may run us under a number without a name; asyncssh wants both of these, though it uses neither."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = "myx"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/nonexistent"


def _tunnel(before: Sequence[asyncssh.SSHClientConnection]) -> asyncssh.SSHClientConnection | None:
    return before[-1] if before else None


def _drop(connections: Sequence[asyncssh.SSHClientConnection]) -> None:
    for connection in reversed(connections):
        connection.abort()


def _whole(trusted: TrustedKey | None) -> asyncssh.SSHKey | None:
    """The whole trusted key when it is known and is the one of the fingerprint."""
    if trusted is None or not trusted.public_key:
        return None
    try:
        key = asyncssh.import_public_key(trusted.public_key)
    except (asyncssh.KeyImportError, ValueError):
        return None
    return key if not trusted.fingerprint or key.get_fingerprint() == trusted.fingerprint else None


def _unknown(hop: Hop, key: asyncssh.SSHKey) -> HostKeyUnknown:
    seen = shown(key)
    return HostKeyUnknown(
        "HOST_KEY_UNKNOWN",
        f"{where(hop)} shows the host key {seen.fingerprint}, and none is trusted",
        "compare it with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_…_key.pub), then trust it",
        fingerprint=seen.fingerprint,
        public_key=seen.public_key,
        host=hop.name,
        server_id=hop.server_id,
    )


def _changed(hop: Hop, key: asyncssh.SSHKey) -> HostKeyChanged:
    seen = shown(key)
    trusted = hop.host_key.fingerprint if hop.host_key else ""
    return HostKeyChanged(
        "HOST_KEY_CHANGED",
        f"{where(hop)} shows the host key {seen.fingerprint}, but {trusted or 'another one'} is trusted",
        "if the host was set up anew, trust the new key; otherwise somebody may be in between: do not go on",
        fingerprint=seen.fingerprint,
        public_key=seen.public_key,
        trusted_fingerprint=trusted,
        host=hop.name,
        server_id=hop.server_id,
    )
