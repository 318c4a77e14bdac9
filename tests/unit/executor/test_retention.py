"""Days as ranges of ids, and which of them are still to be made."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from myx_executor.domain.retention import DAYS_AHEAD, Kept, Partition, day_of, id_bound, missing_days, partition_of
from myx_executor.settings import ExecutorSettings
from myx_kit.ids import new_id

NOW = datetime(2026, 3, 1, 23, 59, 59, 999_000, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_day_holds_the_ids_made_within_it():
    today = partition_of(day_of(datetime.now(UTC)))
    assert today.holds(new_id()) or partition_of(day_of(datetime.now(UTC))).holds(new_id())
    one = partition_of(day_of(NOW))
    assert one.name == "command_log_p20260301"
    assert one.holds(id_bound(NOW))
    assert not one.holds(id_bound(NOW + timedelta(milliseconds=1)))
    assert one.ended_before(NOW + timedelta(milliseconds=1))
    assert not one.ended_before(NOW)


def test_a_day_is_one_of_utc_wherever_the_time_comes_from():
    assert day_of(NOW.astimezone()) == datetime(2026, 3, 1, tzinfo=UTC)


def test_days_from_yesterday_to_two_weeks_ahead_are_wanted_once():
    wanted = list(missing_days(NOW, []))
    assert [one.name for one in wanted] == [partition_of(day_of(NOW) + n * DAY).name for n in range(-1, DAYS_AHEAD + 1)]
    assert list(missing_days(NOW, wanted)) == []
    assert list(missing_days(NOW + DAY, wanted)) == [partition_of(day_of(NOW) + (DAYS_AHEAD + 1) * DAY)]


def test_days_that_another_partition_covers_are_not_made():
    before = Partition("command_log_before", None, id_bound(day_of(NOW) + 3 * DAY))
    default = Partition("command_log_default", UUID(int=0), id_bound(NOW + 900 * DAY), is_default=True)
    assert next(missing_days(NOW, [before, default])) == partition_of(day_of(NOW) + 3 * DAY)
    assert (before.is_day, default.is_day, partition_of(day_of(NOW)).is_day) == (False, False, True)


@pytest.fixture
def settings(tmp_path, monkeypatch):
    for name in ("LISTEN", "NATS_URL", "REGISTRY_TARGET", "TLS_DIR", "DATABASE_URL_FILE", "MASTER_KEY_FILE"):
        value = {"LISTEN": "127.0.0.1:1", "NATS_URL": "tls://127.0.0.1:1", "REGISTRY_TARGET": "127.0.0.1:1"}
        monkeypatch.setenv(f"MYX_EXECUTOR_{name}", value.get(name, str(tmp_path)))
    return ExecutorSettings


def test_the_defaults_are_those_of_the_page(settings):
    policy = settings().retention()
    assert (policy.command_log_days, policy.deployment_log_days, policy.log_bytes) == (30, 30, 50 << 30)
    assert {policy.commands, policy.deployments, policy.jobs, policy.fires} == {Kept(365, 0)}
