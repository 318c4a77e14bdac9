"""Secret values in output become `***`, also when a read cuts one in two."""

import re

MASK = b"***"
MIN_SECRET_BYTES = 4  # masking shorter ones would shred ordinary output


class Mask:
    """A streaming replacer. It holds back only what may be the beginning of a secret, until the next bytes decide."""

    def __init__(self, secrets: list[bytes]) -> None:
        self.secrets = secrets
        parts = {secret for secret in secrets if len(secret) >= MIN_SECRET_BYTES}
        for secret in secrets:
            parts |= {line for line in (line.strip() for line in secret.splitlines()) if len(line) >= 8}
        self._parts = sorted(parts, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(part) for part in self._parts)) if parts else None
        self.held = b""

    @property
    def active(self) -> bool:
        return self._pattern is not None

    def feed(self, data: bytes) -> bytes:
        """The part of the stream that is decided."""
        if self._pattern is None:
            return data
        text = self._pattern.sub(MASK, self.held + data)
        keep = self._undecided(text)
        self.held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> bytes:
        """What was held back: no secret, as the stream ended."""
        held, self.held = self.held, b""
        return held

    def _undecided(self, text: bytes) -> int:
        """How many last bytes begin a secret that is not complete."""
        longest = 0
        for part in self._parts:
            for size in range(min(len(part) - 1, len(text)), longest, -1):
                if text.endswith(part[:size]):
                    longest = size
                    break
        return longest
