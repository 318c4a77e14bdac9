"""Medians, percentiles, and what a process costs."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie; nan for none."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def summary_ms(values_s: list[float]) -> dict[str, float]:
    """p50, p95, p99 and minimum of durations in seconds, as milliseconds."""
    return {
        "p50": round(statistics.median(values_s) * 1e3, 2),
        "p95": round(percentile(values_s, 0.95) * 1e3, 2),
        "p99": round(percentile(values_s, 0.99) * 1e3, 2),
        "min": round(min(values_s) * 1e3, 2),
    }


@dataclass(frozen=True)
class Cost:
    """CPU seconds used and resident megabytes of one part."""

    cpu_s: float
    rss_mb: float


def part_of(process: psutil.Process) -> str | None:
    """Which part of MyX a process is; None for others."""
    command = " ".join(process.cmdline())
    for part in ("registry", "heartbeat", "executor", "gateway"):
        if f"myx_{part}" in command:
            return part
    if "myx_agent.supervisor" in command or "myx_agent/supervisor" in command:
        return "agent supervisor"
    if "myx-agent" in command or "myx_agent" in command:
        return "agent"
    if "nats-server" in command:
        return "nats"
    if "postgres" in command:
        return "postgresql"
    if "myx-standalone" in command or "myx_standalone" in command:
        return "standalone"
    return None


def costs(home: str) -> dict[str, Cost]:
    """Cost of each part of the MyX that runs on `home`, summed over its processes.

    Its processes are those below the supervisor named in the home's standalone.json and the agent's command supervisor,
    which belongs to nobody; PostgreSQL's shared pages count once per process, so its sum is an upper bound.
    """
    found: dict[str, Cost] = {}
    for process in psutil.process_iter():
        try:
            if not belongs(process, home):
                continue
            part = part_of(process)
            if part is None:
                continue
            times = process.cpu_times()
            before = found.get(part, Cost(0.0, 0.0))
            found[part] = Cost(
                before.cpu_s + times.user + times.system, before.rss_mb + process.memory_info().rss / 2**20
            )
        except psutil.Error:
            continue
    return found


def belongs(process: psutil.Process, home: str) -> bool:
    """Whether a process or one above it names the home folder in its command line or environment."""
    for one in [process, *process.parents()]:
        if any(home in word for word in one.cmdline()) or one.environ().get("MYX_HOME") == home:
            return True
    return False


def difference(before: dict[str, Cost], after: dict[str, Cost]) -> dict[str, dict[str, float]]:
    """CPU seconds spent between two readings, and the resident size at the second."""
    return {
        part: {
            "cpu_s": round(cost.cpu_s - before.get(part, Cost(0, 0)).cpu_s, 3),
            "rss_mb": round(cost.rss_mb, 1),
        }
        for part, cost in sorted(after.items())
    }
