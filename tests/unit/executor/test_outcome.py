"""From the agent's result to the end of a command, and whether its log is complete."""

import hashlib

import pytest

from myx_executor.domain.command import AgentResult, Completeness, StreamCount
from myx_executor.domain.log import STDERR, STDOUT, Piece, pack_segments
from myx_executor.domain.outcome import StreamHash, outcome_of, result_from_wire, verdict
from myx_executor.domain.states import Status


@pytest.mark.parametrize(
    ("result", "status", "reason", "exit_code"),
    [
        ({"success": True, "return_code": 0, "reason": "exited"}, Status.SUCCESS, "", 0),
        ({"success": False, "return_code": 7, "reason": "exited"}, Status.FAILED, "exit_code", 7),
        ({"return_code": 137, "signal": "SIGKILL", "reason": "signaled"}, Status.FAILED, "signal", 137),
        ({"return_code": None, "signal": "SIGTERM", "reason": "signaled"}, Status.FAILED, "signal", 143),
        ({"return_code": -9, "reason": "signaled"}, Status.FAILED, "signal", 137),
        ({"return_code": 127, "reason": "spawn_failed"}, Status.FAILED, "spawn_failed", 127),
        ({"return_code": 143, "signal": "SIGTERM", "reason": "timeout"}, Status.TIMEOUT, "timeout", 143),
        ({"signal": "SIGTERM", "reason": "no_output_timeout"}, Status.TIMEOUT, "no_output_timeout", 143),
        ({"signal": "SIGTERM", "reason": "cancelled"}, Status.CANCELLED, "cancelled", 143),
        ({"reason": "lost"}, Status.LOST, "lost", None),
        ({"reason": "unknown"}, Status.UNKNOWN, "unknown", None),
        ({}, Status.FAILED, "exit_code", None),
    ],
)
def test_the_agents_words_have_one_meaning_each(result, status, reason, exit_code):
    outcome = outcome_of(result_from_wire(result), Completeness.COMPLETE)
    assert (outcome.status, outcome.reason, outcome.exit_code) == (status, reason, exit_code)
    assert bool(outcome.message) == (status is not Status.SUCCESS)


def test_an_end_that_the_executor_enforced_after_the_time_limit_is_a_timeout():
    result = result_from_wire({"signal": "SIGTERM", "reason": "cancelled"})
    assert outcome_of(result, Completeness.COMPLETE, overdue="timeout").status is Status.TIMEOUT


@pytest.mark.parametrize(
    "wire",
    [
        {"return_code": "7", "signal": 9, "stdout": [], "stderr": {"bytes": "x"}, "started_at": "yesterday"},
        {"return_code": True, "stdout": {"sha256": 1}, "ended_at": 12, "started_at": "2026-01-01T00:00:00"},
    ],
)
def test_what_is_malformed_in_a_result_counts_as_not_said(wire):
    assert result_from_wire(wire) == AgentResult()


def test_what_no_database_could_keep_is_made_fit():
    wire = {
        "reason": "exi\0ted\ud800",
        "return_code": 1 << 40,
        "stdout": {"bytes": 1 << 70},
        "stderr": {"bytes": 5, "sha256": "x" * 10_000},
        "started_at": "0001-01-01T00:00:00+14:00",
    }
    result = result_from_wire(wire)
    assert result.reason == "exi\N{REPLACEMENT CHARACTER}ted?"
    assert (result.return_code, result.stdout, result.started_at) == (None, None, None)
    assert len(result.stderr.sha256) == 4000


def stored(*runs):
    """A hash of one piece with these (stream, data)."""
    one = StreamHash()
    data = b"".join(data for _, data in runs)
    one.update(Piece(0, len(data), data, pack_segments((stream, len(data)) for stream, data in runs)))
    return one


def said(out=b"", err=b"", dropped=0, sha=True):
    def count(data):
        return StreamCount(len(data), hashlib.sha256(data).hexdigest() if sha else "", dropped)

    return AgentResult(stdout=count(out), stderr=count(err))


def test_equal_sizes_and_hashes_are_complete():
    log = stored((STDOUT, b"a"), (STDERR, b"b"), (STDOUT, b"c"))
    assert verdict(log, said(b"ac", b"b")) is Completeness.COMPLETE
    assert verdict(StreamHash(), said()) is Completeness.COMPLETE


def test_anything_that_differs_is_incomplete():
    log = stored((STDOUT, b"ac"), (STDERR, b"b"))
    assert verdict(log, said(b"ad", b"b")) is Completeness.INCOMPLETE
    assert verdict(log, said(b"acc", b"b")) is Completeness.INCOMPLETE
    assert verdict(log, said(b"ac", b"b", dropped=1)) is Completeness.INCOMPLETE
    log.update(Piece(3, 5, gap_reason="limit"))
    assert verdict(log, said(b"ac", b"b")) is Completeness.INCOMPLETE


def test_what_the_agent_cannot_say_is_unverified():
    assert verdict(stored((STDOUT, b"a")), said(b"a", sha=False)) is Completeness.UNVERIFIED
    assert verdict(StreamHash(), AgentResult(reason="unknown")) is Completeness.UNVERIFIED
    assert verdict(StreamHash(), AgentResult(reason="lost")) is Completeness.INCOMPLETE
