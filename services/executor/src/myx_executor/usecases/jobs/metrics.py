"""What Prometheus sees of jobs."""

from prometheus_client import Counter, Gauge, Histogram

ACTIVE = Gauge("myx_executor_active_jobs", "Jobs that this replica works on")
CLAIMED = Counter("myx_executor_claimed_jobs", "Jobs taken from the database: waiting, or left by another replica")
LEASES_LOST = Counter("myx_executor_lost_job_leases", "Jobs that another replica took from this one")
FINISHED = Counter("myx_executor_finished_jobs", "Jobs that this replica brought to their end", ["status"])
STARTED = Counter("myx_executor_started_job_targets", "Targets that this replica started", ["kind"])
START_S = Histogram(
    "myx_executor_job_start_seconds",
    "Time of one statement that starts targets",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
RECONCILED = Counter("myx_executor_reconciled_job_targets", "Targets whose command had ended without telling them")
MISCOUNTED = Counter("myx_executor_miscounted_jobs", "Jobs whose targets were not those that were frozen: look at once")
