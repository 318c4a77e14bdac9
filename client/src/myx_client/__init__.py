"""A typed asynchronous client of MyX: `async with Client(url, token) as myx: …` (docs/python-client.md)."""

from myx_client.client import Client
from myx_client.errors import ApiError, MyxError, Unreachable

__all__ = ["ApiError", "Client", "MyxError", "Unreachable"]
