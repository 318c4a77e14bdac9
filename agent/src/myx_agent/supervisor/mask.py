"""Secret values in output become `***`, also when a read cuts one in two."""

import re

MASK = b"***"
MIN_SECRET_BYTES = 4  # masking shorter ones would shred ordinary output


class Mask:
    """A streaming replacer: however the output is cut, the result is that of the whole.

    At each place the longest secret wins. What may still become a (longer) secret is held back until the next bytes
    decide.
    """

    def __init__(self, secrets: list[bytes]) -> None:
        self.secrets = secrets
        parts = {secret for secret in secrets if len(secret) >= MIN_SECRET_BYTES}
        for secret in secrets:
            parts |= {line for line in (line.strip() for line in secret.splitlines()) if len(line) >= 8}
        self._parts = sorted(parts, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(part) for part in self._parts)) if parts else None
        # The beginnings of 3, 2 and 1 bytes; longer ones are found by their first four.
        self._short = [(size, tuple({part[:size] for part in parts})) for size in range(MIN_SECRET_BYTES - 1, 0, -1)]
        self.held = b""

    @property
    def active(self) -> bool:
        return self._pattern is not None

    def feed(self, data: bytes) -> bytes:
        """The part of the stream that is decided."""
        if self._pattern is None:
            return data
        text = self.held + data
        pieces: list[bytes] = []
        done, hold = 0, self._undecided(text, 0)
        for match in self._pattern.finditer(text):
            if match.start() >= hold:
                break
            pieces += (text[done : match.start()], MASK)
            done = match.end()
            if done > hold:
                hold = self._undecided(text, done)
        pieces.append(text[done:hold])
        self.held = text[hold:]
        return b"".join(pieces)

    def finish(self) -> bytes:
        """What was held back, as the stream ended."""
        held, self.held = self.held, b""
        return self._pattern.sub(MASK, held) if self._pattern is not None else held

    def _undecided(self, text: bytes, start: int) -> int:
        """The first place, from `start` on, whose bytes up to the end only begin a secret; the end if there is none."""
        first = len(text)
        for part in self._parts:
            anchor, end = part[:MIN_SECRET_BYTES], first + MIN_SECRET_BYTES - 1
            at = text.find(anchor, max(start, len(text) - len(part) + 1), end)
            while at >= 0 and not part.startswith(text[at:]):
                at = text.find(anchor, at + 1, end)
            if at >= 0:
                first = at
        if first < len(text):
            return first
        for size, beginnings in self._short:
            if len(text) - size >= start and text.endswith(beginnings):
                return len(text) - size
        return first
