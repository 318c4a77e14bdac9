import signal

import pytest

from myx_agent.spool.clock import rfc3339
from myx_agent.supervisor.output import OutputLog, Quota
from myx_agent.supervisor.result import Ending, make_result

BASE = {
    "status": 0, "executed": True, "spawn_error": None, "stop_reason": None, "started_at": 1.5, "ended_at": 2.25,
    "tree_gone": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "state", "expected"),
    [
        ({}, "finished", (True, 0, None, "exited")),
        ({"status": 7 << 8}, "finished", (False, 7, None, "exited")),
        ({"status": signal.SIGKILL}, "finished", (False, 137, "SIGKILL", "signaled")),
        ({"status": 40}, "finished", (False, 168, "SIG40", "signaled")),
        ({"status": signal.SIGTERM, "stop_reason": "cancelled"}, "finished", (False, 143, "SIGTERM", "cancelled")),
        ({"status": 0, "stop_reason": "timeout"}, "finished", (False, 0, None, "timeout")),
        ({"status": 127 << 8, "spawn_error": "exec 2"}, "finished", (False, 127, None, "spawn_failed")),
        ({"status": 127 << 8, "spawn_error": "exec 13"}, "finished", (False, 126, None, "spawn_failed")),
        ({"status": 127 << 8, "spawn_error": "cwd 2"}, "finished", (False, 126, None, "spawn_failed")),
        ({"status": None}, "lost", (False, None, None, "lost")),
        ({"status": None, "rebooted": True}, "lost", (False, None, None, "lost")),
        ({"status": None, "executed": False}, "unknown", (False, None, None, "unknown")),
        ({"status": None, "stop_reason": "cancelled"}, "finished", (False, None, None, "cancelled")),
        ({"status": None, "stop_reason": "cancelled", "tree_gone": False}, "lost", (False, None, None, "lost")),
    ],
)
def test_what_is_known_decides_the_result(tmp_path, changes, state, expected):
    log = OutputLog(str(tmp_path), Quota(1, 0, lambda _size: True))
    record = make_result(Ending(**(BASE | changes)), log, "digest")
    log.close()

    result = record["result"]
    assert record["state"] == state
    assert (result["success"], result["return_code"], result["signal"], result["reason"]) == expected
    assert (result["started_at"], result["ended_at"]) == ("1970-01-01T00:00:01.500000Z", "1970-01-01T00:00:02.250000Z")


def test_times_are_rounded_to_microseconds_and_zero_is_unknown():
    assert rfc3339(1795362667.9999999) == "2026-11-22T15:51:08.000000Z"
    assert rfc3339(0) is None
