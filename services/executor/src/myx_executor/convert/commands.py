"""Commands: proto and domain, both ways. Pure."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1.command_service_pb2 import (
    FollowLogResponse,
    LogFinal,
    LogMatch,
    RunCommandRequest,
    SearchLogRequest,
    SearchLogResponse,
)
from myx.registry.v1.agent_pb2 import CallAttempt
from myx_executor.domain.command import (
    AgentResult,
    Attempt,
    Change,
    Command,
    Completeness,
    LockMode,
    OfflinePolicy,
    StreamCount,
)
from myx_executor.domain.log import PIECE_BYTES, STDOUT, Piece
from myx_executor.domain.next_step import next_sentence
from myx_executor.domain.states import Status
from myx_executor.usecases.run_command import RunRequest
from myx_executor.usecases.search_log import Found, SearchRequest
from myx_kit.errors import InvalidArgument
from myx_kit.ids import parse_id
from myx_kit.wire_time import duration, timestamp

STATUSES = {status: pb.CommandStatus.Value(f"COMMAND_STATUS_{status.name}") for status in Status}
_FROM_STATUSES: dict[int, Status] = {number: status for status, number in STATUSES.items()}
COMPLETENESS = {one: pb.LogCompleteness.Value(f"LOG_COMPLETENESS_{one.name}") for one in Completeness}

OFFLINE_POLICIES = {one: pb.OfflinePolicy.Value(f"OFFLINE_POLICY_{one.name}") for one in OfflinePolicy}
_FROM_POLICIES: dict[int, OfflinePolicy] = {number: one for one, number in OFFLINE_POLICIES.items()} | {
    0: OfflinePolicy.FAIL
}
LOCK_MODES = {one: pb.LockMode.Value(f"LOCK_MODE_{one.name}") for one in LockMode}
_FROM_LOCKS: dict[int, LockMode] = {number: one for one, number in LOCK_MODES.items()} | {0: LockMode.NONE}


def run_request(request: RunCommandRequest) -> RunRequest:
    """A RunCommandRequest; what is wrong in it the use case says."""
    return RunRequest(
        server=request.server,
        command=request.command,
        args=tuple(request.args),
        env=dict(request.env),
        secret_env=dict(request.secret_env),
        cwd=request.cwd,
        user=request.user,
        stdin=request.stdin,
        timeout_s=seconds_or_none(request, "timeout"),
        no_output_timeout_s=seconds_or_none(request, "no_output_timeout"),
        request_id=request.request_id,
        requested_by=request.requested_by,
        offline=offline_policy(request.offline),
        queue_timeout_s=seconds_or_none(request, "queue_timeout"),
        connect_timeout_s=seconds_or_none(request, "connect_timeout"),
        lock=lock_mode(request.lock),
    )


def offline_policy(number: int) -> OfflinePolicy:
    """Unset: FAIL. InvalidArgument for a number that is none."""
    try:
        return _FROM_POLICIES[number]
    except KeyError:
        raise InvalidArgument("ARGUMENT_INVALID", "offline must be FAIL, SKIP or QUEUE", field="offline") from None


def lock_mode(number: int) -> LockMode:
    """Unset: NONE. InvalidArgument for a number that is none."""
    try:
        return _FROM_LOCKS[number]
    except KeyError:
        raise InvalidArgument("ARGUMENT_INVALID", "lock must be NONE, SHARED or EXCLUSIVE", field="lock") from None


def seconds_or_none(message: Message, field: str) -> float | None:
    """A duration field in seconds; None when it is not set."""
    if not message.HasField(field):
        return None
    duration: Duration = getattr(message, field)
    return duration.seconds + duration.nanos / 1e9


def statuses(numbers: Sequence[int]) -> list[Status]:
    """States of a filter. InvalidArgument for a number that is none."""
    try:
        return [_FROM_STATUSES[number] for number in numbers]
    except KeyError:
        raise InvalidArgument("ARGUMENT_INVALID", "statuses has a value that is no state", field="statuses") from None


def id_filter(text: str, field: str) -> UUID | None:
    """An id of a filter; None: all. InvalidArgument for what can be none."""
    return parse_id(text, field) if text else None


def command_to_proto(command: Command) -> pb.Command:
    """A command as callers see it."""
    spec = command.spec
    out = pb.Command(
        id=str(command.id),
        server_id=command.server_id,
        server_name=command.server_name,
        agent_id=command.agent_id,
        command=spec.command,
        args=spec.args,
        env=spec.env,
        secret_env_names=command.secret_env_names,
        cwd=spec.cwd,
        user=spec.user,
        timeout=duration(spec.timeout_s),
        no_output_timeout=duration(spec.no_output_timeout_s),
        status=STATUSES[command.status],
        reason=command.reason,
        message=command.message,
        exit_code=command.exit_code,
        signal=command.signal,
        created_at=timestamp(command.created_at),
        started_at=timestamp(command.started_at),
        ended_at=timestamp(command.ended_at),
        cancel_requested_at=timestamp(command.cancel_requested_at),
        log_size_bytes=command.log_size,
        log_completeness=COMPLETENESS[command.completeness],
        attempts=[_attempt(attempt) for attempt in command.attempts],
        requested_by=command.requested_by,
        status_since=timestamp(command.status_since),
        deadline_at=timestamp(command.deadline_at),
        owner=command.owner,
        next=next_sentence(command),
        changes=[change_to_proto(change) for change in command.changes],
        offline=OFFLINE_POLICIES[command.offline_policy],
        queue_timeout=duration(command.queue_timeout_s),
        connect_timeout=duration(command.connect_timeout_s),
        lock=LOCK_MODES[command.lock_mode],
        job_id=str(command.job_id or ""),
        schedule_id=str(command.schedule_id or ""),
        log_purged_at=timestamp(command.log_purged_at),
    )
    if command.result is not None:
        out.result.CopyFrom(_result(command.result))
    return out


def change_to_proto(change: Change) -> pb.StatusChange:
    """One change of state; jobs have the same form."""
    out = pb.StatusChange(to=change.target, actor=change.actor, cause=change.cause, evidence=change.evidence)
    out.at.FromDatetime(change.at)
    setattr(out, "from", change.source)
    return out


def follow_responses(pieces: Sequence[Piece]) -> Iterator[FollowLogResponse]:
    """Consecutive pieces as few responses, each with about PIECE_BYTES of data at most, or with one gap."""
    response, size = FollowLogResponse(), 0
    for piece in pieces:
        if size and (piece.gap_reason is not None or size + len(piece.data) > PIECE_BYTES):
            yield response
            response, size = FollowLogResponse(), 0
        if piece.gap_reason is not None:
            gap = pb.LogGap(from_offset=piece.offset, to_offset=piece.end, reason=piece.gap_reason)
            yield FollowLogResponse(gap=gap)
            continue
        for run in piece.runs():
            response.frames.add(stream=_stream(run.stream), offset=run.offset, data=run.data)
        size += len(piece.data)
    if size:
        yield response


def search_request(request: SearchLogRequest, command_id: UUID) -> SearchRequest:
    """A SearchLogRequest; what is wrong in it the use case says."""
    return SearchRequest(
        command_id=command_id,
        pattern=request.pattern,
        regex=request.regex,
        ignore_case=request.ignore_case,
        from_offset=request.from_offset,
        max_matches=request.max_matches,
    )


def search_response(found: Found) -> SearchLogResponse:
    """What a search found."""
    matches = [
        LogMatch(
            offset=match.offset,
            stream=_stream(match.stream),
            line=match.line,
            match_start=match.match_start,
            match_end=match.match_end,
        )
        for match in found.matches
    ]
    return SearchLogResponse(
        matches=matches, next_offset=found.next_offset, is_end=found.is_end, log_size_bytes=found.log_size
    )


def _stream(stream: int) -> "pb.LogStream.ValueType":
    return pb.LOG_STREAM_STDOUT if stream == STDOUT else pb.LOG_STREAM_STDERR


def final_response(command: Command) -> FollowLogResponse:
    """The last message of a stream."""
    return FollowLogResponse(final=LogFinal(offset=command.log_size, command=command_to_proto(command)))


def _result(result: AgentResult) -> pb.CommandResult:
    return pb.CommandResult(
        success=result.success,
        return_code=result.return_code,
        signal=result.signal,
        reason=result.reason,
        started_at=timestamp(result.started_at),
        ended_at=timestamp(result.ended_at),
        stdout=_count(result.stdout),
        stderr=_count(result.stderr),
        tree_gone=result.tree_gone,
    )


def _count(count: StreamCount | None) -> pb.StreamResult | None:
    return None if count is None else pb.StreamResult(bytes=count.bytes, sha256=count.sha256, dropped=count.dropped)


def _attempt(attempt: Attempt) -> CallAttempt:
    return CallAttempt(
        at=timestamp(attempt.at), cause=attempt.cause, message=attempt.message, wait=duration(attempt.wait_s)
    )
