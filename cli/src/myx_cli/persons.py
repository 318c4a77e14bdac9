"""What MyX takes from somebody who has logged in only, not from a token."""

from collections.abc import Callable
from typing import TypeVar

from myx_cli.api import Client
from myx_cli.asking import can_ask
from myx_cli.errors import ApiError
from myx_cli.secrets import ask

_Result = TypeVar("_Result")


def as_person(client: Client, act: Callable[[Client], _Result]) -> _Result:
    """What `act` gives; when MyX wants a login for it, the password is asked for and it is done again."""
    try:
        return act(client)
    except ApiError as error:
        user = _name(client) if error.reason == "SESSION_NEEDED" and can_ask() else ""
        if not user:
            raise
        cause = error.message
    password = ask(f"password of {user}", f"{cause}; no terminal to ask at")
    person = Client(client.endpoint._replace(token=""))
    try:
        person.sign_in(user, password)
        try:
            return act(person)
        finally:
            person.sign_out()
    finally:
        person.close()


def _name(client: Client) -> str:
    me = client.get("/session").get("me") or {}
    return str((me.get("user") or {}).get("name") or "")
