"""Options of logins, contexts, users, tokens and sessions. None of them takes a secret itself."""

from argparse import SUPPRESS, ArgumentParser

from myx_cli.options.types import grant, lifetime, role, selector, validity


def login(parser: ArgumentParser) -> None:
    """`myx login`."""
    parser.add_argument("address", nargs="?", metavar="URL", help="where MyX is (else that of the context in use)")
    parser.add_argument("--user", metavar="NAME", help="as whom (else asked for)")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--token", action="store_true", help="take a token, from the terminal or standard input")
    parser.add_argument("--ca", metavar="FILE", help="trust this authority (PEM) and no other; it is kept")
    parser.add_argument("--token-name", metavar="TEXT", help="what to call the token (myx on this host)")
    parser.add_argument("--role", type=role, metavar="ROLE", help="the token may do no more: viewer, operator, admin")
    parser.add_argument("--selector", "-l", type=selector, metavar="SELECTOR", help="and only on these servers")
    parser.add_argument("--expires-in", type=validity, metavar="TIME", help="how long it is valid (90d)")
    parser.epilog = "--context NAME says what to call it; without, it is called after the host."


def logout(parser: ArgumentParser) -> None:
    """`myx logout`."""
    parser.add_argument("name", nargs="?", metavar="CONTEXT", help="which login (the one in use)")
    parser.add_argument("--force", action="store_true", help="forget it even if its token cannot be revoked")


def context(parser: ArgumentParser) -> None:
    """One context, or the one in use."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the one in use")


def context_use(parser: ArgumentParser) -> None:
    """`myx context use`."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the context to use from now on")
    parser.add_argument("--none", action="store_true", help="use none: the standalone.json found here counts again")


def contexts(parser: ArgumentParser) -> None:
    """Several contexts."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="name of a context")


def user(parser: ArgumentParser) -> None:
    """One user."""
    parser.add_argument("user", metavar="USER", help="name or id")


def users(parser: ArgumentParser) -> None:
    """Several users."""
    parser.add_argument("users", nargs="+", metavar="USER", help="name or id")


def user_add(parser: ArgumentParser) -> None:
    """`myx user add`."""
    parser.add_argument("user", metavar="NAME", help="what they log in with")
    parser.add_argument("--program", action="store_true", help="no person: has tokens, no password")
    _about_user(parser)


def user_set(parser: ArgumentParser) -> None:
    """`myx user set`."""
    user(parser)
    parser.add_argument("--ask-password", action="store_true", help="ask for a new password on the terminal")
    state = parser.add_mutually_exclusive_group()
    state.add_argument("--disable", action="store_true", help="no login and no token is taken any more")
    state.add_argument("--enable", action="store_true", help="they are taken again")
    parser.add_argument("--no-grants", action="store_true", help="take all rights away")
    _about_user(parser)


def _about_user(parser: ArgumentParser) -> None:
    parser.add_argument("--display-name", metavar="TEXT", help="what they are called")
    parser.add_argument(
        "--grant",
        "-g",
        type=grant,
        action="append",
        metavar="GRANT",
        help="'viewer', 'operator on env=prod', 'admin on all'; repeatable, all together are what they may do",
    )
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def of_user(parser: ArgumentParser) -> None:
    """Things of everybody, or of one user."""
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--user", metavar="USER", help="of this user (without: your own)")
    whose.add_argument("--all", action="store_const", const="*", dest="user", help="of all users")


def token_create(parser: ArgumentParser) -> None:
    """`myx token create`."""
    parser.add_argument("name", metavar="NAME", help="what it is for")
    parser.add_argument("--user", metavar="USER", help="for this user (yourself)")
    parser.add_argument("--role", type=role, metavar="ROLE", help="it may do no more: viewer, operator or admin")
    parser.add_argument("--selector", "-l", type=selector, metavar="SELECTOR", help="and only on these servers")
    parser.add_argument(
        "--expires-in",
        type=lifetime,
        default=SUPPRESS,
        metavar="TIME",
        help="how long it is valid (90d); at most a year, never: for programs only",
    )
    parser.add_argument("--to", metavar="FILE", help="write the token there (mode 600) instead of showing it")


def tokens(parser: ArgumentParser) -> None:
    """Several tokens."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="id of a token")


def sessions(parser: ArgumentParser) -> None:
    """Several sessions."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="id of a session")
