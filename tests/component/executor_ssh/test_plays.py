"""Plays over SSH: what comes out, and what ends them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from executor_ssh_sshd import PASSWORD

from myx_executor.adapters.ansible import PlayOverSsh
from myx_executor.domain.ssh import PlayEnd, PlayEvent, PlaySpec, PlayText
from myx_testkit.wait import until

RUN_PLAY = Path(__file__).parents[3] / "playbooks/scripts/run_play.py"


def write_project(folder, tasks, **files):
    (folder / "playbooks").mkdir(parents=True, exist_ok=True)
    play = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    (folder / "playbooks/main.yml").write_text(json.dumps(play))
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return str(folder)


async def collect(play):
    text, events, end = {"stdout": b"", "stderr": b""}, [], None
    async for item in play.items():
        match item:
            case PlayText(stream, data):
                text[stream] += data
            case PlayEvent(event):
                events.append(event)
            case PlayEnd():
                end = item
    return text["stdout"].decode() + text["stderr"].decode(), events, end


async def run(session, tmp_path, project, **spec):
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    plays = PlayOverSsh(RUN_PLAY, scratch)
    async with await plays.start(session, PlaySpec(project, "main.yml", **({"pushed": True} | spec))) as play:
        result = await collect(play)
    assert list(scratch.iterdir()) == []
    return result


@pytest.mark.parametrize("user", ["root", "withpass"])
async def test_a_play_reaches_the_host_as_root(connector, sshd, tmp_path, user):
    big = os.urandom(1_000_000).hex()
    target = tmp_path / "on-host"
    tasks = [
        {"name": "who", "ansible.builtin.command": "id -un", "register": "who", "changed_when": False},
        {"name": "copy", "ansible.builtin.copy": {"src": "../files/big", "dest": str(target), "mode": "0640"}},
        {"name": "say", "ansible.builtin.debug": {"msg": "{{ who.stdout }} {{ word }} {{ secret }}"}},
        {"name": "fetch", "ansible.builtin.slurp": {"src": str(target)}, "register": "back", "no_log": True},
        {"name": "same", "ansible.builtin.assert": {"that": "(back.content | b64decode | length) == 2000000"}},
    ]
    project = write_project(tmp_path / "project", tasks, files__big=big)
    async with connector.session([sshd.hop(user, sudo_password=PASSWORD)]) as session:
        text, events, end = await run(
            session, tmp_path, project, extra_vars={"word": "{{ no }}"}, secret_vars={"secret": "hush-hush"}
        )
    assert end.code == 0, text
    assert "root {{ no }} ********" in text
    assert target.read_text() == big
    assert end.recap["localhost"]["ok"] == 5
    assert events[0]["type"] == "play_started"
    assert events[-1]["type"] == "recap"
    assert "hush-hush" not in text + json.dumps(events)


async def test_failed_task_and_missing_playbook(session, tmp_path):
    project = write_project(tmp_path / "project", [{"name": "no", "ansible.builtin.command": "/bin/false"}])
    _, events, end = await run(session, tmp_path, project)
    assert end.code == 2
    assert [event["status"] for event in events if event["type"] == "task_result"] == ["failed"]
    scratch = tmp_path / "other"
    scratch.mkdir()
    async with await PlayOverSsh(RUN_PLAY, scratch).start(session, PlaySpec(project, "none.yml")) as play:
        _, _, end = await collect(play)
    assert end.code == 65


async def test_lost_connection_is_told(connector, own_sshd, tmp_path):
    own_sshd.start()
    project = write_project(tmp_path / "project", [{"ansible.builtin.command": "sleep 61"}])
    async with connector.session([own_sshd.hop()]) as session:
        task = asyncio.create_task(run(session, tmp_path, project))
        await until(lambda: running("sleep 61"), 60)
        session._connection.abort()
        _, _, end = await task
    assert end.code in {2, 4}
    assert end.lost is not None


def running(word):
    return subprocess.run(["pgrep", "-xf", word], capture_output=True, check=False).returncode == 0


async def test_cancel_ends_the_play_and_what_it_runs_on_the_host(connector, sshd, tmp_path):
    project = write_project(tmp_path / "project", [{"ansible.builtin.shell": "trap '' TERM; sleep 62"}])
    async with connector.session([sshd.hop("nopass")]) as session:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        play = await PlayOverSsh(RUN_PLAY, scratch).start(session, PlaySpec(project, "main.yml"))
        task = asyncio.create_task(collect(play))
        await until(lambda: running("sleep 62"), 60)
        await play.cancel(1)
        _, _, end = await task
        assert end.cancelled
        assert end.code != 0
        await play.close()
        assert await session.end(everything=False)
        assert not running("sleep 62")
        await until(lambda: not processes_of(scratch))
        assert list(scratch.iterdir()) == []
        assert (await session.run("echo on")).text == "on\n"


async def test_a_cancel_lets_a_task_clean_up(connector, sshd, tmp_path):
    began, cleaned = tmp_path / "began", tmp_path / "cleaned"
    # A shell says of each child that was ended by a signal, to whom the module was; where that is gone first, it dies.
    script = f"exec 2>/dev/null; trap 'sleep 1; touch {cleaned}; exit' TERM; touch {began}; while :; do sleep 0.1; done"
    project = write_project(tmp_path / "project", [{"ansible.builtin.shell": script}])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    async with connector.session([sshd.hop("nopass")]) as session:
        async with await PlayOverSsh(RUN_PLAY, scratch).start(session, PlaySpec(project, "main.yml")) as play:
            task = asyncio.create_task(collect(play))
            await until(began.exists, 60)
            await play.cancel(10)
            await task
        assert await session.end(everything=True)
        assert cleaned.exists()


async def test_an_unread_play_can_be_closed(session, tmp_path):
    tasks = [{"ansible.builtin.debug": {"msg": "x" * 1000}, "loop": "{{ range(2000) | list }}"}]
    project = write_project(tmp_path / "project", tasks)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    play = await PlayOverSsh(RUN_PLAY, scratch).start(session, PlaySpec(project, "main.yml"))
    async for _ in play.items():
        break
    await asyncio.sleep(4)
    await play.close()
    await until(lambda: not processes_of(scratch))
    assert list(scratch.iterdir()) == []


async def test_time_limit(session, tmp_path):
    project = write_project(tmp_path / "project", [{"ansible.builtin.command": "sleep 63"}])
    _, _, end = await run(session, tmp_path, project, timeout_s=4)
    assert end.code == 124
    await until(lambda: not running("sleep 63"))


async def test_limit_on_the_time_without_output(session, tmp_path):
    project = write_project(tmp_path / "project", [{"ansible.builtin.command": "sleep 4066"}])
    _, _, end = await run(session, tmp_path, project, no_output_timeout_s=8)
    assert (end.code, end.silent) == (124, True)
    await until(lambda: not running("sleep 4066"))


async def test_the_play_dies_with_the_executor(sshd, tmp_path):
    project = write_project(tmp_path / "project", [{"ansible.builtin.command": "sleep 64"}])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    hop = sshd.hop()
    program = f"""
import asyncio
from pathlib import Path
from myx_executor.adapters.ansible import PlayOverSsh
from myx_executor.adapters.ssh import SshConnector
from myx_executor.domain.ssh import *
async def main():
    hop = Hop("box", "127.0.0.1", {hop.port}, "root", private_key=Path({str(sshd.folder / "user")!r}).read_text(),
              host_key=TrustedKey({hop.host_key.fingerprint!r}))
    session = await SshConnector().connect([hop])
    play = await PlayOverSsh(Path({str(RUN_PLAY)!r}), Path({str(scratch)!r})).start(
        session, PlaySpec({project!r}, "main.yml"))
    async for item in play.items():
        pass
asyncio.run(main())
"""
    executor = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    try:
        await until(lambda: running("sleep 64"), 60)
        executor.kill()
        await executor.wait()
        await until(lambda: not processes_of(scratch))
    finally:
        with suppress(ProcessLookupError):
            executor.kill()
        # The task that ran on the host goes on to its end, as with any lost connection.
        for pid in subprocess.run(["pgrep", "-xf", "sleep 64"], capture_output=True, check=False).stdout.split():
            os.kill(int(pid), signal.SIGKILL)


def processes_of(folder):
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in line:
                found.append(line)
    return found
