"""Ctrl-C and readers that leave."""

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from myx_testkit.wait import until_sync


def interrupt(process):
    process.send_signal(signal.SIGINT)


def read_line(stream, wanted=b""):
    line = stream.readline()
    assert wanted in line, line
    return line


async def until_cancelled(stream):
    await stream.data(1, b"started\n")
    await stream.cancelled()
    await stream.data(1, b"last words\n")
    await stream.final(status="cancelled", exit_code=143)


def test_ctrl_c_cancels_and_follows_to_the_end(gateway, myx):
    gateway.script = until_cancelled
    process = myx.start("run", "local", "--", "x")
    read_line(process.stdout, b"started")
    interrupt(process)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"last words\n")
    assert err == (
        b"myx: asking for the cancel of 0190-command-0; Ctrl-C again leaves\nmyx: the command was cancelled\n"
    )


def test_a_second_ctrl_c_only_leaves(gateway, myx):
    async def script(stream):
        await stream.data(1, b"started\n")
        await asyncio.sleep(20)

    gateway.script = script
    process = myx.start("run", "local", "--", "x")
    read_line(process.stdout, b"started")
    interrupt(process)
    read_line(process.stderr, b"asking for the cancel")
    interrupt(process)
    _, err = process.communicate(timeout=5)
    assert process.returncode == 130
    assert err == b"myx: left; the cancel was asked, whether it is done says: myx command show 0190-command-0\n"


def test_ctrl_c_works_while_nobody_reads_the_output(gateway, myx):
    async def script(stream):
        for _ in range(100):
            await stream.data(1, b"x" * 100_000)

    gateway.script = script
    process = myx.start("run", "local", "--", "x")
    process.stdout.read(1)
    interrupt(process)
    read_line(process.stderr, b"asking for the cancel")
    interrupt(process)
    read_line(process.stderr, b"left")
    assert process.wait(5) == 130
    process.communicate()


def test_ctrl_c_before_the_answer_cancels_once_it_is_there(gateway, myx):
    gateway.script = until_cancelled
    answer = gateway.create

    def slow(request):
        time.sleep(0.5)  # in the server's thread: the answer is late
        return answer(request)

    gateway.create = slow
    process = myx.start("run", "local", "--", "x")
    until_sync(lambda: gateway.posts("/commands"))
    interrupt(process)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, b"started\nlast words\n")
    assert b"interrupted; waiting for MyX's answer" in err
    assert gateway.posts(".*/cancel")


def test_ctrl_c_while_nothing_was_sent_starts_nothing(myx):
    process = myx.start("run", "local", "--", "x", env={"MYX_URL": "http://127.0.0.1:9"})
    until_sync(lambda: "Threads:\t2" in Path(f"/proc/{process.pid}/status").read_text())  # it watches for Ctrl-C
    interrupt(process)
    _, err = process.communicate(timeout=5)
    assert process.returncode == 130
    assert b"nothing was started" in err


def test_a_check_of_an_agent_that_hangs_is_told_and_can_be_left(gateway, myx):
    gateway.answers.append(("POST /servers/local/check", "hang"))
    process = myx.start("server", "check", "local")
    assert read_line(process.stderr, b"no answer yet from local; one that hangs takes two minutes")
    interrupt(process)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, b"myx: left; no answer yet from local\n")


def test_ctrl_c_cancels_on_all_servers(gateway, myx):
    gateway.script = until_cancelled
    process = myx.start("run", "local", "other", "--", "x")
    read_line(process.stdout, b"started")
    read_line(process.stdout, b"started")
    interrupt(process)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert sorted(out.splitlines()) == [b"local | last words", b"other | last words"]
    assert b"asking for the cancel of 0190-job-0; Ctrl-C again leaves" in err
    assert b"myx: the job was cancelled\n" in err
    assert [post.path for post in gateway.posts(".*/cancel")] == ["/jobs/0190-job-0/cancel"]


def test_a_reader_that_leaves_ends_the_command_quietly(gateway, myx):
    async def script(stream):
        while not gateway.cancel_events[stream.command["id"]].is_set():
            await stream.data(1, b"y\n" * 1000)

    gateway.script = script
    head = subprocess.Popen(["head", "-n1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process = myx.start("run", "local", "--", "yes", stdout=head.stdin)
    head.stdin.close()
    assert head.stdout.read() == b"y\n"
    _, err = process.communicate(timeout=10)
    head.wait(5)
    head.stdout.close()
    assert (process.returncode, err) == (141, b"")
    assert len(gateway.posts(".*/cancel")) == 1


@pytest.mark.parametrize("what", [("run", "--detach", "local", "--", "x"), ("deploy", "caddy", "-d", "local")])
def test_what_was_started_to_go_on_alone_goes_on_when_nobody_reads_its_id(gateway, myx, what):
    created = gateway.add_command()
    gateway.jobs.answer = lambda request: (201, created) if request.path == "/deployments" else None
    reader, writer = os.pipe()
    os.close(reader)
    process = myx.start(*what, stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (141, b"")
    assert [post.path for post in gateway.posts(".*")] == ["/commands" if what[0] == "run" else "/deployments"]


def test_a_reader_that_leaves_ends_the_job_of_several_servers(gateway, myx):
    async def script(stream):
        while not stream.whole.job.cancelled.is_set():
            await stream.data(1, b"y\n" * 1000)

    gateway.script = script
    process = myx.start("run", "local", "other", "--", "yes")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(10) == 141
    assert [post.path for post in gateway.posts(".*/cancel")] == ["/jobs/0190-job-0/cancel"]
    process.stderr.close()


def test_logs_of_a_reader_that_leaves_cancel_nothing(gateway, myx):
    async def script(stream):
        for _ in range(100):
            await stream.data(1, b"y\n" * 10000)
        await stream.final()

    gateway.script = script
    command = gateway.add_command()
    process = myx.start("logs", "-f", command["id"])
    process.stdout.readline()
    process.stdout.close()
    assert (process.wait(10), process.stderr.read()) == (141, b"")
    assert not gateway.posts(".*")
    process.stderr.close()


def test_ctrl_c_in_logs_only_leaves(gateway, myx):
    async def script(stream):
        await stream.data(1, b"started\n")
        await asyncio.sleep(20)

    gateway.script = script
    command = gateway.add_command()
    process = myx.start("logs", "--follow", command["id"])
    read_line(process.stdout, b"started")
    interrupt(process)
    _, err = process.communicate(timeout=5)
    assert process.returncode == 130
    assert err == f"myx: left; nothing was cancelled: myx command cancel {command['id']} would\n".encode()
    assert not gateway.posts(".*")


def test_a_descriptor_that_does_not_block_is_waited_for(gateway, myx):
    content = os.urandom(3_000_000)

    async def script(stream):
        for start in range(0, len(content), 100_000):
            await stream.data(1, content[start : start + 100_000])
        await stream.final()

    gateway.script = script
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = myx.start("run", "local", "--", "x", stdout=writer)
    os.close(writer)
    received = bytearray()
    while piece := os.read(reader, 50_000):
        received += piece
    os.close(reader)
    assert process.communicate(timeout=10)[1] == b""
    assert (process.returncode, bytes(received)) == (0, content)
