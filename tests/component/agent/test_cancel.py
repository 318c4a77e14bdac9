"""Cancel and time limits reach the whole tree, and the result says what happened only when it happened."""

import base64
import os
import pwd
import subprocess
import sys
import time

import psutil
import pytest

from myx_testkit.wait import until

is_root = os.geteuid() == 0
IGNORE = "trap '' TERM HUP INT; "


async def started(call, command_id, count):
    """The pids that a script printed, once there are `count`."""

    async def pids():
        answer = await call("get_command_log", command_id=command_id)
        words = base64.b64decode(answer["log_data"]).split()
        return [int(word) for word in words] if len(words) >= count else None

    return await until(pids, 10)


async def test_term_comes_first_and_may_be_answered(call):
    command_id = await call.start("sh", "-c", "trap 'echo bye; exit 3' TERM; echo 1; while :; do sleep 0.05; done")
    await started(call, command_id, 1)
    assert await call("cancel_command", command_id=command_id) == {"command_id": command_id, "state": "running"}
    log = await call.follow(command_id)

    assert log.stdout == b"1\nbye\n"
    assert (log.result["reason"], log.result["return_code"], log.result["signal"]) == ("cancelled", 3, None)
    assert log.result["success"] is False


async def test_a_plain_program_ends_by_term_at_once(call):
    command_id = await call.start("sleep", "60")
    began = time.monotonic()
    await call("cancel_command", command_id=command_id, grace=30)
    result = (await call.follow(command_id)).result

    assert (result["reason"], result["signal"], result["tree_gone"]) == ("cancelled", "SIGTERM", True)
    assert time.monotonic() - began < 10


async def test_who_ignores_term_is_killed_after_the_grace(tree, tools):
    command_id = await tree.start("sh", "-c", f"{IGNORE} echo $$; while :; do sleep 1; done")
    pids = await started(tree, command_id, 1)
    began = time.monotonic()
    await tree("cancel_command", command_id=command_id, grace=0.5)
    result = (await tree.follow(command_id)).result

    assert (result["reason"], result["signal"], result["tree_gone"]) == ("cancelled", "SIGKILL", True)
    assert time.monotonic() - began >= 0.5
    assert not any(tools.is_alive(pid) for pid in pids)


ESCAPES = {
    "setsid": "setsid sh -c '{ignore} echo $$; while :; do sleep 1; done' & ",
    "nohup": "nohup sh -c '{ignore} echo $$; while :; do sleep 1; done' 2>/dev/null & ",
    "double fork": "(setsid sh -c '{ignore} echo $$; (while :; do sleep 1; done) & echo $!; exit 0' &); ",
    "closed output": "setsid sh -c '{ignore} echo $$; exec >/dev/null 2>&1; while :; do sleep 1; done' & ",
}


@pytest.mark.parametrize("kind", ESCAPES)
async def test_what_tries_to_get_away_is_gone_after_a_cancel(tree, tools, kind):
    script = ESCAPES[kind].format(ignore=IGNORE) + f"{IGNORE} echo $$; while :; do sleep 1; done"
    command_id = await tree.start("sh", "-c", script)
    pids = await started(tree, command_id, 3 if kind == "double fork" else 2)
    await tree("cancel_command", command_id=command_id, grace=0.2)
    result = (await tree.follow(command_id)).result

    assert (result["reason"], result["tree_gone"]) == ("cancelled", True)
    assert not any(tools.is_alive(pid) for pid in pids)


async def test_a_tree_outlives_its_leader_only_until_the_kill(tree, tools):
    script = (
        f"setsid sh -c '{IGNORE} echo $$; exec >/dev/null 2>&1; while :; do sleep 1; done' & echo $$; exec sleep 60"
    )
    command_id = await tree.start("sh", "-c", script)
    pids = await started(tree, command_id, 2)
    await tree("cancel_command", command_id=command_id, grace=0.5)
    result = (await tree.follow(command_id)).result

    assert (result["reason"], result["signal"], result["tree_gone"]) == ("cancelled", "SIGTERM", True)
    assert not any(tools.is_alive(pid) for pid in pids)


@pytest.mark.skipif(not is_root, reason="needs root to bound the number of processes of another user")
async def test_a_fork_bomb_is_gone_after_a_cancel(tree):
    uid = pwd.getpwnam("nobody").pw_uid
    bomb = "ulimit -u 100; b() { b | b & }; echo 1; b; while :; do sleep 1; done"
    command_id = await tree.start("bash", "-c", bomb, user="nobody")
    await started(tree, command_id, 1)
    await tree("cancel_command", command_id=command_id, grace=0)
    result = await tree.result(command_id, 15)

    assert (result["reason"], result["tree_gone"]) == ("cancelled", True)
    left = subprocess.run(["ps", "-o", "args=", "-U", str(uid)], capture_output=True, text=True, check=False).stdout
    assert "ulimit -u 100" not in left


# Each process forks the next one and is gone: whoever lists processes comes too late.
COMETS = """
import os, signal, time
for number in range(20):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(0.005)
            if os.fork() != 0:
                os._exit(0)
print(os.getpid(), flush=True)
time.sleep(60)
"""


async def test_what_forks_faster_than_one_can_look_is_gone_after_a_cancel(own_agent, tools):
    own_agent.start()
    async with tools.calling(own_agent) as call:
        if "cgroup" not in (await call("get_status"))["capabilities"]:
            pytest.skip("no cgroup can be made here")
        for _ in range(3):
            command_id = await call.start(sys.executable, "-Sc", COMETS)
            await started(call, command_id, 1)
            await call("cancel_command", command_id=command_id, grace=0.3)
            result = await call.result(command_id, 30)
            assert (result["reason"], result["tree_gone"]) == ("cancelled", True)
            assert not [process for process in psutil.process_iter() if COMETS in _argv(process)]


def _argv(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_a_time_limit_ends_a_command_and_is_said(call):
    began = time.monotonic()
    result = (await call.run("sleep", "60", timeout=0.3)).result

    assert (result["reason"], result["signal"], result["success"]) == ("timeout", "SIGTERM", False)
    assert 0.3 <= time.monotonic() - began < 10


async def test_silence_ends_a_command_only_where_asked_for_and_when_it_is_silent(call):
    talks = await call.run("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done", no_output_timeout=0.5)
    silent = await call.run("sh", "-c", "echo once; sleep 60", no_output_timeout=0.3)

    assert talks.result["reason"] == "exited"
    assert (silent.result["reason"], silent.stdout) == ("no_output_timeout", b"once\n")


async def test_an_ended_command_keeps_its_outcome(call):
    command_id = await call.start("sh", "-c", "exit 9")
    before = (await call.follow(command_id)).result
    assert await call("cancel_command", command_id=command_id) == {"command_id": command_id, "state": "finished"}

    assert (await call.follow(command_id)).result == before
    assert before["reason"] == "exited"


async def test_a_leader_that_had_ended_keeps_its_outcome_though_its_output_is_still_held(call):
    command_id = await call.start("sh", "-c", "sleep 30 & echo $!; exit 4")
    pids = await started(call, command_id, 1)
    leader = int((call.folder(command_id) / "pid").read_text().split()[0])
    await until(lambda: not psutil.pid_exists(leader), 10)
    await call("cancel_command", command_id=command_id)
    result = (await call.follow(command_id)).result
    os.kill(pids[0], 9)

    assert (result["reason"], result["return_code"], result["tree_gone"]) == ("exited", 4, False)


async def test_cancelling_again_shortens_the_grace(call):
    command_id = await call.start("sh", "-c", f"{IGNORE} echo 1; while :; do sleep 1; done")
    await started(call, command_id, 1)
    await call("cancel_command", command_id=command_id, grace=300)
    await call("cancel_command", command_id=command_id, grace=0)

    assert (await call.follow(command_id)).result["signal"] == "SIGKILL"


HIDDEN = "{leave} env -i setsid -f sleep 61.{number} >/dev/null 2>&1 </dev/null; echo $$; exec sleep 60"
LEAVE = "for f in /sys/fs/cgroup/unified/cgroup.procs /sys/fs/cgroup/cgroup.procs; do echo $$ > $f; done 2>/dev/null;"


def hidden(number):
    """Pids of what a script hid."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", f"61.{number}"]]


async def test_what_hid_from_cgroup_and_tag_is_found_when_it_can_be_nobody_elses(tree):
    number = os.getpid()
    command_id = await tree.start("sh", "-c", HIDDEN.format(leave=LEAVE, number=number))
    await started(tree, command_id, 1)
    assert hidden(number)
    await tree("cancel_command", command_id=command_id, grace=0.1)
    result = (await tree.follow(command_id)).result

    assert (result["reason"], result["tree_gone"]) == ("cancelled", True)
    assert not hidden(number)


async def test_what_hid_and_may_be_anothers_is_spared_and_said_to_be_left(tree):
    number = os.getpid()
    neighbour = await tree.start("sleep", "60")
    command_id = await tree.start("sh", "-c", HIDDEN.format(leave=LEAVE, number=number))
    await started(tree, command_id, 1)
    await tree("cancel_command", command_id=command_id, grace=0.1)
    result = (await tree.follow(command_id)).result
    left = hidden(number)
    for pid in left:
        os.kill(pid, 9)
    await tree("cancel_command", command_id=neighbour, grace=0)

    assert (result["reason"], result["tree_gone"], len(left)) == ("cancelled", False, 1)


async def test_a_neighbour_is_not_hit(tree):
    neighbour = await tree.start("sh", "-c", "echo $$; sleep 0.8; echo ok")
    await started(tree, neighbour, 1)
    victim = await tree.start("sh", "-c", f"{IGNORE} echo $$; (setsid sleep 60 &); while :; do sleep 1; done")
    await started(tree, victim, 1)
    await tree("cancel_command", command_id=victim, grace=0)
    await tree.result(victim)

    log = await tree.follow(neighbour)
    assert log.result["return_code"] == 0
    assert log.stdout.endswith(b"ok\n")


@pytest.mark.parametrize("params", [{"grace": -1}, {"grace": "1"}, {"command_id": ""}])
async def test_bad_parameters_are_refused(call, tools, params):
    with pytest.raises(tools.RpcFailure) as caught:
        await call("cancel_command", **({"command_id": "x"} | params))
    assert caught.value.code == -32602
