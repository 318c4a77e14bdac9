"""What a power failure and a full disk leave of a spool costs single commands, never the agent."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import myx_agent
from myx_testkit.wait import until

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def cut_power(own, own_agent, *command_ids):
    """Another boot id in the records of these commands is what a reboot leaves."""
    own_agent.kill9()
    own.supervisor.kill()
    for command_id in command_ids:
        record = own.folder(command_id) / "pid"
        if not (own.folder(command_id) / "result.json").exists():
            os.killpg(int(record.read_text().split()[0]), signal.SIGKILL)
        record.write_text(record.read_text().replace(BOOT, "another-boot"))


async def ran_once(own, tmp_path, command_id):
    """Parameters of a command that has begun and leaves a line in a file whenever it runs."""
    mark = tmp_path / "mark"
    script = f"echo ran >> {mark}; echo 1; sleep 60"
    params = {"command": "sh", "args": ["-c", script], "command_id": command_id}
    await own("execute_command", **params)
    await until(lambda: (own.folder(command_id) / "log").read_bytes() == b"1\n", 10)
    return params, mark


async def listed(own, command_id):
    return next(entry for entry in (await own("list_commands"))["commands"] if entry["command_id"] == command_id)


FULL_DISK = """
import errno, os, sys
sys.path[0] = {package!r}
from myx_agent.spool import layout
from myx_agent.supervisor import main
write_whole = layout.write_whole
def write(path, data):
    if path.endswith(layout.RESULT) and os.path.exists({full!r}):
        raise OSError(errno.ENOSPC, "full")
    write_whole(path, data)
layout.write_whole = write
sys.exit(main.main(sys.argv[1:]))
"""


async def test_on_a_full_disk_the_agent_starts_and_what_was_lost_is_not_run_again(own, own_agent, tmp_path):
    params, mark = await ran_once(own, tmp_path, "cut")
    options = json.loads(own.supervisor.cmdline()[-1])
    options.pop("ready_fd", None)
    cut_power(own, own_agent, "cut")
    full = tmp_path / "full"
    full.touch()
    socket = Path(own.spool) / "supervisor.sock"
    socket.unlink()
    program = FULL_DISK.format(package=str(Path(myx_agent.__file__).parent.parent), full=str(full))
    supervisor = subprocess.Popen([sys.executable, "-I", "-S", "-c", program, json.dumps(options)])
    try:
        await until(socket.exists, 10)
        own_agent.restart()
        again = await own("execute_command", **params)
        entry = await listed(own, "cut")
        pages = [await own("get_command_log", command_id="cut", offset=offset) for offset in (0, 2)]
        events = await own("get_playbook_events", command_id="cut")
        log = await own.follow("cut")
        assert not (own.folder("cut") / "result.json").exists()
        full.unlink()
        await until((own.folder("cut") / "result.json").exists, 10)
    finally:
        own_agent.close()
        supervisor.wait(10)

    assert (again["status"], again["existing"], mark.read_text()) == ("lost", True, "ran\n")
    assert (entry["state"], entry["reason"], entry["log_size"]) == ("lost", "lost", 2)
    assert [page["is_final"] for page in pages] == [False, True]
    assert (pages[1]["result"]["reason"], pages[1]["result"]["stdout"]["bytes"], events["is_final"]) == (
        "lost",
        2,
        True,
    )
    assert (log.stdout, log.result["reason"]) == (b"1\n", "lost")


@pytest.mark.parametrize("name", ["result.json", "gap.json", "meta.json"])
async def test_what_a_power_failure_emptied_costs_one_command(own, own_agent, tmp_path, name):
    params, mark = await ran_once(own, tmp_path, "torn")
    whole = await own.start("sh", "-c", "exit 4")
    await own.follow(whole)
    cut_power(own, own_agent, "torn")
    (own.folder("torn") / name).write_bytes(b"")
    own_agent.restart()

    log = await own.follow("torn")
    again = await own("execute_command", **params)
    assert (log.stdout, log.result["reason"]) == (b"1\n", "lost")
    assert (again["status"], again["existing"], mark.read_text()) == ("lost", True, "ran\n")
    assert (await listed(own, "torn"))["state"] == "lost"
    assert (await listed(own, whole))["return_code"] == 4


async def test_a_finished_commands_exit_code_arrives_though_its_index_is_gone(own, own_agent):
    command_id = await own.start("sh", "-c", "echo 1; echo 2 >&2; exit 4")
    await own.follow(command_id)
    cut_power(own, own_agent, command_id)
    (own.folder(command_id) / "index").write_bytes(b"")
    own_agent.restart()

    log = await own.follow(command_id)
    page = await own("get_command_log", command_id=command_id)
    assert (log.result["return_code"], log.result["reason"], log.text) == (4, "exited", b"")
    assert [(gap["from"], gap["to"], gap["reason"]) for gap in log.gaps] == [(0, 4, "disk_lost")]
    assert (page["new_offset"], page["is_final"], page["result"]["return_code"]) == (4, True, 4)
