"""One simulated agent: its listening socket, who may speak to it, and how it misbehaves."""

import asyncio
import hashlib
import hmac
import re
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from bench.simulator.commands import Ticker
from bench.simulator.fleet_file import FleetFile, Identity
from bench.simulator.rpc import Marks, Methods

if TYPE_CHECKING:
    from bench.simulator.wire import Connection

TOLERANCE_S = 300
_SIGNATURE = re.compile(rb"v1;t=(\d{1,12});n=([0-9a-f]{32});s=([0-9a-f]{64})")
_ACCEPT_AT_ONCE = 32
_HANDSHAKE_S = 10.0
_MAX_NONCES = 64


class Behaviour(msgspec.Struct, forbid_unknown_fields=True):
    """How an agent misbehaves; the defaults are a good one.

    `dead`: its port is closed. `frozen`: the port takes connections and nobody looks at them. `mute`: it reads and
    never answers. `slow_s`: before each answer. `flap_s`: dead for so long, alive for so long, and so on.
    `wrong_certificate`, `wrong_path` (404), `wrong_token` (401). `status`: this HTTP status to everything. `skew_s`:
    its clock is ahead.
    `machine_id`: that of another machine. `drop_replies`: share of the requests that are carried out and not answered.
    """

    dead: bool = False
    frozen: bool = False
    mute: bool = False
    slow_s: float = 0.0
    flap_s: float = 0.0
    wrong_certificate: bool = False
    wrong_path: bool = False
    wrong_token: bool = False
    status: int = 0
    skew_s: float = 0.0
    machine_id: str = ""
    drop_replies: float = 0.0


GOOD = Behaviour()


@dataclass(slots=True)
class Counts:
    """What the agents of one process have seen."""

    handshakes: int = 0
    requests: int = 0
    heartbeats: int = 0
    refused: int = 0
    streams: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


@dataclass(slots=True)
class Shared:
    """What all agents of one process share."""

    context: ssl.SSLContext
    wrong_context: ssl.SSLContext
    make_connection: Callable[["Agent"], "Connection"]
    ticker: Ticker = field(default_factory=Ticker)
    marks: Marks = field(default_factory=Marks)
    counts: Counts = field(default_factory=Counts)
    greetings: set["asyncio.Task[None]"] = field(default_factory=set)


class Agent:
    """Serves on its own address and port."""

    __slots__ = (
        "_flap",
        "_listener",
        "_log_prefix",
        "_nonces",
        "_secret",
        "_token",
        "asked_at",
        "behaviour",
        "connections",
        "identity",
        "longest_gap_s",
        "methods",
        "rpc_path",
        "shared",
    )

    def __init__(self, identity: Identity, shared: Shared) -> None:
        self.identity = identity
        self.shared = shared
        self.methods = Methods(identity, shared.ticker, shared.marks)
        self.behaviour = GOOD
        # When it was last asked for a heartbeat (the machine's monotonic clock; 0: never), and the longest time between
        # two of them.
        self.asked_at = self.longest_gap_s = 0.0
        self.connections: set[Connection] = set()
        self.rpc_path = f"/{identity.rpc_path}/rpc".encode()
        self._log_prefix = f"/{identity.rpc_path}/commands/".encode()
        self._token = identity.agent_token.encode()
        self._secret = identity.secret_key.encode()
        self._nonces: dict[bytes, int] = {}
        self._listener: socket.socket | None = None
        self._flap: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Listen. OSError: the port is taken."""
        if self._listener is None:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind((self.identity.address, self.identity.rpc_port))
            listener.listen(64)
            self._listener = listener
            asyncio.get_running_loop().add_reader(listener, self._accept)

    def close(self) -> None:
        """The agent is gone: nobody listens, connections are cut. Commands run on."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for connection in list(self.connections):
            connection.cut()

    def behave(self, changes: dict[str, Any]) -> None:
        """From now on otherwise. msgspec.ValidationError names what cannot be."""
        known = {name: getattr(self.behaviour, name) for name in Behaviour.__struct_fields__}
        new = msgspec.convert(known | changes, Behaviour)
        before, self.behaviour = self.behaviour, new
        self.methods.skew_s = new.skew_s
        if new.machine_id:
            self.methods.machine_id = new.machine_id
        if self._flap is not None:
            self._flap.cancel()
            self._flap = None
        if new.dead:
            self.close()
        else:
            self.open()
        if new.frozen != before.frozen:
            self._freeze(new.frozen)
        if new.wrong_certificate != before.wrong_certificate:
            for connection in list(self.connections):
                connection.cut()
        if new.flap_s:
            self._flap_later()

    def admits(self, method: bytes, target: bytes, token: bytes, signature: bytes, body: bytes) -> tuple[int, bytes]:
        """HTTP status 200, or that of a refusal and its body."""
        behaviour = self.behaviour
        if behaviour.status:
            return behaviour.status, b""
        if behaviour.wrong_path or not (target == self.rpc_path or target.startswith(self._log_prefix)):
            return 404, b""
        if behaviour.wrong_token or not hmac.compare_digest(token, self._token):
            return 401, b""
        match = _SIGNATURE.fullmatch(signature)
        if match is None:
            return 401, b""
        signed_at, nonce, mac = match.groups()
        text = b"\n".join((method, target, signed_at, nonce, hashlib.sha256(body).hexdigest().encode()))
        if not hmac.compare_digest(mac, hmac.digest(self._secret, text, "sha256").hex().encode()):
            return 401, b""
        now_s = self.methods.now_s()
        if abs(now_s - int(signed_at)) > TOLERANCE_S:
            return 401, msgspec.json.encode({"error": "clock_skew", "time": now_s})
        return (200, b"") if self._is_new(nonce, int(signed_at)) else (401, b"")

    def note_check(self) -> None:
        """It is asked for a heartbeat."""
        now = time.monotonic()
        if self.asked_at:
            self.longest_gap_s = max(self.longest_gap_s, now - self.asked_at)
        self.asked_at = now

    def log_of(self, target: bytes) -> tuple[str, int]:
        """(command id, offset) of the target of a log stream."""
        path, _, query = target[len(self._log_prefix) :].partition(b"?")
        offset = next((part[7:] for part in query.split(b"&") if part.startswith(b"offset=")), b"0")
        return path.removesuffix(b"/log").decode(), int(offset)

    def _is_new(self, nonce: bytes, signed_at: int) -> bool:
        nonces = self._nonces
        if nonce in nonces:
            return False
        if len(nonces) >= _MAX_NONCES and (oldest := time.time() - TOLERANCE_S):
            self._nonces = nonces = {one: at for one, at in nonces.items() if at >= oldest}
        nonces[nonce] = signed_at
        return True

    def _accept(self) -> None:
        listener = self._listener
        if listener is None:
            return
        loop = asyncio.get_running_loop()
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            connection.setblocking(False)
            greeting = loop.create_task(self._greet(connection))
            self.shared.greetings.add(greeting)
            greeting.add_done_callback(self.shared.greetings.discard)

    async def _greet(self, connection: socket.socket) -> None:
        shared = self.shared
        context = shared.wrong_context if self.behaviour.wrong_certificate else shared.context
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: shared.make_connection(self), connection, ssl=context, ssl_handshake_timeout=_HANDSHAKE_S
            )
            shared.counts.handshakes += 1
        except (OSError, TimeoutError):
            connection.close()

    def _freeze(self, frozen: bool) -> None:
        loop = asyncio.get_running_loop()
        if self._listener is not None:
            if frozen:
                loop.remove_reader(self._listener)
            else:
                loop.add_reader(self._listener, self._accept)
        for connection in self.connections:
            connection.freeze(frozen)

    def _flap_later(self) -> None:
        if self._listener is None:
            self.open()
        else:
            self.close()
        self._flap = asyncio.get_running_loop().call_later(self.behaviour.flap_s, self._flap_later)


def tls_context(fleet: FleetFile, *, wrong: bool = False) -> ssl.SSLContext:
    """The server's side, with the shared certificate or the wrong one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pem = fleet.wrong_certificate_pem + fleet.wrong_private_key_pem if wrong else None
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem or fleet.certificate_pem + fleet.private_key_pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context
