"""`python -m myx_gateway VERB`: settings from the environment (MYX_GATEWAY_*), for `migrate` only those that it needs.

Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong settings or usage.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

from myx_gateway import migrations, verbs
from myx_gateway.app import Gateway
from myx_gateway.settings import GatewaySettings
from myx_gateway.verify import verify_audit
from myx_kit.errors import FailedPrecondition, MyxError
from myx_kit.lifecycle import serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the verbs; the exit code. `arguments` are those of the process unless given."""
    chosen = _parser().parse_args(arguments)
    if chosen.verb == "serve":
        settings = GatewaySettings.begin("gateway")

        async def start(stack: AsyncExitStack) -> Gateway:
            return await Gateway(settings).start(stack)

        return serve(start, drain_s=settings.drain_s)
    try:
        _VERBS[chosen.verb](chosen)
    except MyxError as error:
        sys.stderr.write(f"{error.message} ({error.reason})\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m myx_gateway", description="The only public door.")
    actions = parser.add_subparsers(dest="verb", required=True)
    actions.add_parser("serve", help="serve the API until SIGTERM")
    migrate = actions.add_parser("migrate", help="bring the database schema up to date, and make the first admin")
    migrate.add_argument("--down-to", metavar="REVISION", help="take it back to this revision instead; base: nothing")
    actions.add_parser("check-config", help="check the settings and the files that they name")
    password = actions.add_parser(
        "set-password",
        help="give a user who lost it a new password, read from standard input",
        description="The user can log in with it again (also one who was disabled); all sessions of the user end.",
    )
    password.add_argument("name", metavar="NAME")
    audit = actions.add_parser(
        "verify-audit",
        help="check that the audit trail is what it was",
        description="Exit code 1, and the number of the first bad entry, when it was tampered with.",
    )
    audit.add_argument("--expect", metavar="SEQ:HASH", default="", help="a head that was kept elsewhere")
    return parser


def _migrate(chosen: argparse.Namespace) -> None:
    settings = verbs.TableSettings.begin("gateway", GatewaySettings)
    if chosen.down_to:
        migrations.downgrade(settings.database_url(), chosen.down_to)
        return
    migrations.upgrade(settings.database_url())
    verbs.make_first_admin(settings)


def _check_config(_: argparse.Namespace) -> None:
    verbs.check_config(GatewaySettings.begin("gateway"))


def _set_password(chosen: argparse.Namespace) -> None:
    user = verbs.set_password(GatewaySettings.begin("gateway"), chosen.name, sys.stdin)
    sys.stdout.write(f"{user} has a new password; all sessions of {user} have ended\n")


def _verify_audit(chosen: argparse.Namespace) -> None:
    is_right, said = verify_audit(GatewaySettings.begin("gateway"), chosen.expect)
    if not is_right:
        raise FailedPrecondition("AUDIT_TAMPERED", said)
    sys.stdout.write(f"{said}\n")


_VERBS: Final[Mapping[str, Callable[[argparse.Namespace], None]]] = {
    "migrate": _migrate,
    "check-config": _check_config,
    "set-password": _set_password,
    "verify-audit": _verify_audit,
}


if __name__ == "__main__":
    sys.exit(main())
