"""The service as a process."""

import os
import signal
import sys

import pytest

from myx_testkit.process import Program
from myx_testkit.wait import until, until_sync


@pytest.fixture
def program(tmp_path, tls_dir):
    programs = []

    def make(verb: str, **settings: str) -> Program:
        values = {"TLS_DIR": str(tls_dir), "REGISTRY_TARGET": "127.0.0.1:1", **settings}
        env = {
            "PATH": os.environ["PATH"],
            **{f"MYX_HEARTBEAT_{name}": value for name, value in values.items() if value},
        }
        argv = [sys.executable, "-m", "myx_heartbeat", verb]
        programs.append(Program("heartbeat", argv, tmp_path / "heartbeat.log", env))
        programs[-1].start()
        return programs[-1]

    yield make
    for one in programs:
        if one.is_running():
            one.kill9()


def test_good_settings_are_checked_silently(program):
    check = program("check-config")

    assert check.process.wait(20) == 0
    assert check.output() == ""


def test_each_bad_setting_is_one_line(program):
    check = program("check-config", REGISTRY_TARGET="", MIN_INTERVAL_S="fast", TYPO="1")

    assert check.process.wait(20) == 2
    lines = check.output().splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == [
        "MYX_HEARTBEAT_MIN_INTERVAL_S",
        "MYX_HEARTBEAT_REGISTRY_TARGET",
        "MYX_HEARTBEAT_TYPO",
    ]


def test_missing_certificates_are_told(program, tmp_path):
    check = program("check-config", TLS_DIR=str(tmp_path))

    assert check.process.wait(20) == 1
    assert len(check.output().splitlines()) == 1


def test_the_service_starts_and_stops_while_everything_else_is_away(program):
    service = program("serve", NATS_URL="tls://127.0.0.1:1", DRAIN_S="1")
    until_sync(lambda: "service_ready" in service.output(), 20)

    assert service.stop(timeout_s=5) == 0


async def test_a_process_that_stood_still_takes_nobody_offline(program, registry, module_agent, module_nats):
    registry.add("local", module_agent)
    service = program(
        "serve",
        NATS_URL=module_nats.url,
        REGISTRY_TARGET=registry.address,
        MIN_INTERVAL_S="0.05",
        MAX_INTERVAL_S="0.1",
        RPC_TIMEOUT_S="1",
        RETRY_MAX_ATTEMPTS="0",
        DRAIN_S="1",
    )
    await until(lambda: len(registry.of("local")) > 2, 20)

    os.kill(service.pid, signal.SIGSTOP)
    try:
        await until(lambda: is_quiet(registry), 20, interval_s=6)
    finally:
        os.kill(service.pid, signal.SIGCONT)
    seen = len(registry.of("local"))
    await until(lambda: len(registry.of("local")) > seen + 3)

    assert "own_pause" in service.output()
    assert {one.cause for one in registry.of("local")} == {""}


def is_quiet(registry) -> bool:
    """Whether no report came since this was asked last."""
    before, registry.seen_when_asked = getattr(registry, "seen_when_asked", -1), len(registry.reports)
    return before == registry.seen_when_asked
