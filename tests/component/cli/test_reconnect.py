"""What `myx` does when its own door dies: every byte once, nothing run twice, and it gives up in time."""

import asyncio
import signal
import socket
import time

import pytest

LINES = [f"line {number}\n".encode() for number in range(300)]
WHOLE = b"".join(LINES)


async def play(stream, start, end):
    """Lines from the stream's offset on, up to `end` lines."""
    for line in WHOLE[stream.offset :].splitlines(keepends=True)[: end - start]:
        await stream.data(1, line)


def test_every_byte_comes_once_across_lost_connections(gateway, myx):
    async def script(stream):
        number = len(gateway.streams)
        if number <= 3:
            await play(stream, 0, 50)
            if number == 1:
                stream.drop()
            elif number == 2:
                await stream.close(1012, "service restart")
            else:  # half of a frame, then nothing
                stream.writer.write(b"\x82\x7e\x01\x00\x01partial")
                await stream.writer.drain()
        else:
            await play(stream, 0, 1000)
            await stream.final()

    gateway.script = script
    done = myx("run", "local", "--", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, WHOLE, b"")
    assert len(gateway.streams) == 4
    assert gateway.streams == sorted(gateway.streams)
    assert len(gateway.posts("/commands")) == 1


def test_bytes_that_come_again_are_not_written_again(gateway, myx):
    async def script(stream):
        await stream.data(1, b"abcdef")
        stream.offset = 3
        await stream.data(1, b"defghi")
        stream.offset = 0
        await stream.data(1, b"abc")
        stream.offset = 9
        await stream.final()

    gateway.script = script
    done = myx("run", "local", "--", "x")
    assert (done.stdout, done.stderr) == (b"abcdefghi", b"")


def test_a_stream_that_is_declined_for_now_is_asked_for_again(gateway, myx):
    async def script(stream):
        await stream.data(1, b"x\n")
        await stream.final()

    gateway.script = script
    gateway.answers += [("GET .*/log/stream", (503, {"reason": "STOPPING"})), ("GET .*/log/stream", "drop")]
    done = myx("run", "local", "--", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"x\n", b"")


def test_a_lost_answer_does_not_run_the_command_twice(gateway, myx):
    async def script(stream):
        await stream.final()

    gateway.script = script
    gateway.answers += [
        ("POST /commands", "act and drop"),
        ("POST /commands", (503, {"reason": "UNAVAILABLE"})),
        ("POST /commands", "act and drop"),
    ]
    done = myx("run", "local", "--", "x")
    assert (done.returncode, done.stderr) == (0, b"")
    posts = gateway.posts("/commands")
    assert len(posts) == 4
    assert len({post.headers["idempotency-key"] for post in posts}) == 1
    assert len(gateway.commands) == 1


def test_a_door_that_opens_late_is_found(gateway, myx):
    async def script(stream):
        await stream.final()

    gateway.script = script
    port = int(gateway.url.rpartition(":")[2])
    run = asyncio.run_coroutine_threadsafe

    async def close():
        gateway.server.close()

    run(close(), gateway.loop).result(5)
    process = myx.start("run", "local", "--", "x")
    time.sleep(0.3)  # the first tries must fail
    run(gateway.listen(port), gateway.loop).result(5)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, b"")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_door_that_stays_closed_is_a_125(myx):
    url = f"http://127.0.0.1:{free_port()}"
    began = time.monotonic()
    done = myx("run", "--reconnect-timeout", "0.3", "local", "--", "x", env={"MYX_URL": url})
    assert time.monotonic() - began < 3
    assert (done.returncode, done.stdout) == (125, b"")
    assert done.stderr == f"myx: cannot reach MyX at {url}: connection refused (is it running?)\n".encode()


def test_giving_up_says_how_to_go_on(gateway, myx):
    async def script(stream):
        if len(gateway.streams) == 1:
            await stream.data(1, b"12345")
        stream.drop()

    gateway.script = script
    done = myx("run", "--reconnect-timeout", "0.4", "local", "--", "x")
    assert (done.returncode, done.stdout) == (125, b"12345")
    assert b"the command goes on and its output is kept: myx logs -f 0190-command-0 --offset 5" in done.stderr
    assert len(gateway.streams) >= 3


def test_a_post_whose_fate_is_unknown_says_so(gateway, myx):
    gateway.answers += [("POST /commands", "drop")] * 20
    done = myx("run", "--reconnect-timeout", "0.3", "local", "--", "x")
    assert done.returncode == 125
    assert b"whether the command was started says: myx command list" in done.stderr


def test_a_refused_token_ends_at_once(gateway, myx):
    done = myx("run", "local", "--", "x", env={"MYX_TOKEN": "wrong-token-77"})
    assert done.returncode == 125
    assert done.stderr == f"myx: MyX at {gateway.url} refused the token from MYX_TOKEN\n".encode()
    assert len(gateway.requests) == 1


def test_a_fault_of_the_stream_is_not_retried_for_long(gateway, myx):
    async def script(stream):
        await stream.message(0x0B, b"")

    gateway.script = script
    done = myx("run", "--reconnect-timeout", "0.2", "local", "--", "x")
    assert done.returncode == 125
    assert b"broke the protocol" in done.stderr


def test_fragments_and_pings_are_understood(gateway, myx):
    async def script(stream):
        await stream.message(9, b"are you there")
        await stream.message(2, b"\x01" + bytes(8), final=False)
        await stream.message(9, b"")
        await stream.message(0, b"ab", final=False)
        await stream.message(0, b"cd", final=True)
        stream.offset = 4
        await stream.text({"type": "ping"})
        await stream.final()

    gateway.script = script
    done = myx("run", "local", "--", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"abcd", b"")


@pytest.mark.parametrize("words", [["run", "local", "--", "x"], ["logs", "-f", "0190-command-0"]])
def test_in_a_silence_it_says_once_why_nothing_comes(gateway, myx, words):
    waiting = {"status": "queued", "message": "waits for the exclusive lock of command 0190"}

    def asked():
        return sum(
            request.method == "GET" and request.path == "/commands/0190-command-0" for request in gateway.requests
        )

    async def ping(stream):
        before = asked()
        await stream.text({"type": "ping"})
        async with asyncio.timeout(20):
            while asked() == before:
                await asyncio.sleep(0.01)

    async def script(stream):
        stream.command.update(status="pending", next="is handed to its agent")
        await ping(stream)
        stream.command.update(waiting)
        await ping(stream)
        await ping(stream)
        await stream.data(1, b"x\n")
        stream.command.update(status="running", message="")
        await ping(stream)
        await stream.final()

    gateway.script = script
    if words[0] == "logs":
        gateway.add_command()
    done = myx(*words)
    assert (done.returncode, done.stdout) == (0, b"x\n")
    assert done.stderr.decode().splitlines() == [
        "myx: pending: is handed to its agent",
        "myx: queued: waits for the exclusive lock of command 0190",
        "myx: running",
    ]


def test_terminated_it_says_that_the_command_goes_on(gateway, myx):
    async def script(stream):
        await stream.data(1, b"x\n")
        await asyncio.sleep(20)

    gateway.script = script
    process = myx.start("run", "local", "--", "x")
    assert process.stdout.readline() == b"x\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=5)
    assert (process.returncode, out) == (143, b"")
    assert err == b"myx: left; the command goes on: myx logs -f 0190-command-0\n"
    assert not gateway.posts(".*/cancel")
