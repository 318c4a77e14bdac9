"""What Prometheus sees of the executor."""

from prometheus_client import Counter, Gauge, Histogram

ACTIVE = Gauge("myx_executor_active_commands", "Commands that this replica works on")
CLAIMED = Counter(
    "myx_executor_claimed_commands", "Commands taken from the database: waiting, or left by another replica"
)
LEASES_LOST = Counter("myx_executor_lost_leases", "Commands that another replica took from this one")
FINISHED = Counter("myx_executor_finished_commands", "Commands that this replica brought to their end", ["status"])
OPEN = Gauge("myx_executor_open_commands", "Commands that are not final, of all replicas", ["status"])
UNOWNED = Gauge("myx_executor_unowned_commands", "Commands that are not final and that no replica works on")
DISPATCH_S = Histogram(
    "myx_executor_dispatch_seconds",
    "Time from the acceptance of a command until its agent has it",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600, 3600),
)
STORE_LAG_S = Histogram(
    "myx_executor_log_store_lag_seconds",
    "Time from the arrival of output until it is stored and told to followers",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
LOG_WAITING = Gauge("myx_executor_log_buffered_bytes", "Bytes of output that have come and are not stored yet")
LOG_BYTES = Counter("myx_executor_stored_log_bytes", "Bytes of output stored, before compression")
LOG_STORED = Gauge(
    "myx_executor_log_table_bytes", "Bytes of the log in the database, as the replica saw them that removed what is old"
)
PURGED_LOGS = Counter("myx_executor_purged_logs", "Logs that retention took")
PARTITIONS_DROPPED = Counter("myx_executor_dropped_log_partitions", "Days of logs that retention dropped whole")
REMOVED_HISTORY = Counter("myx_executor_removed_history", "Rows of history that retention removed", ["kind"])
DEPLOYMENTS = Counter(
    "myx_executor_finished_deployments", "Deployments that this replica brought to their end", ["kind", "status"]
)
