"""From the command line to arguments and a handler.

argparse rather than typer: `myx run` starts in half the time (docs/cli.md: start-up).
"""

from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn

from myx_cli.errors import UsageError
from myx_cli.specs import SPECS, Spec

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
DEPLOYMENT_EXIT_CODES = """exit codes:
  0       done (with --detach: started)
  1       it failed, or several servers ended differently
  2       the command line is wrong
  124     ended by its time limit
  125     MyX failed, or the outcome is lost or unknown
  130     cancelled, or left by Ctrl-C
  141     the reader of the output left
  143     ended by SIGTERM
"""


class Parser(ArgumentParser):
    """An ArgumentParser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError instead of printing and leaving."""
        raise UsageError(f"{message} (see {self.prog} --help)")


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
        index += 2 if argv[index] in {"--url", "--token-file", "--context", "--output", "-o"} else 1
    return list(argv[:index]), list(argv[index:])


def _top_parser() -> Parser:
    width = max(len(" ".join(spec.words)) for spec in SPECS)
    listed = "\n".join(f"  {' '.join(spec.words):{width}}  {spec.help}" for spec in SPECS)
    parser = Parser(
        prog="myx",
        usage="myx [options] COMMAND …",
        description="MyX: runs commands on your servers and deploys to them, with output as it is written.",
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
        epilog=_epilog(spec),
    )
    if spec.options:
        module, _, name = spec.options.partition(":")
        add: Callable[[ArgumentParser], None] = getattr(import_module(module), name)
        add(parser)
    _add_common(parser)
    if not spec.takes_command:
        return _parsed(parser, rest, options)
    own, command = (rest[: rest.index("--")], rest[rest.index("--") + 1 :]) if "--" in rest else (rest, [])
    arguments = _parsed(parser, own, options)
    if ("--" in rest or spec.words == ("run",)) and (not command or not command[0]):
        raise UsageError(f"which command? myx {' '.join(spec.words)} … SERVER… -- COMMAND ARG… (the -- is needed)")
    arguments.command = command
    return arguments


def _parsed(parser: Parser, words: list[str], options: Namespace) -> Namespace:
    arguments, unknown = parser.parse_known_intermixed_args(words, options)
    if unknown:
        # The first alone, without its value: what follows `--password` is a secret.
        parser.error(f"unrecognized argument: {unknown[0].partition('=')[0]}")
    return arguments


def _epilog(spec: Spec) -> str | None:
    if spec.words in {("run",), ("logs",), ("status",)}:
        return EXIT_CODES
    return DEPLOYMENT_EXIT_CODES if spec.deploys else None


def _add_common(parser: Parser) -> None:
    top = parser.prog == "myx"
    unset = None if top else SUPPRESS
    group = parser.add_argument_group("where and how")
    group.add_argument(
        "--url", metavar="URL", default=unset, help="address of MyX (else MYX_URL, a context, a standalone.json here)"
    )
    group.add_argument(
        "--context", metavar="NAME", default=unset, help="which login (else MYX_CONTEXT, or that of myx context use)"
    )
    group.add_argument(
        "--token-file", metavar="FILE", default=unset, help="file that holds the token (else MYX_TOKEN, else as above)"
    )
    group.add_argument(
        "--output", "-o", choices=("table", "json"), default="table" if top else SUPPRESS, help="form of what is shown"
    )
