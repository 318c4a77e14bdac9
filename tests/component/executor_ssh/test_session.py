"""Commands and uploads on a host."""

import asyncio
import hashlib
import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from executor_ssh_sshd import PASSWORD

from myx_executor.adapters import ssh_session
from myx_executor.domain.ssh import RemoteFailed, RemoteTimeout, SessionLost
from myx_testkit.wait import until

LOGINS = ["root", "nopass", "withpass"]


def login(sshd, user):
    return sshd.hop(user, sudo_password=PASSWORD if user == "withpass" else "")


def running(word):
    return subprocess.run(["pgrep", "-f", word], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("user", LOGINS)
async def test_streams_codes_and_stdin_are_exact(connector, sshd, user):
    data = os.urandom(300_000) + b"\n\0end"
    async with connector.session([login(sshd, user)]) as session:
        result = await session.run("cat; echo err >&2; exit 7", stdin=data)
        assert (result.code, result.stdout, result.stderr) == (7, data, b"err\n")
        result = await session.run(["printf", "%s|", "a b", "'\"$HOME`id`\\", "", "ü\n"])
        assert result.stdout == "a b|'\"$HOME`id`\\||ü\n|".encode()
        assert (
            await session.run("echo $HOME; id -u; pwd")
        ).text == f"{sshd.folder}/home/root\n0\n{sshd.folder}/home/root\n"
        assert (await session.run(["no-such-program"])).code == 127
        assert (await session.run("kill -9 $$")).code != 0
        assert (await session.run("cat", stdin=b"")).stdout == b""


async def test_a_password_that_sudo_does_not_ask_for_is_not_the_commands_input(connector, sshd):
    from myx_executor.adapters.ssh_root import Elevation, Means

    async with connector.session([sshd.hop("nopass")]) as session:
        session._root = Elevation(Means.SUDO_PASSWORD, PASSWORD)
        result = await session.run("cat; env; cat /proc/$$/cmdline", stdin=b"mine\n")
        assert result.stdout.startswith(b"mine\n")
        assert PASSWORD.encode() not in result.stdout + result.stderr


async def test_noise_of_a_login_shell_is_not_output(connector, own_sshd):
    own_sshd.start()
    home = own_sshd.folder / "home/nopass"
    own_sshd.stop()
    (home / ".ssh/environment").write_text(f"ENV={home}/noise\n")
    shell = own_sshd.folder / "noisy"
    shell.write_text('#!/bin/sh\necho "Welcome!"\necho "Oh dear" >&2\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    own_sshd.options = f'Match User nopass\n ForceCommand {shell} -c "$SSH_ORIGINAL_COMMAND"\nMatch all'
    own_sshd.start()
    async with connector.session([own_sshd.hop("nopass")]) as session:
        result = await session.run("echo out; echo err >&2")
        assert (result.stdout, result.stderr) == (b"out\n", b"err\n")


async def test_login_that_runs_nothing(connector, own_sshd):
    own_sshd.options = "Match User nopass\n ForceCommand echo 'not here'; exit 1\nMatch all"
    own_sshd.start()
    with pytest.raises(RemoteFailed) as caught:
        await connector.connect([own_sshd.hop("nopass")])
    assert caught.value.reason == "SSH_COMMAND_FAILED"


async def test_output_is_bounded(session):
    result = await session.run("head -c 3000000 /dev/zero", max_output=1000)
    assert len(result.stdout) == 1000


async def test_a_host_that_is_slow_to_run_anything_is_a_timeout_with_its_cure(connector, own_sshd, monkeypatch):
    monkeypatch.setattr(ssh_session, "_PROBE_S", 1.5)
    own_sshd.options = "Match User nopass\n ForceCommand sleep 66\nMatch all"
    own_sshd.start()
    with pytest.raises(RemoteTimeout) as caught:
        await connector.connect([own_sshd.hop("nopass")])
    assert caught.value.reason == "SSH_TIMEOUT"
    assert "did not run `id -u` within 1.5 s" in caught.value.message
    assert "busy" in caught.value.cure


@pytest.mark.parametrize("user", LOGINS)
async def test_timeout_kills_all_of_it(connector, sshd, user):
    word = f"sleep 9{os.getpid()}.{LOGINS.index(user)}"
    async with connector.session([login(sshd, user)]) as session:
        with pytest.raises(RemoteTimeout):
            await session.run(f"{word} & trap '' TERM; {word}", timeout_s=1)
        await until(lambda: not running(word))
        assert (await session.run("echo on")).text == "on\n"


async def test_cancel_and_close_kill_what_runs(connector, sshd):
    word = f"sleep 8{os.getpid()}"
    session = await connector.connect([sshd.hop("nopass")])
    task = asyncio.create_task(session.run(word))
    await until(lambda: running(word))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await until(lambda: not running(word))
    task = asyncio.create_task(session.run(word))
    await until(lambda: running(word))
    await session.close()
    await until(lambda: not running(word))
    with suppress(SessionLost):
        assert (await task).code != 0
    assert session.closed


@contextmanager
def frozen_sshd(sshd):
    """What it serves now hears nothing, as behind a cut cable."""
    pids = [sshd.process.pid]
    for pid in pids:
        below = subprocess.run(["pgrep", "-P", str(pid), "sshd"], capture_output=True, text=True, check=False).stdout
        pids += map(int, below.split())
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_a_command_is_called_killed_only_when_its_host_has_proved_it(connector, own_sshd, monkeypatch):
    own_sshd.start()
    word = f"sleep 7{os.getpid()}"
    async with connector.session([own_sshd.hop("nopass")]) as session:
        with pytest.raises(RemoteTimeout, match="was killed"):
            await session.run(word, timeout_s=0.2)
        assert not running(word)
        task = asyncio.create_task(session.run(word, timeout_s=2))
        await until(lambda: any(one.done() and one.result().group for one in session._open.values()))
        with frozen_sshd(own_sshd), monkeypatch.context() as patience:
            for limit in ("_KILL_S", "_PROOF_S"):
                patience.setattr(ssh_session, limit, 0.5)
            with pytest.raises(RemoteTimeout, match="may still run there"):
                await task
            assert not await session.end(everything=False)
            assert running(word)
        # What was cut off for a while can be proved later.
        assert await session.end(everything=False)
        assert not running(word)


@pytest.mark.parametrize("user", LOGINS)
async def test_what_fled_into_a_session_of_its_own_is_ended_with_the_rest(connector, sshd, user):
    word = f"sleep 6{os.getpid()}.{LOGINS.index(user)}"
    async with connector.session([login(sshd, user)]) as session, connector.session([sshd.hop()]) as other:
        assert (await session.run(f"setsid nohup {word} >/dev/null 2>&1 & exit 3")).code == 3
        assert await session.end(everything=False)
        assert await other.end(everything=True)
        assert running(word)
        assert await session.end(everything=True)
        assert not running(word)


async def test_nothing_is_proved_over_a_connection_that_is_lost(connector, sshd):
    async with connector.session([sshd.hop()]) as session:
        session._connection.abort()
        await until(lambda: session.closed)
        assert await session.end(everything=False)
        assert not await session.end(everything=True)


async def test_more_commands_than_the_server_has_sessions_for(session):
    results = await asyncio.gather(*(session.run(["sh", "-c", f"sleep 0.1; echo {n}"]) for n in range(40)))
    assert [result.text for result in results] == [f"{n}\n" for n in range(40)]


async def test_a_host_that_allows_few_sessions(connector, own_sshd):
    own_sshd.options = "MaxSessions 2"
    own_sshd.start()
    async with connector.session([own_sshd.hop()]) as session:
        results = await asyncio.gather(*(session.run(["echo", str(n)]) for n in range(20)))
    assert [result.text for result in results] == [f"{n}\n" for n in range(20)]


async def test_lost_connection_is_an_error_of_its_own(connector, own_sshd):
    own_sshd.start()
    async with connector.session([own_sshd.hop()]) as session:
        task = asyncio.create_task(session.run("sleep 65"))
        await until(lambda: running("sleep 65"))
        for pid in subprocess.run(
            ["pgrep", "-P", str(own_sshd.process.pid)], capture_output=True, text=True, check=True
        ).stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        with pytest.raises(SessionLost):
            await task
        with pytest.raises(SessionLost):
            await session.run("true")
        with pytest.raises(SessionLost):
            await session.put(b"x" * 10, "/tmp/x")


@pytest.mark.parametrize("user", LOGINS)
@pytest.mark.parametrize("size", [0, 10, 128 * 1024, 5_000_001])
async def test_put(connector, sshd, tmp_path, user, size):
    data = os.urandom(size)
    source = tmp_path / "source"
    source.write_bytes(data)
    target = tmp_path / "new" / "deep" / "it's here"
    async with connector.session([login(sshd, user)]) as session:
        for what in (data, source):
            target.unlink(missing_ok=True)
            await session.put(what, str(target), mode=0o640)
            assert target.read_bytes() == data
            assert target.stat().st_mode & 0o7777 == 0o640
            assert target.stat().st_uid == 0
        await session.put(data, str(target), mode=0o600)
        assert target.stat().st_mode & 0o7777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert not [*(sshd.folder / "home" / user).glob(".myx*")]


@pytest.mark.parametrize("user", ["root", "nopass"])
async def test_put_goes_on_where_it_was(connector, sshd, tmp_path, user):
    data = os.urandom(3_000_000)
    digest = hashlib.sha256(data).hexdigest()
    target = tmp_path / "file"
    if user == "root":
        part = tmp_path / f"file.myx-{digest[:12]}"
    else:
        folder = sshd.folder / "home" / user / f".myx-upload-{digest[:24]}"
        folder.mkdir(mode=0o700)
        part = folder / "part"
    for left in (data[:2_000_000], b"?" * 2_000_000, data + b"more"):
        part.parent.mkdir(mode=0o700, exist_ok=True)
        part.write_bytes(left)
        if user != "root":
            os.chown(part.parent, 47101, 47101)
            os.chown(part, 47101, 47101)
        target.unlink(missing_ok=True)
        async with connector.session([sshd.hop(user)]) as session:
            await session.put(data, str(target))
        assert target.read_bytes() == data
        assert not part.exists()


async def test_what_is_there_already_is_as_new_for_who_sweeps_what_is_old(session, tmp_path):
    target = tmp_path / "there"
    await session.put(b"x", str(target))
    os.utime(target, (1, 1))
    await session.put(b"x", str(target))
    assert target.stat().st_mtime > 1


async def test_put_for_a_host_without_sftp(connector, own_sshd, tmp_path):
    own_sshd.sftp = "/bin/false"
    own_sshd.start()
    data = os.urandom(3_000_000)
    async with connector.session([own_sshd.hop("nopass")]) as session:
        await session.put(data, str(tmp_path / "file"))
    assert (tmp_path / "file").read_bytes() == data


async def test_put_says_why_not(session, sshd):
    with pytest.raises(RemoteFailed) as caught:
        await session.put(b"x", "/proc/none/file")
    assert caught.value.reason == "SSH_UPLOAD_FAILED"
    small = f"{sshd.folder}/small"
    for size in (100_000, 4_000_000):
        with pytest.raises(RemoteFailed) as caught:
            await session.put(os.urandom(size), f"{small}/file")
        assert "full" in caught.value.cure
    assert (await session.run(["find", small, "-name", "file"])).text == ""
    with pytest.raises(ValueError, match="absolute"):
        await session.put(b"x", "/tmp/../etc/x")


async def test_secrets_are_in_no_repr(sshd):
    hop = replace(sshd.hop(), password="s-1", passphrase="s-2", sudo_password="s-3", private_key="s-4")
    assert "s-" not in repr(hop)
