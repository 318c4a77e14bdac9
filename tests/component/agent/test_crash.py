"""Commands outlive agent and supervisor, and what cannot be known is said to be unknown."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import myx_agent
from myx_agent.commands import client
from myx_testkit.wait import until

COUNT = "i=0; while [ $i -lt {n} ]; do i=$((i+1)); echo $i; sleep 0.01; done; exit 42"


def numbered(count):
    return b"".join(b"%d\n" % number for number in range(1, count + 1))


async def grown(call, command_id, least):
    async def size():
        log = call.folder(command_id) / "log"
        return log.stat().st_size >= least

    await until(size, 10)


async def test_commands_run_on_while_the_agent_is_away(own, own_agent):
    command_id = await own.start("sh", "-c", COUNT.format(n=100))
    await grown(own, command_id, 30)
    own_agent.kill9()
    own_agent.restart()

    log = await own.follow(command_id)
    assert log.stdout == numbered(100)
    assert (log.result["return_code"], log.result["reason"], log.result["tree_gone"]) == (42, "exited", True)


async def test_a_command_that_ends_while_the_agent_is_away_is_served_afterwards(own, own_agent):
    command_id = await own.start("sh", "-c", COUNT.format(n=10))
    own_agent.kill9()
    await until((own.folder(command_id) / "result.json").exists, 10)
    own_agent.restart()

    log = await own.follow(command_id)
    assert (log.stdout, log.result["return_code"]) == (numbered(10), 42)


async def test_cancel_and_time_limits_work_after_a_crash_of_the_agent(own, own_agent):
    to_cancel = await own.start("sleep", "60")
    to_time_out = await own.start("sleep", "60", timeout=1)
    own_agent.kill9()
    own_agent.restart()
    await own("cancel_command", command_id=to_cancel)

    assert (await own.follow(to_cancel)).result["reason"] == "cancelled"
    assert (await own.follow(to_time_out)).result["reason"] == "timeout"


async def test_a_time_limit_is_kept_while_the_agent_is_away(own, own_agent):
    command_id = await own.start("sleep", "60", timeout=0.5)
    own_agent.kill9()
    await until((own.folder(command_id) / "result.json").exists, 10)
    own_agent.restart()

    assert (await own.follow(command_id)).result["reason"] == "timeout"


async def test_a_killed_supervisor_costs_neither_bytes_nor_the_exit_code(own, tools):
    command_id = await own.start("sh", "-c", COUNT.format(n=150))
    await grown(own, command_id, 30)
    own.supervisor.kill()

    log = await own.follow(command_id)
    assert log.stdout == numbered(150)
    assert (log.result["return_code"], log.result["reason"]) == (42, "exited")
    assert log.result["stdout"]["sha256"] == tools.sha256(log.stdout)


async def test_a_command_that_ends_while_no_supervisor_is_there_loses_nothing(own, own_agent):
    command_id = await own.start(
        "sh", "-c", "echo before; until [ -e go ]; do sleep 0.01; done; echo after; exit 5", cwd=str(own_agent.folder)
    )
    await grown(own, command_id, 7)
    supervisor = own.supervisor
    supervisor.suspend()
    (own_agent.folder / "go").touch()
    leader = int((own.folder(command_id) / "pid").read_text().split()[0])
    await until(lambda: psutil.Process(leader).status() == psutil.STATUS_ZOMBIE, 10)
    supervisor.kill()

    log = await own.follow(command_id)
    assert log.stdout == b"before\nafter\n"
    assert log.result["return_code"] == 5


async def test_when_both_are_killed_the_log_goes_on_and_the_lost_exit_code_is_said(own, own_agent):
    command_id = await own.start("sh", "-c", COUNT.format(n=200))
    await grown(own, command_id, 30)
    own_agent.kill9()
    own.supervisor.kill()
    own_agent.restart()

    log = await own.follow(command_id)
    assert log.stdout == numbered(200)
    assert (log.result["reason"], log.result["return_code"], log.result["success"]) == ("lost", None, False)
    entry = next(e for e in (await own("list_commands"))["commands"] if e["command_id"] == command_id)
    assert entry["state"] == "lost"


async def test_after_both_were_killed_cancel_still_reaches_the_tree(own, own_agent, tools):
    stubborn = "trap '' TERM; echo $$; while :; do sleep 1; done"
    script = f'setsid sh -c "$STUBBORN" & {stubborn}'
    command_id = await own.start("sh", "-c", script, env={"STUBBORN": stubborn})
    await until(lambda: len((own.folder(command_id) / "log").read_bytes().split()) == 2, 10)
    pids = [int(word) for word in (own.folder(command_id) / "log").read_bytes().split()]
    own_agent.kill9()
    own.supervisor.kill()
    own_agent.restart()
    await own("cancel_command", command_id=command_id, grace=0.1)

    result = (await own.follow(command_id)).result
    assert result["reason"] == "cancelled"
    assert not any(tools.is_alive(pid) for pid in pids)


async def test_a_termination_goes_on_under_the_next_supervisor(own, own_agent):
    command_id = await own.start("sh", "-c", "trap '' TERM; echo 1; while :; do sleep 1; done")
    await grown(own, command_id, 2)
    await own("cancel_command", command_id=command_id, grace=1)
    own.supervisor.kill()

    result = (await own.follow(command_id)).result
    assert (result["reason"], result["signal"]) == ("cancelled", "SIGKILL")


async def test_a_supervisor_of_other_settings_is_replaced_in_place(own, own_agent):
    secret = "hunter2-hunter2"
    command_id = await own.start(
        "sh", "-c", 'printf hunter2-; until [ -e go ]; do sleep 0.01; done; echo "hunter2 and $PW"; exit 6',
        secret_env={"PW": secret}, cwd=str(own_agent.folder),
    )  # fmt: skip
    counting = await own.start("sh", "-c", COUNT.format(n=100))
    await grown(own, counting, 30)
    before = own.supervisor
    own_agent.stop()
    own_agent.configuration["command_log_bytes"] = 12345678
    own_agent.restart()
    after = own.supervisor
    (own_agent.folder / "go").touch()
    log = await own.follow(command_id)
    counted = await own.follow(counting)

    assert (after.pid, after.create_time()) == (before.pid, before.create_time())
    assert json.loads(after.cmdline()[-1])["limits"]["command_bytes"] == 12345678
    assert log.stdout == b"*** and ***\n"
    assert (log.result["return_code"], log.result["tree_gone"]) == (6, True)
    assert (counted.stdout, counted.result["return_code"]) == (numbered(100), 42)


async def test_secrets_stay_masked_under_the_next_supervisor(own, own_agent):
    command_id = await own.start(
        "sh", "-c", 'until [ -e go ]; do sleep 0.01; done; echo "<$PW>"', secret_env={"PW": "hunter2-hunter2"},
        cwd=str(own_agent.folder),
    )  # fmt: skip
    own.supervisor.kill()
    await own("heartbeat")  # answered by the next supervisor
    (own_agent.folder / "go").touch()

    log = await own.follow(command_id)
    assert log.stdout == b"<***>\n", (log.gaps, log.result)


@pytest.fixture
async def talkative(own, own_agent):
    """(id, mark) of a command that has ended and left a child, which touches mark once 5 MB of its output are read."""
    mark = own_agent.folder / "mark"
    command_id = await own.start(
        "sh",
        "-c",
        f"(until [ -e go ]; do sleep 0.01; done; head -c 5000000 /dev/zero; echo done > {mark}) & exit 0",
        cwd=str(own_agent.folder),
    )
    await own.follow(command_id)
    return command_id, mark


async def test_background_children_are_drained_under_the_next_supervisor_too(own, own_agent, talkative):
    _command_id, mark = talkative
    own.supervisor.kill()
    await own("heartbeat")  # answered by the next supervisor
    (own_agent.folder / "go").touch()

    await until(mark.exists, 10)


@pytest.mark.parametrize("is_released", [False, True], ids=["kept", "released"])
async def test_background_children_are_drained_after_a_replacement_too(own, own_agent, talkative, is_released):
    command_id, mark = talkative
    if is_released:
        await own("release_command", command_id=command_id)
    supervisor = own.supervisor
    for limit in (12345678, 12345679):
        own_agent.stop()
        own_agent.configuration["command_log_bytes"] = limit
        own_agent.restart()
        assert json.loads(supervisor.cmdline()[-1])["limits"]["command_bytes"] == limit
    (own_agent.folder / "go").touch()

    await until(mark.exists, 10)
    await until(lambda: not pipes_of(supervisor), 10)


def pipes_of(supervisor):
    """The FIFOs of commands that a supervisor holds."""
    found = []
    for entry in Path(f"/proc/{supervisor.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(entry.readlink()))
    return [path for path in found if "/commands/" in path]


class TestReboot:
    """Another boot id in the record is what a reboot leaves."""

    async def reboot(self, own, own_agent, command_id, change):
        await grown(own, command_id, 2)
        leader = int((own.folder(command_id) / "pid").read_text().split()[0])
        own_agent.kill9()
        own.supervisor.kill()
        os.killpg(leader, signal.SIGKILL)
        record = own.folder(command_id) / "pid"
        record.write_text(change(record.read_text()))
        own_agent.restart()

    async def test_what_ran_is_lost(self, own, own_agent, tools):
        params = {"command": "sh", "args": ["-c", "echo 1; sleep 60"], "command_id": "reboot"}
        await own("execute_command", **params)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        await self.reboot(own, own_agent, "reboot", lambda text: text.replace(boot, "another-boot"))

        log = await own.follow("reboot")
        assert (log.stdout, log.result["reason"], log.result["ended_at"]) == (b"1\n", "lost", None)
        assert "rebooted" in log.result["message"]
        assert (await own("execute_command", **params))["status"] == "lost"
        assert (own.folder("reboot") / "log").read_bytes() == b"1\n"

    async def test_a_time_limit_of_an_earlier_boot_means_nothing(self, own, own_agent):
        command_id = await own.start("sh", "-c", "echo 1; sleep 60", timeout=3600)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        await self.reboot(own, own_agent, command_id, lambda text: text.replace(boot, "another-boot"))

        assert (await own.follow(command_id)).result["reason"] == "lost"


FAULTY = """
import json, os, signal, sys
sys.path[0] = {package!r}
from myx_agent.supervisor import main, service, spawn
def die(*_args):
    os.kill(os.getpid(), signal.SIGKILL)
release = spawn.release
def release_and_die(child):
    release(child)
    die()
{patch}
sys.exit(main.main(sys.argv[1:]))
"""
WINDOWS = {
    "before the pid record": ("service.Service._record_start = die", "runs"),
    "before the go": ("spawn.release = die", "unknown"),
    "after the go": ("spawn.release = release_and_die", "ran"),
}


@pytest.mark.parametrize("window", WINDOWS)
async def test_whenever_the_supervisor_dies_a_command_never_runs_twice(own, own_agent, tools, tmp_path, window):
    patch, expected = WINDOWS[window]
    mark = tmp_path / "mark"
    options = json.loads(own.supervisor.cmdline()[-1])
    options.pop("ready_fd", None)
    package = str(Path(myx_agent.__file__).parent.parent)
    own_agent.stop()
    own.supervisor.kill()
    socket = Path(own.spool) / "supervisor.sock"
    socket.unlink()
    program = FAULTY.format(package=package, patch=patch)
    faulty = subprocess.Popen([sys.executable, "-I", "-S", "-c", program, json.dumps(options)])
    try:
        await until(socket.exists, 10)
        own_agent.restart()
        params = {
            "command": "sh",
            "args": ["-c", f"echo ran >> {mark}; sleep 0.3; echo out; exit 8"],
            "command_id": "window",
        }
        first = await own("execute_command", **params)  # asked again of the next supervisor
    finally:
        faulty.wait(10)

    log = await own.follow("window")
    again = await own("execute_command", **params)
    assert again["existing"]
    if expected == "runs":
        assert not first["existing"]
        assert (log.result["return_code"], mark.read_text()) == (8, "ran\n")
    elif expected == "unknown":
        assert first["existing"]
        assert (log.result["reason"], mark.exists()) == ("unknown", False)
        assert again["status"] == "unknown"
    else:
        assert first["existing"]
        assert mark.read_text() == "ran\n"
        assert log.stdout == b"out\n"
        assert log.result["reason"] == "lost"  # the faulty one was not a child of this agent


STUBBORN = "trap '' TERM; echo $$; while :; do sleep 1; done"


@pytest.mark.parametrize(
    ("how", "agent_too", "away"),
    [("cancel", False, ""), ("cancel", False, "setsid "), ("cancel", True, "setsid "), ("timeout", True, "")],
    ids=["cancel", "cancel-setsid", "cancel-both-setsid", "timeout-both"],
)
async def test_what_a_dead_leader_left_is_ended_by_the_next_supervisor(tree, own_agent, tools, how, agent_too, away):
    script = f'{away}sh -c "$STUBBORN" & exec sleep 60'
    limit = {"timeout": 0.5} if how == "timeout" else {}
    command_id = await tree.start("sh", "-c", script, env={"STUBBORN": STUBBORN}, **limit)
    folder = tree.folder(command_id)
    await until(lambda: (folder / "log").read_bytes().endswith(b"\n"), 10)
    child = int((folder / "log").read_bytes())
    leader = int((folder / "pid").read_text().split()[0])
    if how == "cancel":
        await tree("cancel_command", command_id=command_id, grace=3)
    await until(lambda: not psutil.pid_exists(leader), 10)
    assert tools.is_alive(child)
    if agent_too:
        own_agent.kill9()
    tree.supervisor.kill()
    if agent_too:
        own_agent.restart()

    result = (await tree.follow(command_id)).result
    assert not tools.is_alive(child)
    assert (result["reason"], result["signal"]) == ("cancelled" if how == "cancel" else "timeout", "SIGTERM")
    assert result["tree_gone"] == tree.has_cgroups  # without one it cannot be proved


async def test_a_leader_that_ends_unseen_in_a_cancel_is_cancelled_when_its_tree_is_proved_gone(tree, own_agent, tools):
    script = "trap 'until [ -e go ]; do sleep 0.01; done; exit 0' TERM; sh -c \"$STUBBORN\" & while :; do wait; done"
    command_id = await tree.start(
        "sh", "-c", script, env={"STUBBORN": STUBBORN}, cwd=str(own_agent.folder)
    )  # fmt: skip
    folder = tree.folder(command_id)
    await until(lambda: (folder / "log").read_bytes().endswith(b"\n"), 10)
    child = int((folder / "log").read_bytes())
    leader = int((folder / "pid").read_text().split()[0])
    await tree("cancel_command", command_id=command_id, grace=2)
    own_agent.kill9()
    tree.supervisor.kill()
    (own_agent.folder / "go").touch()
    await until(lambda: not tools.is_alive(leader), 10)
    own_agent.restart()

    result = (await tree.follow(command_id)).result
    assert not tools.is_alive(child)
    assert (result["reason"], result["return_code"]) == ("cancelled" if tree.has_cgroups else "lost", None)
    assert result["tree_gone"] == tree.has_cgroups


async def gone_before_its_pipes(own):
    """A command whose leader has ended with 3 while a child holds its output: the supervisor waits a second more."""
    command_id = await own.start("sh", "-c", "echo 1; sleep 30 & exit 3")
    leader = int((own.folder(command_id) / "pid").read_text().split()[0])
    await until(lambda: not psutil.pid_exists(leader), 10)
    return command_id


@pytest.mark.parametrize("agent_too", [False, True], ids=["supervisor", "both"])
async def test_an_exit_code_that_was_known_survives_the_supervisor(own, own_agent, agent_too):
    supervisor = own.supervisor
    command_id = await gone_before_its_pipes(own)
    if agent_too:
        own_agent.kill9()
    supervisor.kill()
    if agent_too:
        own_agent.restart()

    log = await own.follow(command_id)
    assert (log.stdout, log.result["return_code"], log.result["reason"]) == (b"1\n", 3, "exited")


async def test_an_exit_code_that_was_known_survives_a_replacement(own):
    supervisor = own.supervisor
    *argv, options = supervisor.cmdline()
    replaced = json.loads(options) | {"code": "another"}
    replaced.pop("ready_fd", None)
    command_id = await gone_before_its_pipes(own)
    with client.connect(Path(own.spool)) as connection:
        client.send(connection, {"op": "replace", "argv": [*argv, json.dumps(replaced)]})
        await until(lambda: '"another"' in " ".join(supervisor.cmdline()), 10)

    log = await own.follow(command_id)
    assert (log.result["return_code"], log.result["reason"]) == (3, "exited")
