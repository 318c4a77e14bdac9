"""The options of every command and their help: one place, cheap to import.

argparse rather than typer: `myx run` starts in half the time (docs/cli.md: start-up).
"""

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from myx_cli.errors import UsageError
from myx_cli.text import parse_duration

STATUSES = (
    *("pending", "queued", "running", "cancelling", "success", "failed", "timeout", "cancelled"),
    *("lost", "unknown", "skipped"),
)
_LONGEST_S = 315_360_000  # what the API takes
_LONGEST_GRACE_S = 3600
EXIT_CODES = """exit codes:
  0-255   the remote command's own (126 not executable, 127 not found, 128+n ended by signal n)
  1       several servers that failed differently; `myx status`: something is not well
  2       the command line is wrong
  124     ended by --timeout or --no-output-timeout
  125     MyX failed: out of reach, unauthorized, unknown server, outcome lost or unknown
  130     cancelled, or left by Ctrl-C
  141     the reader of the output left
  143     ended by SIGTERM
"""


class Parser(ArgumentParser):
    """An ArgumentParser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError instead of printing and leaving."""
        raise UsageError(f"{message} (see {self.prog} --help)")


class Spec(NamedTuple):
    """One command: words, help, options, and `module:function` that does it."""

    words: tuple[str, ...]
    help: str
    add: Callable[[Parser], None]
    handler: str


def parse(argv: Sequence[str]) -> tuple[Namespace, str]:
    """The arguments of `argv` and who handles them. UsageError; SystemExit 0 after --help or --version."""
    top = _top_parser()
    before, words = _leading_options(argv)
    options = top.parse_args(before)
    if options.version:
        return options, "myx_cli.commands.version:show"
    if not words:
        top.print_help()
        raise SystemExit(0 if not argv else 2)
    spec, rest = _spec(words)
    arguments = _parse_command(spec, rest, options)
    return arguments, spec.handler


def _leading_options(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits before the first word that is neither an option nor an option's value."""
    index = 0
    while index < len(argv) and argv[index].startswith("-") and argv[index] != "--":
        index += 2 if argv[index] in {"--url", "--token-file", "--output", "-o"} else 1
    return list(argv[:index]), list(argv[index:])


def _top_parser() -> Parser:
    width = max(len(" ".join(spec.words)) for spec in SPECS)
    listed = "\n".join(f"  {' '.join(spec.words):{width}}  {spec.help}" for spec in SPECS)
    parser = Parser(
        prog="myx",
        usage="myx [options] COMMAND …",
        description="MyX: runs commands on your servers, with output as it is written.",
        epilog=f"commands:\n{listed}\n\n`myx COMMAND --help` tells more.\n\n{EXIT_CODES}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show the version")
    _add_common(parser)
    return parser


def _spec(words: list[str]) -> tuple[Spec, list[str]]:
    for spec in SPECS:
        size = len(spec.words)
        if tuple(words[:size]) == spec.words:
            return spec, words[size:]
    group = [spec for spec in SPECS if spec.words[0] == words[0]]
    if group:
        if words[1:2] in (["--help"], ["-h"]):
            print(f"usage: myx {words[0]} VERB … (myx {words[0]} VERB --help tells more)\n")
            print("\n".join(f"myx {' '.join(spec.words):16}  {spec.help}" for spec in group))
            raise SystemExit(0)
        verbs = ", ".join(spec.words[1] for spec in group)
        raise UsageError(f"myx {words[0]} what? one of: {verbs}")
    raise UsageError(f"there is no command {words[0]!r} (see myx --help)")


def _parse_command(spec: Spec, rest: list[str], options: Namespace) -> Namespace:
    parser = Parser(
        prog=f"myx {' '.join(spec.words)}",
        description=spec.help,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog=EXIT_CODES if spec.words in {("run",), ("logs",), ("status",)} else None,
    )
    spec.add(parser)
    _add_common(parser)
    if spec.words != ("run",):
        return parser.parse_intermixed_args(rest, options)
    own, command = (rest[: rest.index("--")], rest[rest.index("--") + 1 :]) if "--" in rest else (rest, [])
    arguments = parser.parse_intermixed_args(own, options)
    if not command or not command[0]:
        raise UsageError("which command? myx run SERVER… -- COMMAND ARG… (the -- is needed)")
    arguments.command = command
    return arguments


def _add_common(parser: Parser) -> None:
    top = parser.prog == "myx"
    unset = None if top else SUPPRESS
    group = parser.add_argument_group("where and how")
    group.add_argument(
        "--url", metavar="URL", default=unset, help="address of MyX (else MYX_URL, else the standalone.json found here)"
    )
    group.add_argument(
        "--token-file", metavar="FILE", default=unset, help="file that holds the token (else MYX_TOKEN, else as above)"
    )
    group.add_argument(
        "--output", "-o", choices=("table", "json"), default="table" if top else SUPPRESS, help="form of what is shown"
    )


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a time: 90, 1.5s, 5m, 2h or 1d") from None


def _limit(text: str) -> float:
    seconds = _seconds(text)
    if seconds > _LONGEST_S:
        raise ArgumentTypeError(f"{text!r} is too long: at most {_LONGEST_S // 86400} days; 0: no limit")
    return seconds


def _grace(text: str) -> float:
    seconds = _seconds(text)
    if seconds > _LONGEST_GRACE_S:
        raise ArgumentTypeError(f"{text!r} is too long: at most {_LONGEST_GRACE_S} s")
    return seconds


def _folder(text: str) -> str:
    if not text.startswith("/"):
        raise ArgumentTypeError(f"{text!r} is not an absolute path: it is a folder of the server")
    return text


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _offset(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 63:
        raise ArgumentTypeError(f"{text!r} is not an offset: a whole number of bytes, 0 or more")
    return int(text)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{name!r} is not NAME=VALUE")
    return name, value


def _variable_name(text: str) -> str:
    if not text or "=" in text:
        raise ArgumentTypeError("a name only, please: the value is read from your environment or asked for")
    return text


def _add_patience(parser: Parser) -> None:
    parser.add_argument(
        "--reconnect-timeout",
        type=_seconds,
        default=120.0,
        metavar="TIME",
        help="how long to try again when MyX is away (2m)",
    )


def _add_run(parser: Parser) -> None:
    parser.usage = "myx run [options] SERVER… -- COMMAND ARG…"
    parser.add_argument(
        "servers", nargs="+", metavar="SERVER", help="name or id; several run at the same time, lines prefixed"
    )
    parser.add_argument("--timeout", type=_limit, metavar="TIME", help="end it after 90, 5m, 2h …; 0: never (24h)")
    parser.add_argument(
        "--no-output-timeout", type=_limit, metavar="TIME", help="end it when it has been silent for so long"
    )
    parser.add_argument("--detach", "-d", action="store_true", help="start it, print its id, and leave")
    parser.add_argument("--env", "-e", action="append", type=_variable, metavar="K=V", help="set a variable")
    parser.add_argument(
        "--secret-env",
        action="append",
        type=_variable_name,
        metavar="NAME",
        help="pass a variable of yours on, hidden; asked for if unset",
    )
    parser.add_argument("--cwd", type=_folder, metavar="DIR", help="folder to run it in")
    parser.add_argument("--user", metavar="NAME", help="user to run it as")
    parser.add_argument("--stdin", action="store_true", help="send own standard input (up to 1 MiB) to it")
    _add_patience(parser)


def _add_logs(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="id of the command")
    parser.add_argument(
        "--follow", "-f", action="store_true", help="go on until it has ended; its exit code is then ours"
    )
    parser.add_argument(
        "--offset", type=_offset, default=0, metavar="N", help="begin behind the first N bytes of the log"
    )
    _add_patience(parser)


def _add_command_list(parser: Parser) -> None:
    parser.add_argument("--server", metavar="SERVER", help="only of this server")
    parser.add_argument(
        "--status",
        action="append",
        choices=STATUSES,
        metavar="STATUS",
        help=f"only: {', '.join(STATUSES)} (repeatable)",
    )
    parser.add_argument("--limit", type=_positive, default=50, metavar="N", help="how many, newest first (50)")


def _add_command_id(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", help="id of the command")


def _add_command_cancel(parser: Parser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="id of the command")
    parser.add_argument("--grace", type=_grace, metavar="TIME", help="between TERM and KILL (10s)")


def _add_server(parser: Parser) -> None:
    parser.add_argument("server", metavar="SERVER", help="name or id")


def _add_nothing(parser: Parser) -> None:
    pass


SPECS: tuple[Spec, ...] = (
    Spec(("run",), "run a command and show its output as it is written", _add_run, "myx_cli.commands.run:run"),
    Spec(("logs",), "show or follow the output of a command", _add_logs, "myx_cli.commands.logs:logs"),
    Spec(("command", "list"), "list commands, newest first", _add_command_list, "myx_cli.commands.command:list_"),
    Spec(("command", "show"), "show one command", _add_command_id, "myx_cli.commands.command:show"),
    Spec(("command", "cancel"), "ask commands to end", _add_command_cancel, "myx_cli.commands.command:cancel"),
    Spec(("server", "list"), "list servers", _add_nothing, "myx_cli.commands.server:list_"),
    Spec(("server", "show"), "show one server", _add_server, "myx_cli.commands.server:show"),
    Spec(("status",), "show whether MyX is well", _add_nothing, "myx_cli.commands.status:status"),
)
