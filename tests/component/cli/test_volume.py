"""Much output: unchanged, in flat memory."""

import asyncio
import hashlib
import os
import re
from pathlib import Path


def test_a_hundred_megabytes_pass_in_flat_memory(gateway, myx):
    block = os.urandom(262_144)
    blocks = 400
    all_read = asyncio.Event()

    async def script(stream):
        for _ in range(blocks):
            await stream.data(1, block)
        await asyncio.wait_for(all_read.wait(), 30)
        await stream.final()

    gateway.script = script
    received = hashlib.sha256()
    process = myx.start("run", "local", "--", "cat", "big")
    left = blocks * len(block)
    while left and (piece := os.read(process.stdout.fileno(), 262_144)):
        received.update(piece)
        left -= len(piece)
    peak_kib = int(re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])
    gateway.loop.call_soon_threadsafe(all_read.set)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, b"", b"")
    assert received.hexdigest() == hashlib.sha256(block * blocks).hexdigest()
    assert peak_kib < 48 * 1024  # the interpreter included


def test_many_short_lines_of_both_streams_keep_their_order_and_count(gateway, myx):
    async def script(stream):
        for start in range(0, 20_000, 100):
            for number in range(start, start + 100):
                await stream.data(1 + number % 2, b"%d\n" % number)
        await stream.final()

    gateway.script = script
    done = myx("run", "local", "--", "seq")
    assert done.stdout == b"".join(b"%d\n" % number for number in range(0, 20_000, 2))
    assert done.stderr == b"".join(b"%d\n" % number for number in range(1, 20_000, 2))


def test_a_line_without_end_is_written_in_pieces_behind_a_prefix(gateway, myx):
    async def script(stream):
        for _ in range(10):
            await stream.data(1, b"x" * 50_000)
        await stream.final()

    gateway.script = script
    done = myx("run", "local", "other", "--", "x")
    lines = [line for line in done.stdout.splitlines() if line.startswith(b"local | ")]
    assert b"".join(line.removeprefix(b"local | ") for line in lines) == b"x" * 500_000
