"""The events of a whole MyX, past our own code."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.aio.client import Client

from myx_standalone.home import Home


@asynccontextmanager
async def connected(home: Home) -> AsyncIterator[Client]:
    """A client of the NATS server there, with the registry's certificate."""
    context = ssl.create_default_context(cafile=str(home.tls / "ca.crt"))
    context.load_cert_chain(home.tls / "registry.crt", home.tls / "registry.key")
    port = json.loads(home.ports_file.read_text())["nats"]
    client = await nats.connect(f"tls://127.0.0.1:{port}", tls=context, tls_hostname="nats", connect_timeout=5)
    try:
        yield client
    finally:
        await client.close()
