"""A program for hosts that writes down what it does: `python -S recorder.py FOLDER KEY KIND SEED`.

Beside KEY, and the name of the host where FOLDER has one for it, it leaves `.marks` (a line for each execution, made
before anything else), `.out` and `.err` (what it writes, written there first) and `.end` (`exit N` or `signal N`, made
before it ends so; missing when somebody else ended it). Only the standard library: it starts in 15 ms.
"""

import os
import random
import signal
import sys
import time

WORDS = (b'{"type":"final","exit_code":0}', b"\x1b[2J\x1b[31m", b"exit 0", b"\xff\xfe\x00\x00", b"\r\n", b"myx")


class Recorder:
    """One execution. `say` writes to a stream and to its record."""

    def __init__(self, place: str) -> None:
        self.place = place
        marks = os.open(f"{place}.marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(marks, b"%d %d\n" % (time.time_ns(), os.getpid()))
        os.close(marks)
        self.records = {
            number: os.open(f"{place}.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for number, name in ((1, "out"), (2, "err"))
        }

    def say(self, data: bytes, stream: int = 1) -> None:
        write_all(self.records[stream], data)
        write_all(stream, data)

    def ends(self, how: str) -> None:
        with open(f"{self.place}.new", "w") as file:  # noqa: PTH123 - pathlib costs more than all the rest
            file.write(how)
        os.rename(f"{self.place}.new", f"{self.place}.end")  # noqa: PTH104


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def act(recorder: Recorder, kind: str, dice: random.Random) -> int:
    """What a kind of command does; its exit code."""
    if kind == "short":
        recorder.say(b"hello %d\n" % dice.randrange(10**9))
        return dice.choice((0, 0, 0, 1, 7, 255))
    if kind == "silent":
        time.sleep(dice.uniform(0, 3))
        return 0
    if kind == "long":
        for number in range(dice.randrange(40, 400)):
            recorder.say(b"line %d\n" % number, dice.choice((1, 1, 1, 2)))
            time.sleep(0.1)
        return dice.choice((0, 3))
    if kind == "much":
        line = b"%s\n" % (b"0123456789abcdef" * 20)
        for _ in range(dice.randrange(10, 100)):
            recorder.say(line * 100)
        return 0
    if kind == "binary":
        for _ in range(dice.randrange(5, 60)):
            recorder.say(dice.randbytes(dice.randrange(1, 9000)) + dice.choice(WORDS), dice.choice((1, 2)))
        return 4
    if kind == "killed":
        recorder.say(b"not yet\n")
        time.sleep(dice.uniform(0, 2))
        recorder.ends(f"signal {int(signal.SIGKILL)}")
        os.kill(os.getpid(), signal.SIGKILL)
    if kind in ("timeout", "cancel", "stubborn"):
        if kind == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if os.fork() == 0:
                os.setsid()
        for number in range(6000):
            recorder.say(b"still here %d\n" % number)
            time.sleep(0.2)
    return 9


def main() -> int:
    folder, key, kind, seed = sys.argv[1:5]
    place = f"{folder}/{key}"
    with open(f"/proc/{os.getppid()}/cmdline") as file:  # noqa: PTH123
        above = file.read()
    for name in os.listdir(folder):  # noqa: PTH208
        if f"/{name}/" in above:
            place = f"{folder}/{name}/{key}"
    recorder = Recorder(place)
    code = act(recorder, kind, random.Random(seed))
    recorder.ends(f"exit {code}")
    return code


if __name__ == "__main__":
    status = main()
    os._exit(status)
