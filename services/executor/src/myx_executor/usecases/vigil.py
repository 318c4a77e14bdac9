"""The times that the control plane keeps by itself while an agent runs a command, whatever the agent says."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from myx_executor.domain.command import Command, Completeness, Outcome
from myx_executor.domain.states import LOST_AFTER_S, OVERDUE_MARGIN_S, Status

_LONGEST_TOUCH_S = 600.0
# An owner gives the agent this long to be heard of, however late it is: perhaps it was us who were away.
_FIRST_CHANCE_S = 60.0
_SHORTEST_LOOK = timedelta(seconds=0.05)


class Contact:
    """When the agent was last heard of, and when it last had output."""

    def __init__(self) -> None:
        self.is_open = False
        self.output_at = _now()
        self._heard_at: datetime | None = None

    def heard(self) -> None:
        """It answered."""
        self._heard_at = _now()

    def had_output(self) -> None:
        """It sent a part of the log."""
        self.output_at = self._heard_at = _now()

    @property
    def last(self) -> datetime | None:
        """The last word of the agent; None: there was none since this replica has the command."""
        return _now() if self.is_open else self._heard_at


class Vigil:
    """Limits of one running command. `touch` moves the stored deadline of one that has no run limit."""

    def __init__(
        self,
        command: Command,
        contact: Contact,
        touch: Callable[[], Awaitable[None]],
        *,
        lost_after_s: float = LOST_AFTER_S,
        margin_s: float = OVERDUE_MARGIN_S,
    ) -> None:
        self._spec = command.spec
        self._contact = contact
        self._touch = touch
        self._lost_after = timedelta(seconds=lost_after_s)
        self._margin = timedelta(seconds=margin_s)
        self._started_at = command.started_at or _now()
        chance = _now() + min(self._lost_after, timedelta(seconds=_FIRST_CHANCE_S))
        self._deadline = max(command.deadline_at or chance, chance)
        self._end_asked = command.cancel_requested_at is not None
        self._changed = asyncio.Event()

    def end_is_asked(self, grace_s: float) -> None:
        """From now on the agent has the grace, and then as long as an agent may be away."""
        if self._end_asked:
            return
        self._end_asked = True
        deadline = _now() + timedelta(seconds=grace_s) + self._lost_after
        self._deadline = min(self._deadline, deadline) if self._spec.timeout_s else deadline
        self._changed.set()

    async def overdue(self) -> str:
        """Returns once the agent let a limit pass: `timeout` or `no_output_timeout`."""
        while True:
            waits = []
            if self._spec.timeout_s:
                due = self._started_at + timedelta(seconds=self._spec.timeout_s) + self._margin
                if _now() >= due:
                    return "timeout"
                waits.append(due)
            if self._spec.no_output_timeout_s:
                silent_since = self._contact.output_at + timedelta(seconds=self._spec.no_output_timeout_s)
                due = silent_since + self._margin
                last = self._contact.last
                if _now() >= due and last is not None and last > silent_since:
                    return "no_output_timeout"
                # It was not heard of: once it is, it is asked at the latest so long after.
                waits.append(max(due, _now() + max(self._margin / 10, _SHORTEST_LOOK)))
            await _until(min(waits, default=None))

    async def gone(self) -> Outcome:
        """Returns at the deadline of the state: nothing more is to be expected."""
        touch_every = min(self._lost_after / 10, timedelta(seconds=_LONGEST_TOUCH_S))
        touch_at = _now() + touch_every
        while True:
            self._move_on()
            if _now() >= self._deadline:
                return self._lost()
            if self._moves and _now() >= touch_at:
                if self._contact.last is not None:
                    await self._touch()
                touch_at = _now() + touch_every
            await self._pause(min(self._deadline, touch_at) if self._moves else self._deadline)

    @property
    def _moves(self) -> bool:
        return not self._spec.timeout_s and not self._end_asked

    def _move_on(self) -> None:
        last = self._contact.last
        if self._moves and last is not None:
            self._deadline = max(self._deadline, last + self._lost_after)

    async def _pause(self, until: datetime) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(max((until - _now()).total_seconds(), 0.0)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _lost(self) -> Outcome:
        last = self._contact.last
        heard = f"was last heard of at {last:%Y-%m-%d %H:%M:%S %Z}" if last else "was not heard of any more"
        if self._end_asked:
            reason, message = "cancel_not_proved", f"its agent never proved the end; it {heard}"
        else:
            reason, message = "agent_gone", f"its agent never told the end; it {heard}"
        return Outcome(
            Status.LOST,
            reason,
            f"{message}. It may still run; it is not run again",
            completeness=Completeness.INCOMPLETE,
            evidence=f"the deadline of the state has passed; the agent {heard}",
        )


async def _until(at: datetime | None) -> None:
    if at is None:
        await asyncio.Event().wait()
        return
    await asyncio.sleep(max((at - _now()).total_seconds(), 0.0))


def _now() -> datetime:
    return datetime.now(UTC)
