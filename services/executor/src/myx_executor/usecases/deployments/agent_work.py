"""Commands and plays that a deployment has its agent run: their output is part of the deployment's log, and another
replica goes on with them where this one stopped."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from myx_executor.domain.command import CommandSpec, Completeness, Outcome, Secrets
from myx_executor.domain.deployment import DeploymentLost, StepCancelled, StepFailed, recap_from_wire
from myx_executor.domain.log import LogBytes, LogEnd, LogGap, LogItem, Piece, cut, gather
from myx_executor.domain.outcome import StreamHash, outcome_of, result_from_wire, verdict
from myx_executor.domain.states import Status
from myx_executor.store.codec import decode
from myx_executor.usecases.deliver import SHORT_S, Attempts, Delivery, Order, not_delivered
from myx_executor.usecases.deployments.play_log import PlayEvents
from myx_executor.usecases.deployments.ports import PlayEvent, PlayRequest
from myx_executor.usecases.deployments.run import Run
from myx_executor.usecases.drive import split
from myx_executor.usecases.fetch import Fetch
from myx_executor.usecases.patience import UNTIL_LOST, patiently
from myx_executor.usecases.ports import AgentFailed, ServerGone
from myx_executor.usecases.sink import OutOfStep
from myx_executor.usecases.vigil import Contact, Vigil
from myx_kit.errors import MyxError
from myx_kit.ids import new_id
from myx_kit.logging import get_logger

log = get_logger()

_ASK_AGAIN_S = 5.0
_PAGE_BYTES = 1024 * 1024
_EVENTS_WAIT_S = 20.0
_EVENTS_PAUSE_S = 1.0
_LAST_EVENTS_TRIES = 10
# An agent that goes on telling is not listened to for longer.
_LAST_EVENTS_S = 60.0
# Storing takes no more of that time, however long the database is away.
_STORE_S = 1.0
_CALLS = "calls"

_Send = Callable[[UUID, float], Awaitable[list[LogItem]]]


@dataclass(frozen=True, slots=True)
class AgentEnd:
    """How a command or play on the agent ended; `recap`: the counts, as `recap_from_wire` reads them."""

    outcome: Outcome
    recap: Any = None


class _Feed:
    """The command's log as a part of the deployment's, from `begin` on; counts and hashes what passes."""

    def __init__(self, run: Run, begin: int) -> None:
        self._run = run
        self._begin = begin
        self.hash = StreamHash()
        # The limit that the agent let pass until it was asked for the end.
        self.overdue = ""

    @property
    def received(self) -> int:
        return self._run.sink.received - self._begin

    async def feed(self, item: LogBytes | LogGap) -> None:
        if item.offset != self.received:
            raise OutOfStep
        self.hash_items([item])
        if isinstance(item, LogGap):
            await self._run.sink.feed(LogGap(item.offset + self._begin, item.end + self._begin, item.reason))
        else:
            await self._run.sink.feed(LogBytes(item.stream, item.offset + self._begin, item.data))

    def hash_items(self, items: list[LogBytes | LogGap]) -> None:
        for piece in gather(items):
            self.hash.update(piece)

    async def hash_stored(self) -> None:
        """Takes what an earlier owner has stored."""
        run, position = self._run, self._begin
        while position < run.sink.received:
            read_page = partial(run.tools.base.logs.page, run.deployment.id, position, _PAGE_BYTES)
            rows = await patiently(read_page, UNTIL_LOST)
            pieces: list[Piece] = [part for row in rows if (part := cut(decode(row), position)) is not None]
            if not pieces:
                return
            for piece in pieces:
                self.hash.update(piece)
            position = pieces[-1].end


async def run_command(
    run: Run, key: str, spec: CommandSpec, *, announce: str = "", secrets: Secrets | None = None
) -> AgentEnd:
    """Runs a command on the agent; `key` names it among those of this deployment, and it must be the same each time.

    StepCancelled when its end was asked for and is proved.
    """

    async def send(command_id: UUID, _timeout_s: float) -> list[LogItem]:
        return await run.tools.fleet.execute(run.server_id, command_id, spec, secrets or Secrets(), wait_s=SHORT_S)

    return await _follow(run, key, send, announce)


async def run_play(run: Run, key: str, request: PlayRequest, *, announce: str) -> AgentEnd:
    """As `run_command`, of a play that has the time that was left when it was begun; its events are stored too."""

    async def send(command_id: UUID, timeout_s: float) -> list[LogItem]:
        # The agent compares a repeat with what came first, the time limit too.
        same = replace(request, timeout_s=timeout_s)
        return await run.tools.fleet.execute_ansible(run.server_id, command_id, same, wait_s=SHORT_S)

    return await _follow(run, key, send, announce, events=True)


async def _follow(run: Run, key: str, send: _Send, announce: str, *, events: bool = False) -> AgentEnd:
    call, known = await _call(run, key, announce)
    if call.get("ended"):
        return AgentEnd(Outcome(Status(call["status"]), call["reason"], call["message"]), call.get("recap"))
    command_id = UUID(call["id"])
    feed = _Feed(run, call["log_at"])
    await feed.hash_stored()
    attempts = Attempts(())
    end: LogEnd | Outcome | None = None
    if not feed.received:
        timeout_s = float(call["timeout_s"])
        end = await _deliver(run, command_id, lambda: send(command_id, timeout_s), attempts, feed, maybe_sent=known)
    if end is None:
        end = await _watched(run, command_id, attempts, feed, call, events=events)
    elif events and isinstance(end, LogEnd):
        await _last_events(run, command_id, call)
    ended = _judge(run, end, feed)
    await _store_end(run, key, call, ended)
    if ended.outcome.status is Status.CANCELLED:
        raise StepCancelled
    return ended


async def _call(run: Run, key: str, announce: str) -> tuple[dict[str, Any], bool]:
    """What is remembered of a call, and whether it was before this moment: then it may have been sent."""
    calls = run.state(_CALLS, {})
    if key in calls:
        call = dict(calls[key])
        # What was not stored of the log before it is not there any more.
        call["log_at"] = min(call["log_at"], run.sink.received)
        return call, True
    if announce:
        await run.say(announce)
    last = await patiently(lambda: run.tools.store.last_event(run.deployment.id), UNTIL_LOST)
    call = {"id": str(new_id()), "log_at": run.sink.received, "events_at": last, "timeout_s": round(run.left_s, 3)}
    await run.remember(**{_CALLS: {**calls, key: call}})
    return call, False


async def _store_end(run: Run, key: str, call: dict[str, Any], end: AgentEnd) -> None:
    ended = {
        **call,
        "ended": True,
        "status": str(end.outcome.status),
        "reason": end.outcome.reason,
        "message": end.outcome.message,
        "recap": end.recap,
    }
    await run.remember(**{_CALLS: {**run.state(_CALLS, {}), key: ended}})


async def _deliver(
    run: Run,
    command_id: UUID,
    send: Callable[[], Awaitable[list[LogItem]]],
    attempts: Attempts,
    feed: _Feed,
    *,
    maybe_sent: bool,
) -> LogEnd | Outcome | None:
    """The end when the first answer had it; None: it runs."""
    limits, row = run.tools.base.limits, run.deployment.row
    order = Order(
        server_id=run.server_id,
        command_id=command_id,
        send=send,
        maybe_sent=maybe_sent,
        since=datetime.now(UTC),
        cancel_due=row.deadline_at if row.cancel_requested_at is not None else None,
    )
    first = await Delivery(
        run.tools.fleet,
        run.lease,
        order,
        run.wish,
        attempts,
        retry=limits.retry,
        deadline_s=limits.delivery_deadline_s,
        calm_s=limits.calm_retry_s,
        lost_after_s=limits.lost_after_s,
    ).run()
    if isinstance(first, Outcome):
        return first
    items, end = split(first, feed.received)
    for item in items:
        await feed.feed(item)
    return end


async def _watched(
    run: Run, command_id: UUID, attempts: Attempts, feed: _Feed, call: dict[str, Any], *, events: bool
) -> LogEnd | Outcome:
    """Follows the log; meanwhile asks for the end when that is wished, and stores progress events."""

    contact, limits = Contact(), run.tools.base.limits
    fetch = Fetch(
        run.tools.fleet,
        run.server_id,
        command_id,
        attempts,
        note=run.note,
        calm_s=limits.calm_retry_s,
        contact=contact,
    )
    vigil = Vigil(run.deployment.row, contact, _nothing, lost_after_s=limits.lost_after_s, margin_s=limits.margin_s)
    following = asyncio.create_task(fetch.run(feed), name="follow")
    gone = asyncio.create_task(vigil.gone(), name="gone")
    watchers = {asyncio.create_task(_cancel_until_proved(run, command_id, vigil), name="cancel")}
    if events:
        watchers.add(asyncio.create_task(_copy_events(run, command_id, call), name="events"))
        watchers.add(asyncio.create_task(_keep_limit(run, command_id, vigil, feed), name="limit"))
    waiting = set(watchers)
    try:
        while not (following.done() or gone.done()):
            done, _ = await asyncio.wait({following, gone, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            for watcher in done & waiting:
                watcher.result()
            waiting -= done
        end = following.result() if following.done() else gone.result()
    finally:
        for task in (following, gone, *watchers):
            task.cancel()
        await asyncio.gather(following, gone, *watchers, return_exceptions=True)
    if events and isinstance(end, LogEnd):
        await _last_events(run, command_id, call)
    return end


async def _nothing() -> None:
    """A deployment has a run limit: its deadline does not move."""


async def _cancel_until_proved(run: Run, command_id: UUID, vigil: Vigil) -> None:
    await run.wish.asked.wait()
    await _ask_until_proved(run, command_id, vigil)


async def _keep_limit(run: Run, command_id: UUID, vigil: Vigil, feed: _Feed) -> None:
    """Ends a play whose agent let it be silent for too long; at the run limit the deployment wishes the end itself."""
    reason = await vigil.overdue()
    if reason == "no_output_timeout" and not run.wish.asked.is_set():
        feed.overdue = reason
        await _ask_until_proved(run, command_id, vigil)


async def _ask_until_proved(run: Run, command_id: UUID, vigil: Vigil) -> None:
    vigil.end_is_asked(run.wish.grace_s)
    while True:
        try:
            await run.tools.fleet.cancel(run.server_id, command_id, run.wish.grace_s)
        except (AgentFailed, ServerGone, MyxError) as error:
            cause = error.message if isinstance(error, AgentFailed) else "the agent's address could not be looked up"
            log.info("cancel_not_delivered", command_id=str(command_id))
            await run.note(not_delivered(cause), cancel=True)
            await asyncio.sleep(_ASK_AGAIN_S)
            continue
        await run.note("", cancel=True)
        await asyncio.sleep(_ASK_AGAIN_S + run.wish.grace_s)


async def _copy_events(run: Run, command_id: UUID, call: dict[str, Any]) -> None:
    """Until the agent says that nothing follows."""
    sink = await PlayEvents.open(run, call["events_at"])
    while True:
        try:
            events, is_final = await run.tools.fleet.play_events(
                run.server_id, command_id, sink.taken, wait_s=_EVENTS_WAIT_S
            )
        except (AgentFailed, ServerGone, MyxError):
            await asyncio.sleep(_EVENTS_PAUSE_S)
            continue
        await sink.add(events)
        if is_final and not events:
            return
        if not events:
            await asyncio.sleep(_EVENTS_PAUSE_S / 5)


async def _last_events(run: Run, command_id: UUID, call: dict[str, Any]) -> None:
    """What is left after the end; a way that stays broken is not waited for, nor an agent without an end."""
    sink = await PlayEvents.open(run, call["events_at"])
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_EVENTS_S) as limit:
            await _left_events(run, command_id, sink, limit)


async def _left_events(run: Run, command_id: UUID, sink: PlayEvents, limit: asyncio.Timeout) -> None:
    for _ in range(_LAST_EVENTS_TRIES):
        try:
            while True:
                events, is_final = await run.tools.fleet.play_events(run.server_id, command_id, sink.taken, wait_s=0)
                await _store(sink, events, limit)
                if not events:
                    break
            if is_final:
                return
        except (ServerGone, MyxError):
            return
        except AgentFailed as failure:
            if failure.code is not None:
                return
        await asyncio.sleep(_EVENTS_PAUSE_S / 5)


async def _store(sink: PlayEvents, events: Sequence[PlayEvent], limit: asyncio.Timeout) -> None:
    now, due = asyncio.get_running_loop().time, limit.when()
    began = now()
    limit.reschedule(None)
    await sink.add(events)
    limit.reschedule(due and due + max(now() - began - _STORE_S, 0.0))


def _judge(run: Run, end: LogEnd | Outcome, feed: _Feed) -> AgentEnd:
    if isinstance(end, Outcome):
        if end.status in (Status.LOST, Status.UNKNOWN):
            run.log_is_whole = False
        return AgentEnd(end)
    result = result_from_wire(end.result)
    completeness = verdict(feed.hash, result) if feed.received == end.offset else Completeness.INCOMPLETE
    if completeness is not Completeness.COMPLETE:
        run.log_is_whole = False
    # Of what an agent says only what is understood is kept: all else may be of any size and kind.
    recap = recap_from_wire(end.result.get("recap"))
    outcome = outcome_of(result, completeness, overdue=feed.overdue)
    return AgentEnd(outcome, recap and {"localhost": asdict(recap)})


def demand_success(end: AgentEnd, reason: str, what: str, cure: str) -> None:
    """StepFailed unless it succeeded; what the agent could not do is told by its own reason."""
    outcome = end.outcome
    if outcome.status is Status.SUCCESS:
        return
    if outcome.status is Status.LOST:
        raise DeploymentLost(outcome.reason.upper(), f"{what}: {outcome.message}", "run it again")
    if outcome.status is Status.UNKNOWN:
        raise StepFailed("UNKNOWN", f"{what}: {outcome.message}", "run it again")
    own = {"exit_code", "signal", ""}
    told = reason if outcome.reason in own else outcome.reason.upper()
    raise StepFailed(told, f"{what}: {outcome.message}", cure)


def recap_of(end: AgentEnd) -> Any:
    """The recap of a play's end; how long it took is what the agent measured."""
    recap, outcome = recap_from_wire(end.recap), end.outcome
    if recap is None or recap.duration_s or outcome.started_at is None or outcome.ended_at is None:
        return recap
    return replace(recap, duration_s=max((outcome.ended_at - outcome.started_at).total_seconds(), 0.0))
