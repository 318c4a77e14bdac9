"""A master key file that changes while a service runs: its keys are taken, and what is stored is sealed again."""

import time
from collections.abc import Awaitable, Callable

from myx_kit.errors import FailedPrecondition
from myx_kit.logging import get_logger
from myx_kit.secretbox import SecretBox

log = get_logger()

# Also when nothing is left: another replica may have sealed with the old key until it too had looked at the file.
_AGAIN_S = 600.0
# What is left was held or changed by somebody for a moment, or is damaged and stays so: the pauses double.
_LEFT_AGAIN_S = 1.0


class KeyWatch:
    """Takes a changed master key file while running, and seals all secrets again when another key became primary."""

    def __init__(
        self, box: SecretBox, reseal: Callable[[], Awaitable[int]], is_needed: Callable[[], bool] = lambda: True
    ) -> None:
        """`reseal` gives the number of values that are left; it is not called while `is_needed` is false."""
        self._box = box
        self._reseal = reseal
        self._is_needed = is_needed
        self._complaint = ""
        self._sealed_for = ""
        self._due_at = 0.0
        self._pause_s = _LEFT_AGAIN_S

    async def run_once(self) -> None:
        """Look at the file; seal again if there is anything to do. A bad file leaves the keys in force."""
        self._look()
        primary = self._box.primary
        if primary != self._sealed_for:
            self._sealed_for, self._due_at, self._pause_s = primary, 0.0, _LEFT_AGAIN_S
        if not self._is_needed() or time.monotonic() < self._due_at:
            return
        left = await self._reseal()
        self._due_at = time.monotonic() + (self._pause_s if left else _AGAIN_S)
        self._pause_s = min(self._pause_s * 2, _AGAIN_S) if left else _LEFT_AGAIN_S

    def _look(self) -> None:
        try:
            changed = self._box.reload()
        except FailedPrecondition as error:
            if error.message != self._complaint:
                self._complaint = error.message
                log.error("master_keys_not_taken", reason=error.reason, message=error.message)
            return
        self._complaint = ""
        if changed:
            log.info("master_keys_taken", primary=self._box.primary, ids=sorted(self._box.key_ids))
