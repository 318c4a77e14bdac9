"""Real processes that are started, signalled and watched."""

import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from myx_testkit.process import Program
from myx_testkit.wait import until_sync

PRELUDE = """
import asyncio, os, sys
from contextlib import AsyncExitStack
from myx_kit import lifecycle, loops
from myx_kit.errors import FailedPrecondition
from myx_kit.logging import configure
configure("test", "info", "json")

class Server:
    async def unready(self):
        print("unready", flush=True)

async def closed(name, seconds=0):
    await asyncio.sleep(seconds)
    print("closed", name, flush=True)

"""
EPILOGUE = "\nsys.exit(lifecycle.serve(start, drain_s=0.2))\n"
GOOD = """
async def start(stack):
    stack.push_async_callback(closed, "database")
    stack.push_async_callback(closed, "server")
    return Server()
"""


@contextmanager
def running(tmp_path: Path, body: str):
    script = tmp_path / "service.py"
    script.write_text(PRELUDE + body + EPILOGUE)
    program = Program("service", [sys.executable, str(script)], tmp_path / "service.log", dict(os.environ))
    program.start()
    try:
        yield program
    finally:
        if program.is_running():
            program.kill9()


def printed(program):
    """What the service itself printed, without its log."""
    return [line for line in program.output().splitlines() if not line.startswith("{")]


def ready(program):
    until_sync(lambda: "service_ready" in program.output(), 20)


def ended(program):
    until_sync(lambda: not program.is_running(), 20)


def test_names_that_nobody_resolves_leave_threads_for_others(tmp_path):
    looks_up = """
async def start(stack):
    before = len(os.listdir("/proc/self/task"))
    await asyncio.get_running_loop().getaddrinfo("localhost", 1)
    print("threads", len(os.listdir("/proc/self/task")) - before, flush=True)
"""
    with running(tmp_path, looks_up) as program:
        ready(program)
        assert printed(program) == ["threads 32"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_makes_it_unready_then_closes_in_reverse_order(tmp_path, number):
    with running(tmp_path, GOOD) as program:
        ready(program)
        assert program.stop(number, 10) == 0
        assert printed(program) == ["unready", "closed server", "closed database"]


def test_a_second_signal_ends_it_at_once(tmp_path):
    body = """
async def start(stack):
    stack.push_async_callback(closed, "slow", 3600)
"""
    with running(tmp_path, body.replace("drain_s=0.2", "drain_s=60")) as program:
        ready(program)
        os.kill(program.pid, signal.SIGTERM)
        until_sync(lambda: "service_stopping" in program.output(), 10)
        assert program.stop(signal.SIGTERM, 2) == 128 + signal.SIGTERM
        assert printed(program) == []


def test_closing_that_hangs_is_given_up(tmp_path):
    body = """
lifecycle._CLOSE_MARGIN_S = 0.1
async def start(stack):
    stack.push_async_callback(closed, "slow", 3600)
"""
    with running(tmp_path, body) as program:
        ready(program)
        assert program.stop(signal.SIGTERM, 5) == 1
        assert "service_stop_timed_out" in program.output()


def test_a_signal_while_starting_closes_what_was_open(tmp_path):
    body = """
async def start(stack):
    stack.push_async_callback(closed, "database")
    print("starting", flush=True)
    await asyncio.sleep(3600)
"""
    with running(tmp_path, body) as program:
        until_sync(lambda: "starting" in program.output(), 20)
        assert program.stop(signal.SIGTERM, 10) == 0
        assert printed(program) == ["starting", "closed database"]


def test_an_error_at_start_is_one_line_and_exit_code_1(tmp_path):
    body = """
async def start(stack):
    stack.push_async_callback(closed, "database")
    raise FailedPrecondition("LISTEN_FAILED", "cannot listen on 127.0.0.1:1")
"""
    with running(tmp_path, body) as program:
        ended(program)
        assert program.stop(signal.SIGTERM, 1) == 1
        assert printed(program) == ["closed database", "cannot listen on 127.0.0.1:1 (LISTEN_FAILED)"]


def test_a_critical_task_that_fails_stops_it_with_exit_code_1(tmp_path):
    body = """
async def fail():
    raise ValueError
async def start(stack):
    owner = loops.TaskOwner("o")
    stack.push_async_callback(owner.close)
    owner.start(fail(), name="vital", critical=True)
    stack.push_async_callback(closed, "server")
"""
    with running(tmp_path, body) as program:
        ended(program)
        assert program.stop(signal.SIGTERM, 1) == 1
        assert printed(program) == ["closed server"]


def test_readiness_is_written_to_the_inherited_descriptor(tmp_path):
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    script = tmp_path / "service.py"
    script.write_text(PRELUDE + GOOD + EPILOGUE)
    pid = os.posix_spawn(sys.executable, [sys.executable, str(script)], os.environ | {"MYX_READY_FD": str(writer)})
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"READY\n"
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_threads_of_libraries_do_not_hold_up_the_end(tmp_path):
    body = GOOD.replace(
        "    return Server()",
        "    import threading, time\n    threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)\n    return Server()",
    )
    with running(tmp_path, body) as program:
        ready(program)
        assert program.stop() == 0
        assert printed(program) == ["unready", "closed server", "closed database"]
