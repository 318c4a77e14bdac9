import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from myx_heartbeat import convert
from myx_heartbeat.domain import Outcome, Status, Try, judge

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_the_facts_of_an_agent_are_kept():
    status = {
        "hostname": "web-1",
        "os": {"id": "debian", "version_id": "12", "pretty_name": "Debian 12"},
        "cpus": 4,
        "load": [0.5, 1, 1.5],
        "memory": {"total": 100, "available": 40},
        "disks": [{"mount": "/", "filesystem": "ext4", "total": 10, "free": 5}],
        "host_uptime": 12.5,
        "running_commands": ["a", "b"],
        "deployment_tool": {"version": "1", "digest": "d"},
        "bundle": {"version": "0.1.0", "digest": "b", "arch": "x86_64"},
        "capabilities": ["put_file", 7],
    }

    facts = convert.facts(status, NOW)

    assert (facts.hostname, facts.os, facts.cpus) == ("web-1", "Debian 12", 4)
    assert (facts.load_1m, facts.load_5m, facts.load_15m) == (0.5, 1, 1.5)
    assert (facts.memory_total_bytes, facts.memory_available_bytes) == (100, 40)
    assert [(one.mount, one.total_bytes, one.free_bytes) for one in facts.disks] == [("/", 10, 5)]
    assert facts.uptime.ToTimedelta() == dt.timedelta(seconds=12.5)
    assert list(facts.running_command_ids) == ["a", "b"]
    assert (facts.deployment_tool_version, facts.deployment_tool_digest) == ("1", "d")
    assert (facts.bundle_version, facts.bundle_digest) == ("0.1.0", "b")
    assert list(facts.capabilities) == ["put_file", ""]
    assert facts.reported_at.ToDatetime(dt.UTC) == NOW


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.just("\ud800\x00"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["total", "mount", "x"]), inner),
    max_leaves=5,
)
NAMES = (
    "hostname",
    "os",
    "cpus",
    "load",
    "memory",
    "disks",
    "host_uptime",
    "running_commands",
    "deployment_tool",
    "bundle",
    "capabilities",
)


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, JSON)), JSON)
def test_facts_of_any_type_are_no_danger(status, value):
    lists = {"load": [value] * 3, "disks": [value, {"mount": value, "total": value}], "running_commands": [value]}

    for one in (status, status | lists | {"cpus": value, "host_uptime": value, "hostname": value}):
        facts = convert.facts(one, NOW)
        assert len(facts.SerializeToString()) < 32_000
        assert "\x00" not in facts.hostname


def test_what_an_agent_says_is_cut():
    status = {"hostname": "x" * 100_000, "disks": [{"mount": "/"}] * 100_000, "running_commands": ["y" * 1000] * 5000}

    assert len(convert.facts(status, NOW).SerializeToString()) < 32_000


def test_a_report_tells_the_tries_and_their_waits():
    tries = (Try(NOW, "refused", "nobody", 1.0), Try(NOW, "", "", None))
    report = judge("a", Outcome(tries=tries, latency_s=0.25, version="1"), NOW, (Status.OFFLINE, "refused"))

    message = convert.report(report)

    assert [(one.cause, one.HasField("wait")) for one in message.attempts] == [("refused", True), ("", False)]
    assert message.attempts[0].wait.ToMilliseconds() == 1000
    assert message.latency.ToMilliseconds() == 250
    assert not message.HasField("facts")
