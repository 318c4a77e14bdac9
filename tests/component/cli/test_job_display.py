"""A job on a terminal."""

import asyncio

import pytest
from cli_terminal import OnTerminal


class Gate:
    def __init__(self, gateway):
        self.loop = gateway.loop
        self.event = asyncio.Event()

    def open(self):
        self.loop.call_soon_threadsafe(self.event.set)

    async def wait(self):
        await asyncio.wait_for(self.event.wait(), 30)


def test_a_running_job_is_a_picture_and_then_a_summary(gateway, myx):
    gate = Gate(gateway)

    async def script(job):
        await job.begin()
        await job.data(1, 1, b"first\nsecond line\n")
        await job.data(2, 2, b"downloading 10%\rdownloading 80%")
        await job.tell_targets(3, status="failed", exit_code=3, reason="exit_code", output_sha256="f")
        await gate.wait()
        await job.tell_targets(1, 2, status="success", exit_code=0, output_sha256="s")
        await job.finish()

    gateway.jobs.script = script
    terminal = OnTerminal(myx, "run", "-l", "env=test", "--yes", "--", "apt", "update")
    shown = terminal.until("downloading 80%")
    assert "apt update on 3 servers: running" in shown
    assert "1/3" in shown
    assert "2 running, 1 failed" in shown
    assert "  local  second line" in shown
    assert "  other  downloading 80%" in shown
    gate.open()
    code, shown = terminal.end()
    assert code == 3
    assert "running" not in shown
    assert "█" not in shown
    lines = shown.splitlines()
    assert lines.index("third: exit code 3") < lines.index("local, other: exit code 0")
    assert "  second line" in lines
    assert lines[-2 if not lines[-1] else -1].startswith("3 servers: 2 success, 1 failed")


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 130), (b"\n", 130), (b"yes\n", 0)])
def test_the_list_is_shown_and_asked_about(gateway, myx, answer, code):
    gateway.jobs.matching = [f"web-{number}" for number in range(1, 13)]

    async def script(job):
        await job.begin()
        await job.tell_targets(*job.job.targets, status="success", exit_code=0)
        await job.finish()

    gateway.jobs.script = script
    terminal = OnTerminal(myx, "run", "-l", "role=web", "--", "true")
    shown = terminal.until("Run on 12 servers? [y/N]")
    assert "web-10 and 2 more" in shown
    assert "web-11" not in shown
    assert not gateway.jobs.jobs
    terminal.type(answer)
    ended, shown = terminal.end()
    assert ended == code
    assert bool(gateway.jobs.jobs) == (code == 0)
    assert ("12 servers: 12 success" if code == 0 else "nothing was started") in shown


def test_a_list_that_changed_meanwhile_is_asked_about_again(gateway, myx):
    async def script(job):
        await job.begin()
        await job.tell_targets(*job.job.targets, status="success", exit_code=0)
        await job.finish()

    gateway.jobs.script = script
    terminal = OnTerminal(myx, "run", "-l", "role=web", "--", "true")
    terminal.until("Run on 3 servers?")
    gateway.jobs.matching = ["local", "new"]
    terminal.type(b"y\n")
    shown = terminal.until("Run on 2 servers?")
    assert "the list has changed meanwhile: new came, other, third went" in shown
    assert not gateway.jobs.jobs
    terminal.type(b"y\n")
    code, shown = terminal.end()
    assert code == 0
    assert len(gateway.jobs.jobs) == 1
    assert "local, new: exit code 0" in shown


@pytest.mark.parametrize("again", [False, True])
def test_ctrl_c_at_the_question_starts_nothing(gateway, myx, again):
    terminal = OnTerminal(myx, "run", "-l", "role=web", "--", "true")
    terminal.until("Run on 3 servers? [y/N]")
    if again:
        gateway.jobs.matching = ["local"]
        terminal.type(b"y\n")
        terminal.until("Run on 1 server? [y/N]")
    terminal.interrupt()
    code, shown = terminal.end()
    assert code == 130
    assert shown.splitlines()[-1] == "myx: nothing was started"
    assert not gateway.jobs.jobs


def test_the_end_of_input_at_the_question_starts_nothing(gateway, myx):
    terminal = OnTerminal(myx, "run", "-l", "role=web", "--", "true")
    terminal.until("Run on 3 servers? [y/N]")
    terminal.type(b"\x04")
    code, shown = terminal.end()
    assert code == 130
    assert shown.splitlines()[-1] == "myx: nothing was started"


def test_what_hosts_write_cannot_steer_the_terminal(gateway, myx):
    gate = Gate(gateway)
    hostile = b"\x1b]0;owned\x07\x1b[2J\x1b[10A\x1b[31mred\x1b[0m\x9b5A \xe2\x80\xae\x08\x00 \xff end"

    async def script(job):
        await job.begin()
        await job.data(1, 1, hostile + b"\n")
        await gate.wait()
        await job.tell_targets(1, status="success", exit_code=0, output_sha256="x", message="\x1b[2J")
        await job.finish()

    gateway.jobs.script = script
    gateway.jobs.matching = ["evil\x1b[5A\x1b]0;x\x07"]
    terminal = OnTerminal(myx, "run", "-l", "all", "--yes", "--", "x", "\x1b[2Jx", env={"NO_COLOR": "1"})
    terminal.until(" end")
    gate.open()
    code, shown = terminal.end()
    assert code == 0
    assert "  red" in shown
    assert not terminal.screen.unknown
    for bad in (b"\x1b]", b"\x07", b"\x1b[2J", b"\x1b[10A", b"\x1b[31m", b"\xe2\x80\xae", b"\x08", b"\x00"):
        assert bad not in terminal.raw


def test_a_narrow_and_then_narrower_terminal_is_not_torn(gateway, myx):
    gate, again = Gate(gateway), Gate(gateway)

    async def script(job):
        await job.begin()
        await job.data(1, 1, b"x" * 300)
        await gate.wait()
        await job.data(2, 1, b"y" * 300)
        await again.wait()
        await job.tell_targets(*job.job.targets, status="success", exit_code=0)
        await job.finish()

    gateway.jobs.script = script
    gateway.jobs.matching = [f"server-{number:03}" for number in range(1, 41)]
    terminal = OnTerminal(myx, "run", "-l", "all", "--yes", "--", "sleep", "1000000000000000", size=(40, 12))
    shown = terminal.until("more running")
    picture = shown.splitlines()
    assert len([line for line in picture if line.startswith("  server-")]) == 7
    assert "… and 33 more running" in picture
    assert all(len(line) <= 40 for line in picture)
    terminal.resize(30, 10)
    gate.open()
    terminal.until("… and 35 more running")
    again.open()
    code, shown = terminal.end()
    assert code == 0
    assert shown.count("40 servers: 40 success") == 1


@pytest.mark.parametrize("locale", [{"LANG": "C"}, {"LANG": "de_DE.ISO-8859-1"}, {"LANG": "x", "LC_ALL": "POSIX"}])
def test_a_terminal_without_utf_8_gets_none(gateway, myx, locale):
    gate = Gate(gateway)

    async def script(job):
        await job.begin()
        await job.data(1, 1, "日本 ▒ fertig\n".encode())
        await gate.wait()
        await job.tell_targets(1, 2, 3, status="success", exit_code=0, output_sha256="x")
        await job.finish()

    gateway.jobs.script = script
    terminal = OnTerminal(myx, "run", "-l", "all", "--yes", "--", "x", env=locale)
    shown = terminal.until("fertig")
    assert "==" in shown
    gate.open()
    assert terminal.end()[0] == 0
    assert bytes(terminal.raw).isascii()


def test_no_color_and_dumb_terminals(gateway, myx):
    async def script(job):
        await job.begin()
        await job.data(1, 1, b"x\n")
        await job.tell_targets(1, 2, 3, status="failed", exit_code=1, reason="exit_code")
        await job.finish()

    gateway.jobs.script = script
    plain = OnTerminal(myx, "run", "-l", "all", "--yes", "--", "x", env={"NO_COLOR": "1"})
    assert plain.end()[0] == 1
    assert b"m" not in b"".join(piece[-1:] for piece in bytes(plain.raw).split(b"\x1b[")[1:])
    for options, env in ((["--lines"], {}), ([], {"TERM": "dumb"})):
        dumb = OnTerminal(myx, "run", "-l", "all", "--yes", *options, "--", "x", env=env)
        code, shown = dumb.end()
        assert code == 1
        assert b"\x1b" not in dumb.raw
        assert "local | x" in shown
        assert "myx: other: exit code 1" in shown


def test_ctrl_c_shows_cancelling_until_it_is_proved(gateway, myx):
    gate = Gate(gateway)

    async def script(job):
        await job.begin()
        await asyncio.wait_for(job.job.cancelled.wait(), 30)
        await job.tell_job(status="cancelling", next="waits for the proof of 3 agents")
        await gate.wait()
        await job.tell_targets(1, 2, 3, status="cancelled", reason="cancelled")
        await job.finish()

    gateway.jobs.script = script
    terminal = OnTerminal(myx, "run", "-l", "all", "--yes", "--", "sleep", "100")
    terminal.until("3 servers: running")
    terminal.interrupt()
    shown = terminal.until("waits for the proof of 3 agents")
    assert "asking for the cancel of 0190-job-0; Ctrl-C again leaves" in shown
    assert "3 servers: cancelling" in shown
    gate.open()
    code, shown = terminal.end()
    assert code == 130
    assert "local, other, third: cancelled" in shown
    assert "the job was cancelled" in shown


def test_a_second_ctrl_c_leaves_and_says_how_to_follow(gateway, myx):
    async def script(job):
        await job.begin()
        await asyncio.sleep(60)

    gateway.jobs.script = script
    terminal = OnTerminal(myx, "run", "-l", "all", "--yes", "--", "sleep", "100", size=(120, 30))
    terminal.until("3 servers: running")
    terminal.interrupt()
    terminal.until("asking for the cancel")
    terminal.interrupt()
    code, shown = terminal.end()
    assert code == 130
    assert "left; the cancel was asked, whether it is done says: myx job show 0190-job-0" in shown
    assert "sleep 100 on 3 servers" not in shown


def test_long_outputs_are_cut_and_failures_show_their_end(gateway, myx):
    long = b"".join(b"line %d\n" % number for number in range(5000))

    async def script(job):
        await job.begin()
        for number in (1, 2):
            await job.data(number, 1, long)
        await job.tell_targets(1, status="success", exit_code=0, output_sha256="a")
        await job.tell_targets(2, status="failed", exit_code=9, reason="exit_code", output_sha256="a")
        await job.tell_targets(3, status="unreachable", message="connection refused", reason="agent_unreachable")
        await job.finish()

    gateway.jobs.script = script
    terminal = OnTerminal(myx, "run", "-l", "all", "--yes", "--", "x", size=(80, 100))
    code, shown = terminal.end()
    lines = shown.splitlines()
    assert code == 1
    failed, away, good = (
        next(index for index, line in enumerate(lines) if line.startswith(head))
        for head in ("other: exit code 9", "third: unreachable, the agent could not be reached", "local: exit code 0")
    )
    assert failed < away < good
    assert lines[failed + 1] == "  (48.9 kB in all: myx logs 0190-command-1)"
    assert lines[away - 1] == "  line 4999"
    assert lines[good + 1] == "  line 0"
    assert "  (48.9 kB in all: myx logs 0190-command-0)" in lines[good:]
    assert len(lines) < 100


def test_of_plays_only_the_output_of_failures_is_shown_and_of_many_only_some(gateway, myx):
    names = [f"s{number}" for number in range(1, 61)]
    job = gateway.jobs.add_job(names, {"deployment": {"kind": "caddy"}}, status="partial")
    for number in job.targets:
        gateway.jobs.logs[job.targets[number]["command_id"]].append((1, b"TASK %d\n" % number))
        facts = {"status": "failed", "message": "it failed"} if number > 1 else {"status": "success"}
        job.change_target(number, **facts, log_size_bytes=8, output_sha256=str(number))
    code, shown = OnTerminal(myx, "job", "follow", "0190-job-0", size=(80, 200)).end()
    lines = shown.splitlines()
    assert code == 1
    assert lines[:2] == ["s2: it failed", "  TASK 2"]
    assert lines[-3:] == [
        *("s1: exit code 0", "outputs that are not shown: 9; their ids: myx job targets 0190-job-0"),
        "60 servers: 1 success, 59 failed",
    ]
    assert shown.count("TASK") == 50


def test_a_final_job_that_is_followed_is_its_summary(gateway, myx):
    job = gateway.jobs.add_job(["a", "b"], status="success", ended_at="2026-01-01T00:00:05Z")
    for number in (1, 2):
        job.change_target(number, status="success", exit_code=0)
    code, shown = OnTerminal(myx, "job", "follow", "0190-job-0").end()
    assert code == 0
    assert shown.splitlines() == ["a, b: exit code 0", "2 servers: 2 success (5.0 s)"]
    assert not gateway.jobs.streams
