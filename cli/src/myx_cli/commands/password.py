"""`myx password`: one's own."""

from argparse import Namespace

from myx_cli.api import Client
from myx_cli.endpoint import find
from myx_cli.errors import Failure, UsageError
from myx_cli.output import print_line
from myx_cli.secrets import ask
from myx_cli.text import clean

_NO_TERMINAL = "no terminal to ask at; an administrator can: myx user set USER --password-stdin"


def password(arguments: Namespace) -> int:
    """Changes it: the old one and twice the new one are asked for. All sessions end; tokens stay valid."""
    client = Client(find(arguments))
    user = (client.get("/session").get("me") or {}).get("user") or {}
    name = str(user.get("name") or "")
    if not name:
        raise Failure("this token belongs to nobody who has a password")
    old = ask(f"password of {clean(name)}", _NO_TERMINAL)
    new = ask("new password", _NO_TERMINAL)
    if ask("the same again", _NO_TERMINAL) != new:
        raise UsageError("the two are not the same; nothing was changed")
    person = Client(client.endpoint._replace(token=""))
    try:
        person.sign_in(name, old)
        try:
            person.post("/session/password", {"old_password": old, "new_password": new})
        finally:
            person.sign_out()
    finally:
        person.close()
    print_line("the password is changed; browsers have to log in again, API tokens live on")
    return 0
