"""What the options of a login come to: the `secret` of a credential, which is sent and nowhere shown."""

from argparse import Namespace

from myx_cli.api import Document
from myx_cli.errors import UsageError
from myx_cli.secrets import ask, from_file, from_stdin, key_from_file

_NO_TERMINAL = "no terminal to ask at"


def secret_of(arguments: Namespace) -> Document | None:
    """`password` or `private_key` with what belongs to it; None when the command line names none. UsageError."""
    secret: Document = {}
    ways = [
        ("--password-file", arguments.password_file),
        ("--password-stdin", arguments.password_stdin),
        ("--ask-password", arguments.ask_password),
        ("--key-file", arguments.key_file),
    ]
    given = [name for name, value in ways if value]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} exclude each other")
    if arguments.password_file:
        secret["password"] = from_file(arguments.password_file, "--password-file")
    elif arguments.password_stdin:
        secret["password"] = from_stdin("--password-stdin")
    elif arguments.ask_password:
        secret["password"] = _asked("password", "--ask-password")
    elif arguments.key_file:
        secret["private_key"] = key_from_file(arguments.key_file, "--key-file")
    _add_passphrase(arguments, secret)
    _add_sudo_password(arguments, secret)
    return secret or None


def _add_passphrase(arguments: Namespace, secret: Document) -> None:
    option = "--passphrase-file" if arguments.passphrase_file else "--ask-passphrase"
    if not arguments.passphrase_file and not arguments.ask_passphrase:
        return
    if "private_key" not in secret:
        raise UsageError(f"{option} belongs to --key-file")
    if arguments.passphrase_file:
        secret["passphrase"] = from_file(arguments.passphrase_file, option)
    else:
        secret["passphrase"] = _asked("passphrase of the key", option)


def _add_sudo_password(arguments: Namespace, secret: Document) -> None:
    option = "--sudo-password-file" if arguments.sudo_password_file else "--ask-sudo-password"
    if not arguments.sudo_password_file and not arguments.ask_sudo_password:
        return
    if not secret:
        raise UsageError(f"{option} belongs to a password or key: a login is given as a whole")
    if arguments.sudo_password_file:
        secret["sudo_password"] = from_file(arguments.sudo_password_file, option)
    else:
        secret["sudo_password"] = _asked("password for sudo", option)


def _asked(what: str, option: str) -> str:
    text = ask(what, f"{option}: {_NO_TERMINAL}")
    if not text:
        raise UsageError(f"{option}: nothing was typed")
    return text
