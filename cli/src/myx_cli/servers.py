"""Servers by the name or id that the command line gives."""

from myx_cli.api import Client, Document, segment
from myx_cli.endpoint import Endpoint
from myx_cli.errors import ApiError, Failure


def get_server(client: Client, server: str, told: str = "") -> Document:
    """The server. Failure: there is none of that name or id; `told` is what else is to be said then."""
    try:
        return client.get(f"/servers/{segment(server)}")
    except ApiError as error:
        if error.status == 404 and error.reason:
            raise unknown_server(error, told) from None
        raise


def unknown_server(error: ApiError, told: str = "") -> Failure:
    """The failure that MyX's answer comes to."""
    return Failure(f"{error.message.rstrip('.')}{told}; the names are shown by: myx server list")


def check_servers(endpoint: Endpoint, servers: list[str]) -> None:
    """Nothing is started anywhere while one of the names is wrong: Failure."""
    client = Client(endpoint)
    try:
        for server in servers:
            get_server(client, server, "; nothing was started")
    finally:
        client.close()
