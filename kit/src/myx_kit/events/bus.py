"""The one connection of a process to NATS: live messages, events, subscriptions. NATS may come and go as it likes."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import nats
import nats.errors
import nats.js.errors
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from myx.events.v1.events_pb2 import Event
from myx_kit import tracing
from myx_kit.errors import FailedPrecondition, Unavailable
from myx_kit.events.subjects import EVENT_STREAM, EVENT_SUBJECTS
from myx_kit.events.subscription import Subscription
from myx_kit.logging import get_logger
from myx_kit.loops import TaskOwner
from myx_kit.metrics import BUS_CONNECTED, BUS_DROPPED
from myx_kit.tls import ca_path, certificate_path, key_path

log = get_logger()

_SERVER_NAME = "nats"
_RECONNECT_S = 0.2
# Of making and closing a connection. RuntimeError: uvloop's, when nats-py writes to one that is gone already.
_FAILURES = (nats.errors.Error, OSError, RuntimeError)
_PING_S = 10
_PENDING_BYTES = 16 << 20
_CONNECT_TIMEOUT_S = 5
_PUBLISH_TIMEOUT_S = 3.0
_FLUSH_TIMEOUT_S = 5
# Unsent bytes beyond which live messages wait a moment, then are dropped; below the client's own limit, which blocks.
_BACKLOG_BYTES = 8 << 20
_RELIEF_TIMEOUT_S = 0.5
_NEVER_S = 1 << 20
_STALL_S = 2.0
# A client that has not come back by then is thrown away and made anew: some of its errors end its own attempts.
_GIVE_UP_CLIENT_S = 20.0

_STREAM = StreamConfig(
    name=EVENT_STREAM,
    subjects=[EVENT_SUBJECTS],
    storage=StorageType.FILE,
    retention=RetentionPolicy.LIMITS,
    max_age=7 * 86400,
    max_bytes=256 << 20,
    max_msg_size=512 << 10,
    # Longer than a database needs to come back: what was published in the moment that it went is published again.
    duplicate_window=3600,
    num_replicas=1,
)

EventHandler = Callable[[Event], Awaitable[None]]


class Bus:
    """Use: `bus = await Bus.connect("tls://127.0.0.1:4222", tls_dir, "executor"); …; await bus.close()`.

    It connects in the background for ever: nothing here waits for NATS longer than its own stated limit.
    """

    def __init__(self, url: str, tls_dir: Path, own_name: str) -> None:
        self._url = url
        self._own_name = own_name
        self._tls = _tls_context(tls_dir, own_name)
        self._tasks = TaskOwner("bus")
        self._client: Client | None = None
        self._up = asyncio.Event()
        self._subscriptions: dict[Subscription, Any] = {}
        self._on_reconnect: list[Callable[[], None]] = []
        self._stream_known = False
        self._stalled_until = 0.0
        self._flushes: set[asyncio.Task[None]] = set()
        self.dropped = 0

    @classmethod
    async def connect(cls, url: str, tls_dir: Path, own_name: str, wait_s: float = 1.0) -> "Bus":
        """A bus that connects from now on; waits at most `wait_s` for the first connection and goes on without.

        FailedPrecondition `TLS_FILES_UNREADABLE` when the certificate of `own_name` is not in `tls_dir`.
        """
        bus = cls(url, tls_dir, own_name)
        bus._tasks.start(bus._stay_connected(), name="connection", critical=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await bus._up.wait()
        return bus

    @property
    def connected(self) -> bool:
        """Whether the connection stands now."""
        return self._client is not None and self._client.is_connected

    def client(self) -> Client:
        """The connection itself, for the modules beside this one. Unavailable while it does not stand."""
        if self._client is None or not self._client.is_connected:
            raise _unavailable("NATS is away")
        return self._client

    async def close(self) -> None:
        """End all subscriptions and the connection; what was published before is sent."""
        self._client = None
        await self._tasks.close()
        BUS_CONNECTED.set(0)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each connection is made, the first one too."""
        self._on_reconnect.append(callback)

    async def publish(self, subject: str, payload: bytes) -> None:
        """Send on core NATS, best effort: while NATS is away or does not keep up the message is dropped and counted.

        Waits for NATS at most half a second in two. `payload` is at most 1 MiB; keep pieces at or below 512 KiB.
        """
        if self._client is not None and self._client.is_connected and await self._has_room(self._client):
            try:
                await self._client.publish(subject, payload)
            except (nats.errors.Error, OSError) as error:
                log.debug("bus_publish_failed", subject=subject, error=type(error).__name__)
            else:
                return
        self.dropped += 1
        BUS_DROPPED.inc()

    async def publish_event(self, event_id: str, subject: str, payload: bytes, traceparent: str = "") -> None:
        """Store an event in the stream; repeated ids within two minutes are stored once.

        Unavailable `EVENT_BUS_UNAVAILABLE` when NATS did not confirm it; it may be stored all the same: repeat.
        """
        if not self.connected:
            raise _unavailable("NATS is away")
        try:
            if not self._stream_known:
                await self.ensure_stream()
            headers = {"Nats-Msg-Id": event_id} | ({tracing.HEADER: traceparent} if traceparent else {})
            await self._publish_stored(subject, payload, headers)
        except nats.js.errors.NoStreamResponseError:
            # Its storage was wiped: the stream is made again at the next try.
            self._stream_known = False
            raise _unavailable("the event stream is missing") from None
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise _unavailable(type(error).__name__) from None

    async def ensure_stream(self) -> None:
        """Make the event stream as it should be; harmless when it is there. Unavailable when NATS is away."""
        if self._client is None:
            raise _unavailable("NATS is away")
        jetstream = self._client.jetstream(timeout=_PUBLISH_TIMEOUT_S)
        try:
            await jetstream.add_stream(_STREAM)
        except nats.js.errors.BadRequestError:
            await jetstream.update_stream(_STREAM)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise _unavailable(type(error).__name__) from None
        self._stream_known = True

    @asynccontextmanager
    async def subscribe(
        self, subject: str, *, queue: str = "", max_messages: int = 1024, max_bytes: int = 8 << 20
    ) -> AsyncIterator[Subscription]:
        """A bounded subscription of core NATS for the time of the block; members of one `queue` share the messages.

        Works while NATS is away too (then `lost` is set). To miss nothing: subscribe, `await bus.flush()`, read the
        database, then follow.
        """
        subscription = Subscription(subject, queue, max_messages, max_bytes)
        self._subscriptions[subscription] = None
        try:
            await self._attach(subscription)
            yield subscription
        finally:
            handle = self._subscriptions.pop(subscription)
            if handle is not None:
                with suppress(nats.errors.Error, OSError):
                    await handle.unsubscribe()

    async def flush(self) -> None:
        """Wait, at most 5 s, until NATS has seen all that was sent, subscriptions too; no wait while it is away."""
        if self._client is not None and self._client.is_connected:
            await self._flush(self._client, _FLUSH_TIMEOUT_S)

    def consume_ephemeral(
        self, subject: str, handler: EventHandler, *, on_lost: Callable[[], None] | None = None
    ) -> None:
        """Call `handler` for the events on `subject` ("myx.events.agent.>") until the bus closes; best effort.

        For caches: events that pass while NATS is away are not given later; `on_lost` is called instead. An error of
        the handler is logged and the next event goes on.
        """
        self._tasks.start(self._consume(subject, handler, on_lost), name=f"consume {subject}")

    async def _consume(self, subject: str, handler: EventHandler, on_lost: Callable[[], None] | None) -> None:
        async with self.subscribe(subject) as subscription:
            async for payload in subscription:
                if subscription.lost:
                    subscription.lost = False
                    if on_lost is not None:
                        on_lost()
                if not payload:
                    continue
                try:
                    await handler(Event.FromString(payload))
                except DecodeError:
                    log.error("event_undecodable", subject=subject)
                except Exception as error:
                    log.error("event_handler_failed", subject=subject, exc_info=error)

    async def _has_room(self, client: Client) -> bool:
        if client.pending_data_size < _BACKLOG_BYTES:
            return True
        if time.monotonic() < self._stalled_until:
            return False
        if await self._flush(client, _RELIEF_TIMEOUT_S):
            return True
        self._stalled_until = time.monotonic() + _STALL_S
        return False

    async def _flush(self, client: Client, timeout_s: float) -> bool:
        # A flush of nats-py that is cancelled, or that times out, kills its read loop when the answer comes after all
        # (InvalidStateError in _process_pong). So it runs in a task of its own, which only a lost connection cancels.
        async def flush() -> None:
            with suppress(nats.errors.Error, OSError):
                await client.flush(_NEVER_S)

        task = self._tasks.start(flush(), name="flush")
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)
        await asyncio.wait({task}, timeout=timeout_s)
        return task.done() and not task.cancelled()

    async def _publish_stored(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        if self._client is None:
            raise _unavailable("NATS is away")
        jetstream = self._client.jetstream(timeout=_PUBLISH_TIMEOUT_S)
        await jetstream.publish(subject, payload, stream=EVENT_STREAM, headers=headers)

    async def _attach(self, subscription: Subscription) -> None:
        async def deliver(message: Any) -> None:
            subscription.put(message.data)

        if self._client is None or not self._client.is_connected:
            subscription.mark_lost()
        if self._client is not None:
            with suppress(nats.errors.Error, OSError):
                self._subscriptions[subscription] = await self._client.subscribe(
                    subscription.subject, queue=subscription.queue, cb=deliver
                )

    async def _stay_connected(self) -> None:
        while True:
            closed = asyncio.Event()
            client = Client()
            try:
                await self._open(client, closed)
                self._client = client
                self._stream_known = False
                for subscription in list(self._subscriptions):
                    await self._attach(subscription)
                await self._reconnected()
                await self._until_dead(client, closed)
            except (*_FAILURES, EOFError, ValueError) as error:
                log.warning("nats_connect_failed", error=str(error))
            finally:
                self._client = None
                self._up.clear()
                await _close(client)
            await asyncio.sleep(_RECONNECT_S)

    async def _open(self, client: Client, closed: asyncio.Event) -> None:
        complained = False

        async def on_error(error: Exception) -> None:
            nonlocal complained
            if not complained:
                log.warning("nats_error", error=str(error) or type(error).__name__)
            complained = True

        async def on_closed() -> None:
            closed.set()

        async def on_reconnected() -> None:
            nonlocal complained
            complained = False
            await self._reconnected()

        await client.connect(
            self._url,
            name=f"myx-{self._own_name}",
            error_cb=on_error,
            disconnected_cb=self._disconnected,
            reconnected_cb=on_reconnected,
            closed_cb=on_closed,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT_S,  # type: ignore[arg-type, unused-ignore]
            connect_timeout=_CONNECT_TIMEOUT_S,
            ping_interval=_PING_S,
            pending_size=_PENDING_BYTES,
            tls=self._tls,
            tls_hostname=_SERVER_NAME,
        )
        complained = False

    async def _until_dead(self, client: Client, closed: asyncio.Event) -> None:
        away_since: float | None = None
        while not closed.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await closed.wait()
            now = time.monotonic()
            away_since = None if client.is_connected else away_since or now
            if away_since is not None and now - away_since > _GIVE_UP_CLIENT_S:
                return

    async def _disconnected(self) -> None:
        if self._up.is_set():
            log.warning("nats_disconnected")
        self._up.clear()
        BUS_CONNECTED.set(0)
        for task in self._flushes:
            task.cancel()
        self._mark_all_lost()

    async def _reconnected(self) -> None:
        log.info("nats_connected")
        self._up.set()
        BUS_CONNECTED.set(1)
        self._mark_all_lost()
        for callback in self._on_reconnect:
            callback()

    def _mark_all_lost(self) -> None:
        for subscription in self._subscriptions:
            subscription.mark_lost()


async def _close(client: Client) -> None:
    with suppress(*_FAILURES, TimeoutError):
        async with asyncio.timeout(3):
            if client.is_connected:
                with suppress(*_FAILURES):
                    await client.flush(1)
            await client.close()


def _tls_context(tls_dir: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca_path(tls_dir))
        context.load_cert_chain(certificate_path(tls_dir, name), key_path(tls_dir, name))
    except OSError as error:
        message = f"cannot use the certificate of {name} in {tls_dir}: {error.strerror or error}"
        raise FailedPrecondition("TLS_FILES_UNREADABLE", message) from None
    return context


def _unavailable(cause: str) -> Unavailable:
    return Unavailable("EVENT_BUS_UNAVAILABLE", "the event bus does not answer", cause=cause)
