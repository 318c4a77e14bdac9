"""myx-agent: run the agent, check its configuration, or stop its commands."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from myx_agent import __version__, config
from myx_agent.agent import run
from myx_agent.commands.client import SupervisorAway, SupervisorError
from myx_agent.commands.stop import DEFAULT_GRACE_S, stop_commands
from myx_agent.tls import CertificateError


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done or stopped by a signal, 1 cannot run, 2 wrong configuration or usage."""
    parser = argparse.ArgumentParser(prog="myx-agent", description="The passive agent of MyX.")
    parser.add_argument("--config", type=Path, default=config.DEFAULT_PATH, metavar="PATH", help="configuration file")
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument("--version", action="version", version=f"myx-agent {__version__}")
    parser.add_argument(
        "--stop-commands", action="store_true", help="cancel all running commands, wait, end their supervisor, exit"
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=DEFAULT_GRACE_S,
        metavar="SECONDS",
        help="between TERM and KILL of --stop-commands",
    )
    options = parser.parse_args(argv)
    try:
        settings = config.load(options.config)
    except config.ConfigError as error:
        return _fail(str(error), 2)
    if options.check:
        print(f"{options.config}: ok")  # noqa: T201 - a command line
        return 0
    if options.stop_commands:
        return _stop_commands(settings, max(0.0, options.grace))
    _configure_logging(settings.log_level)
    try:
        asyncio.run(run(settings, options.config.absolute()))
    except CertificateError as error:
        return _fail(str(error), 1)
    except SupervisorAway as error:
        return _fail(f"the supervisor of commands does not start: {error}", 1)
    except OSError as error:
        return _fail(f"cannot start: {error}", 1)
    return 0


def _stop_commands(settings: config.Config, grace_s: float) -> int:
    _configure_logging("error")
    try:
        for command_id in asyncio.run(stop_commands(settings, grace_s)):
            print(f"cancelled {command_id}")  # noqa: T201
    except (SupervisorAway, SupervisorError, OSError) as error:
        return _fail(str(error), 1)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"myx-agent: {message}", file=sys.stderr)  # noqa: T201
    return code


def _configure_logging(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "websockets", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL if name != "asyncio" else logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
