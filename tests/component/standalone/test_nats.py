import os
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats as nats_client
import pytest
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from myx_testkit.hosts.mounts import mount_small, unmount
from myx_testkit.nats import NatsServer
from myx_testkit.wait import until

# nats-py leaves the socket of a connection that is refused to the garbage collector, which tells of it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def context(server: NatsServer, name: str | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(server.tls_dir / "ca.crt"))
    if name:
        made.load_cert_chain(server.tls_dir / f"{name}.crt", server.tls_dir / f"{name}.key")
    return made


async def test_a_client_needs_a_certificate(nats: NatsServer) -> None:
    client = await connect(nats, "registry")
    await client.close()
    with pytest.raises((NoServersError, ssl.SSLError, OSError)):
        await connect(nats, None)


async def test_a_certificate_opens_only_what_its_name_is_for(nats: NatsServer) -> None:
    with pytest.raises(NatsError, match="Authorization"):
        await connect(nats, "standalone")
    heard: list[bytes] = []

    async def note(message: Msg) -> None:
        heard.append(message.data)

    names = ("executor", "heartbeat", "gateway", "registry")
    listener, forger, reader, teller = [await connect(nats, name) for name in names]
    await listener.subscribe("myx.events.>", cb=note)
    await listener.flush()
    for client, data in ((forger, b"forged"), (reader, b"forged"), (teller, b"true")):
        await client.publish("myx.events.server.created.x", data)
        await client.flush()
    await until(lambda: heard)
    assert heard == [b"true"]
    for client in (listener, forger, reader, teller):
        await client.close()


async def connect(server: NatsServer, name: str | None) -> nats_client.NATS:
    async def quiet(_: Exception) -> None:
        return None

    return await nats_client.connect(
        server.url,
        tls=context(server, name),
        allow_reconnect=False,
        connect_timeout=3,
        max_reconnect_attempts=0,
        error_cb=quiet,
    )


async def test_a_stream_survives_kill_9(nats: NatsServer) -> None:
    client = await connect(nats, "registry")
    stream = client.jetstream()
    await stream.add_stream(name="S", subjects=["myx.events.server.>"])
    await stream.publish("myx.events.server.x", b"one")
    await client.close()
    nats.kill9()
    nats.restart()
    client = await connect(nats, "executor")
    found = await client.jetstream().get_last_msg("S", "myx.events.server.x")
    assert found.data == b"one"
    await client.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with 64 MB, which only root can make."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "small"
    mount_small(64, folder)
    yield folder
    unmount(folder)


async def test_after_a_full_disk_it_is_not_well_and_a_new_start_is_the_cure(small_disk: Path, tls_dir: Path) -> None:
    server = NatsServer(small_disk / "nats", tls_dir)
    server.start()
    stream = {"name": "MYX_EVENTS", "subjects": ["myx.events.>"]}
    client = await connect(server, "registry")
    await client.jetstream().add_stream(**stream)
    await publish(client)
    assert server.server.is_well(server.health_port)

    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"0" * 4096) == 4096:
            pass
    with pytest.raises((NatsError, TimeoutError)):
        await publish(client)
    assert server.server.is_well(server.health_port), "there is no room: a new start would not help"
    filler.unlink()
    with pytest.raises((NatsError, TimeoutError)):
        await publish(client)
    assert not server.server.is_well(server.health_port)
    await client.close()

    server.stop()
    server.start()
    client = await connect(server, "registry")
    await until(lambda: server.server.is_well(server.health_port))
    ack = await publish(client)
    assert ack.seq == 2
    await client.close()
    server.stop()


async def publish(client: nats_client.NATS) -> Any:
    return await client.jetstream().publish("myx.events.server.created.x", b"x" * 8192, timeout=1)
