"""A terminal to run `myx` on, and as much of its screen as the display needs."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)|(\x1b.?)")


class Screen:
    """Rows of text; lines that leave at the top are kept. Wide characters are not known here."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.rows: list[str] = [""]
        self.row = self.column = 0
        self.unknown: list[str] = []

    def feed(self, text: str) -> None:
        for number, letter, carriage, line, plain, other in _PIECE.findall(text):
            if letter == "A":
                top = max(0, len(self.rows) - self.height)
                self.row = max(top, self.row - int(number or 1))
            elif letter == "K":
                self.rows[self.row] = self.rows[self.row][: self.column]
            elif letter == "J":
                self.rows[self.row] = self.rows[self.row][: self.column]
                del self.rows[self.row + 1 :]
            elif letter and letter != "m":
                self.unknown.append(letter)
            elif carriage:
                self.column = 0
            elif line:
                self.down()
            elif other:
                self.unknown.append(other)
            for character in plain:
                if self.column == self.width:
                    self.column = 0
                    self.down()
                row = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = row[: self.column] + character + row[self.column + 1 :]
                self.column += 1

    def down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows)


class OnTerminal:
    """`myx` with stdin, stdout and stderr at a terminal that is its own."""

    def __init__(self, myx, *arguments, size=(80, 24), env=None) -> None:
        self.ours, its = pty.openpty()
        self.screen = Screen(*size)
        self.raw = bytearray()
        self.resize(*size)
        self.process = myx.start(
            *arguments,
            stdin=its,
            stdout=its,
            stderr=its,
            env={"LANG": "C.UTF-8", **(env or {})},
            preexec_fn=lambda: (os.setsid(), fcntl.ioctl(its, termios.TIOCSCTTY, 0)),
            pass_fds=(its,),
        )
        os.close(its)

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self, limit_s: float) -> bool:
        """Takes in what is there; False at the end."""
        if select.select([self.ours], [], [], limit_s)[0]:
            try:
                piece = os.read(self.ours, 65536)
            except OSError:  # how Linux tells the end of a terminal
                return False
            self.raw += piece
            self.screen.feed(piece.decode("utf-8", "replace"))
        return True

    def until(self, wanted: str) -> str:
        """The screen once it shows `wanted`."""
        deadline = time.monotonic() + 30
        while wanted not in self.screen.text():
            assert time.monotonic() < deadline, self.screen.text()
            assert self.read(0.2), self.screen.text()
        return self.screen.text()

    def type(self, text: bytes) -> None:
        os.write(self.ours, text)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Exit code and screen."""
        deadline = time.monotonic() + 30
        while self.read(0.2):
            assert time.monotonic() < deadline, self.screen.text()
        os.close(self.ours)
        return self.process.wait(30), self.screen.text()
