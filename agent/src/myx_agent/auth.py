"""Who may speak: token, request signature (CONTRACTS.md, "Signature"), and slowing down who guesses."""

import asyncio
import contextlib
import errno
import hashlib
import hmac
import logging
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from myx_agent.config import Config

_SIGNATURE = re.compile(r"v1;t=(\d{1,12});n=([0-9a-f]{32});s=([0-9a-f]{64})")
_MAX_NONCES = 200_000
_COMPACT_LINES = 20_000
_WRITE_AGAIN_S = 30
_log = logging.getLogger("myx_agent")

on_token_shown: ContextVar[Callable[[], None]] = ContextVar("on_token_shown")
"""What to call when the request under way has shown the token; the server sets it, to know its connections."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A token and the key of the signatures that belong to it."""

    token: bytes = field(repr=False)
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, agent_token: str, secret_key: str) -> "Pair":
        return cls(agent_token.encode(), secret_key.encode())


shown_pair: ContextVar[Pair] = ContextVar("shown_pair")
"""The pair that the request under way has shown."""


class Keyring:
    """The pairs that are taken: the present one and, until a rotation is finished, the one before."""

    def __init__(self, config: Config) -> None:
        self.take(config)

    def take(self, config: Config) -> None:
        """From now on the pairs of this configuration count."""
        before = config.previous
        self.present = Pair.of(config.agent_token, config.secret_key)
        self.previous = None if before is None else Pair.of(before.agent_token, before.secret_key)

    def pair_of(self, token: bytes) -> Pair | None:
        """The pair of a token; None when no pair has it. Takes the same time whichever is right."""
        found = None
        for pair in (self.previous or self.present, self.present):
            if hmac.compare_digest(token, pair.token):
                found = pair
        return found


class Verdict(Enum):
    OK = "ok"
    DENIED = "denied"
    CLOCK_SKEW = "clock_skew"


class Nonces:
    """Nonces seen within the tolerance, in a file too, so that a restart opens no window for a replay.

    The oldest give way beyond a bound; signatures as old as those are then refused. When the file cannot be written
    (the disk is full) memory must do, and the whole file is tried again every half minute.
    """

    def __init__(self, path: Path, keep_s: float) -> None:
        self._path = path
        self._keep_s = keep_s
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._floor = 0
        self._lines = 0
        self._fd = -1
        self._failed_at: float | None = None

    def load(self, now_s: float) -> None:
        """Read what was seen before the restart. Raises OSError when that cannot be read."""
        if self._path.exists():
            for line in self._path.read_text(errors="replace").splitlines():
                time_text, _blank, nonce = line.partition(" ")
                if time_text.isdigit() and int(time_text) + self._keep_s >= now_s:
                    self._seen[nonce] = int(time_text)
        self._rewrite(now_s)

    def add(self, nonce: str, signed_at: int, now_s: float) -> bool:
        """Remember a nonce; False when it was seen, or is too old to know."""
        if nonce in self._seen or signed_at < self._floor:
            return False
        self._seen[nonce] = signed_at
        while self._seen:
            oldest, oldest_at = next(iter(self._seen.items()))
            if oldest_at + self._keep_s >= now_s and len(self._seen) <= _MAX_NONCES:
                break
            if oldest_at + self._keep_s >= now_s:
                self._floor = max(self._floor, oldest_at + 1)
            del self._seen[oldest]
        self._append(f"{signed_at} {nonce}\n".encode(), now_s)
        return True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, line: bytes, now_s: float) -> None:
        if self._failed_at is not None:
            if abs(now_s - self._failed_at) >= _WRITE_AGAIN_S:
                self._rewrite(now_s)
            return
        try:
            if os.write(self._fd, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._give_up(error, now_s)
            return
        self._lines += 1
        if self._lines > 2 * len(self._seen) + _COMPACT_LINES:
            self._rewrite(now_s)

    def _rewrite(self, now_s: float) -> None:
        """Put what is known into a new file in place of the old one, which stays when that fails."""
        self.close()
        fresh = self._path.with_suffix(".new")
        try:
            fresh.touch(mode=0o600)
            fresh.write_text("".join(f"{at} {nonce}\n" for nonce, at in self._seen.items()))
            fresh.replace(self._path)
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            self._give_up(error, now_s)
            return
        self._lines = len(self._seen)
        if self._failed_at is not None:
            self._failed_at = None
            _log.info("%s is written again", self._path)

    def _give_up(self, error: OSError, now_s: float) -> None:
        if self._failed_at is None:
            _log.warning(
                "cannot write %s: %s; going on in memory: a restart now may accept a replayed request",
                self._path,
                error.strerror,
            )
        self._failed_at = now_s
        self.close()


class Authenticator:
    """Checks token and signature of requests. `clock` gives Unix seconds."""

    def __init__(self, config: Config, nonces: Nonces, clock: Callable[[], float] = time.time) -> None:
        self.keyring = Keyring(config)
        self._required = config.require_signature
        self._tolerance_s = config.signature_tolerance_s
        self._nonces = nonces
        self._clock = clock

    def recognise(self, token: bytes) -> Pair | None:
        """The pair of the token that a request shows; None: it is a stranger's."""
        pair = self.keyring.pair_of(token)
        if pair is not None and (tell := on_token_shown.get(None)) is not None:
            tell()
        return pair

    def now_s(self) -> float:
        return self._clock()

    def check_signature(
        self, header: str | None, method: str, target: str, body: bytes, pair: Pair | None = None
    ) -> Verdict:
        """The verdict on a request that showed the token of `pair` (default: the present one).

        `target` is path and query as in the request line.
        """
        if header is None:
            return Verdict.DENIED if self._required else Verdict.OK
        match = _SIGNATURE.fullmatch(header)
        if match is None:
            return Verdict.DENIED
        signed_at, nonce, mac = match.groups()
        text = f"{method}\n{target}\n{signed_at}\n{nonce}\n{hashlib.sha256(body).hexdigest()}"
        expected = hmac.digest(
            (pair or self.keyring.present).key, text.encode("utf-8", "surrogateescape"), "sha256"
        ).hex()
        if not hmac.compare_digest(mac, expected):
            return Verdict.DENIED
        now_s = self._clock()
        if abs(now_s - int(signed_at)) > self._tolerance_s:
            return Verdict.CLOCK_SKEW
        return Verdict.OK if self._nonces.add(nonce, int(signed_at), now_s) else Verdict.DENIED


class Throttle:
    """Delays refusals to an address that keeps failing. Bounded in addresses and in answers held back."""

    def __init__(self, free: int = 5, first_s: float = 0.2, longest_s: float = 3.0, forget_s: float = 300) -> None:
        self._free = free
        self._first_s = first_s
        self._longest_s = longest_s
        self._forget_s = forget_s
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._held = 0

    def delay_s(self, address: str) -> float:
        """Count a failure; how long to wait with the refusal."""
        count, last = self._failures.pop(address, (0, 0.0))
        now = time.monotonic()
        count = 1 if now - last > self._forget_s else count + 1
        self._failures[address] = count, now
        if len(self._failures) > 4096:
            self._failures.popitem(last=False)
        if count <= self._free:
            return 0
        return min(self._longest_s, self._first_s * 2.0 ** min(count - self._free - 1, 10))

    async def hold(self, address: str) -> None:
        """Wait as the address deserves; at most 256 answers are held back at a time."""
        delay_s = self.delay_s(address)
        if delay_s and self._held < 256:
            self._held += 1
            try:
                await asyncio.sleep(delay_s)
            finally:
                self._held -= 1
