"""Names of states of jobs and of their targets. Cheap to import."""

JOB_STATUSES = (
    *("pending", "running", "paused", "stopping", "cancelling"),
    *("success", "partial", "failed", "stopped", "cancelled"),
)
FINAL_JOB = frozenset({"success", "partial", "failed", "stopped", "cancelled"})
# In the order in which they are told at the end: what went wrong first.
TARGET_STATUSES = (
    *("failed", "timeout", "lost", "unknown", "unreachable", "cancelled", "skipped", "not_started"),
    *("running", "waiting", "success"),
)
OPEN_TARGET = frozenset({"waiting", "running"})
# What `myx job retry` takes up when it is not told.
RETRIED = ("failed", "unreachable", "timeout", "not_started")
