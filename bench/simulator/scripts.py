"""What the simulator plays for a command line.

`true`, `false`, `sleep S`, `echo WORDS`, `bulk BYTES`, `print RATE SECONDS [BYTES]` (each line begins with its time),
and `sh -c` of those with `;`, `&&`, `exit N` and `>&2`. Anything else is a program that does not exist.
"""

import shlex
from dataclasses import dataclass

STDOUT, STDERR = 1, 2


@dataclass(frozen=True, slots=True)
class Write:
    """Output at once."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Lines:
    """`rate` lines a second for `seconds`, each of at least `length` bytes: `<unix time> line <n> …`."""

    rate: float
    seconds: float
    length: int


@dataclass(frozen=True, slots=True)
class Exit:
    """The end. `found` False: there is no such program."""

    code: int
    found: bool = True


Step = Write | Sleep | Lines | Exit


def play(argv: list[str]) -> list[Step]:
    """The steps of a command line; the last one is always Exit."""
    steps = _steps(argv)
    return steps if isinstance(steps[-1], Exit) else [*steps, Exit(0)]


def _steps(argv: list[str]) -> list[Step]:
    program, args = argv[0].rpartition("/")[2], argv[1:]
    try:
        match program, args:
            case "true", _:
                return [Exit(0)]
            case "false", _:
                return [Exit(1)]
            case "exit", [code]:
                return [Exit(int(code))]
            case "sleep", [seconds]:
                return [Sleep(float(seconds))]
            case "echo", words:
                stream = STDERR if words and words[-1] == ">&2" else STDOUT
                text = " ".join(words[:-1] if stream == STDERR else words)
                return [Write(stream, text.encode() + b"\n")]
            case "print", [rate, seconds, *length]:
                return [Lines(float(rate), float(seconds), int(length[0]) if length else 0)]
            case "bulk", [size]:
                return [Write(STDOUT, (b"0123456789" * 10)[:99] + b"\n")] * max(1, int(size) // 100)
            case (("sh" | "bash"), ["-c", text]):
                return _line(text)
    except ValueError:
        pass
    return [Exit(127, found=False)]


def _line(text: str) -> list[Step]:
    steps: list[Step] = []
    for part in text.replace("&&", ";").split(";"):
        words = shlex.split(part)
        found = _steps(words) if words else []
        if found and isinstance(found[-1], Exit) and words[0] != "exit" and found[-1].code == 0:
            found = found[:-1]
        steps += found
        if steps and isinstance(steps[-1], Exit):
            break
    return steps or [Exit(0)]
