import datetime as dt
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from myx_heartbeat.domain import Endpoint, Intervals, Outcome, Report, Status, judge
from myx_heartbeat.usecases.fleet import Fleet
from myx_heartbeat.usecases.schedule import Schedule

sys.path.insert(0, str(Path(__file__).parent))


@dataclass
class FakeClock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Chance:
    """Gives the same share each time until it is set."""

    share = 0.5

    def __call__(self) -> float:
        return self.share


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def chance() -> Chance:
    return Chance()


@pytest.fixture
def calendar() -> Callable[[], dt.datetime]:
    return partial(dt.datetime.now, dt.UTC)


@pytest.fixture
def intervals() -> Intervals:
    return Intervals(
        min_interval_s=20, max_interval_s=60, startup_interval_s=3, startup_wait_s=120, first_checks_per_s=100
    )


@pytest.fixture
def schedule() -> Schedule:
    return Schedule()


@pytest.fixture
def fleet(intervals, schedule, clock, chance) -> Fleet:
    return Fleet(intervals, schedule, clock, chance)


@pytest.fixture
def endpoint():
    def make(name: str, status: Status = Status.ONLINE, revision: int = 1, port: int = 1) -> Endpoint:
        return Endpoint(
            f"id-{name}", f"server-{name}", name, "127.0.0.1", port, "p", "t", "k", "00" * 32, status, revision
        )

    return make


@pytest.fixture
def report():
    def make(name: str, cause: str = "", known: tuple[Status, str] = (Status.ONLINE, ""), second: int = 0) -> Report:
        at = dt.datetime(2026, 1, 1, 0, 0, second, tzinfo=dt.UTC)
        return judge(f"id-{name}", Outcome(cause=cause), at, known)

    return make
