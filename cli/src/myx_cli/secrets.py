"""Secrets from files, standard input and the terminal; never from the command line."""

import os
import sys
from pathlib import Path

from myx_cli.errors import UsageError
from myx_cli.places import expanded
from myx_cli.text import clean

_LIMIT_BYTES = 64 * 1024


def secret_variable(name: str) -> str:
    """The variable `name` of our own environment, else what is typed at the terminal. UsageError without either."""
    value = os.environ.get(name)
    if value is not None:
        return value
    return ask(clean(name), f"--secret-env {name}: no such variable here, and no terminal to ask at")


def ask(prompt: str, otherwise: str) -> str:
    """What is typed, unseen, at the terminal. UsageError with the sentence `otherwise` where there is none."""
    import getpass
    import termios

    try:
        with open("/dev/tty", "rb"):  # noqa: PTH123
            pass
        return getpass.getpass(f"{prompt}: ")
    except (OSError, EOFError, termios.error):
        raise UsageError(otherwise) from None


def from_file(path: str, option: str, folder: Path | None = None) -> str:
    """The text of a file without the line end behind it; a relative path is below `folder`. UsageError."""
    place = expanded(path)
    if folder is not None and not place.is_absolute():
        place = folder / place
    try:
        with place.open("rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{option}: {clean(path)} cannot be read: {error.strerror or 'unreadable'}") from None
    return _text(content, option, clean(path))


def from_stdin(option: str) -> str:
    """Standard input to its end, without the line end behind it. UsageError."""
    return _text(sys.stdin.buffer.read(_LIMIT_BYTES + 1), option, "standard input")


def key_from_file(path: str, option: str, folder: Path | None = None) -> str:
    """The text of a private key. UsageError for a file that is none, so that nothing else is ever sent."""
    text = from_file(path, option, folder)
    if "PRIVATE KEY-----" not in text:
        hint = "; that is the public half" if text.startswith("ssh-") else ""
        raise UsageError(f"{option}: {clean(path)} holds no private key{hint}")
    return text + "\n"


def _text(content: bytes, option: str, where: str) -> str:
    if len(content) > _LIMIT_BYTES:
        raise UsageError(f"{option}: {where} is larger than {_LIMIT_BYTES // 1024} KiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{option}: {where} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or "\0" in text:
        raise UsageError(f"{option}: {where} {'is empty' if not text else 'holds a NUL character'}")
    return text
