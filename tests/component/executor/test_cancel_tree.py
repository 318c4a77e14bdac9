"""Cancel reaches whatever a command has made of itself, and is shown as done only when the agent has proved it."""

import os
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from myx.executor.v1 import command_pb2 as pb
from myx_testkit.wait import until

LOOP = "trap '' TERM HUP INT; echo $$ >> {pids}; while :; do sleep 0.2; done"
# Each process forks the next one and is gone: whoever lists processes is always late. As many at once as lines.
COMETS = """
import os, signal, sys, time
for number in range(20):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(0.005)
            if os.fork() != 0:
                os._exit(0)
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
time.sleep(600)
"""
# What sudo does: another user, another session, a program that stays.
OTHER_USER = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    os.setgid(65534); os.setuid(65534)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
time.sleep(600)
"""
WAYS = {
    "setsid": ("/bin/sh", "-c", f"setsid sh -c '{LOOP.replace(chr(39), chr(34))}' & wait"),
    "nohup": ("/bin/sh", "-c", f"nohup sh -c '{LOOP.replace(chr(39), chr(34))}' >/dev/null 2>&1 & wait"),
    "double fork": ("/bin/sh", "-c", f"(setsid sh -c '{LOOP.replace(chr(39), chr(34))}' &); sleep 600"),
    "closed output": ("/bin/sh", "-c", f"exec >/dev/null 2>&1; {LOOP}"),
    "comets": (sys.executable, "-Sc", COMETS, "{pids}"),
    "another user": (sys.executable, "-Sc", OTHER_USER, "{pids}"),
}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has cgroups and other users")


def alive(mark):
    """Processes with the mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        except OSError:
            continue
        if f"MYX_MARK={mark}".encode() in environment:
            found.append(process.pid)
    return found


@pytest.mark.parametrize("way", list(WAYS))
async def test_all_of_it_is_gone_when_the_command_is_shown_as_cancelled(client, agent, tmp_path, way):
    mark, pids = uuid.uuid4().hex, tmp_path / "pids"
    tmp_path.chmod(0o755)
    program, *arguments = WAYS[way]
    command = await client.run(
        agent.name, program, *(argument.replace("{pids}", str(pids)) for argument in arguments), env={"MYX_MARK": mark}
    )
    await until(pids.exists, 30)
    asked = await client.cancel(command.id, grace_s=0.5)
    assert asked.status == pb.COMMAND_STATUS_CANCELLING
    began = time.monotonic()

    async def ended():
        seen = await client.get(command.id)
        if seen.status == pb.COMMAND_STATUS_CANCELLING:
            return None
        # The state has just changed: nothing may be left at this moment.
        assert alive(mark) == []
        return seen

    final = await until(ended, 30, interval_s=0.05)
    assert time.monotonic() - began < 20
    assert (final.status, final.result.tree_gone) == (pb.COMMAND_STATUS_CANCELLED, True)
    assert final.changes[-1].evidence.endswith("its processes are proved gone")
    took_s = (final.ended_at.ToNanoseconds() - final.cancel_requested_at.ToNanoseconds()) / 1e9
    assert took_s < 10


async def test_the_run_limit_reaches_all_of_it_too(client, agent, tmp_path):
    mark, pids = uuid.uuid4().hex, tmp_path / "pids"
    program, *arguments = WAYS["double fork"]
    command = await client.run(
        agent.name,
        program,
        *(argument.replace("{pids}", str(pids)) for argument in arguments),
        env={"MYX_MARK": mark},
        timeout_s=2,
    )
    final = await client.final(command.id, 40)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_TIMEOUT, "timeout")
    assert alive(mark) == []
