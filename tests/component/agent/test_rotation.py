"""New token, key and certificate with an overlap: nothing is cut, and a crash at any point leaves a working agent."""

import asyncio
import json
import socket
import ssl
import stat
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from myx_agent import config
from myx_kit.agent_rpc.client import AgentClient
from myx_kit.agent_rpc.errors import AgentCallError, Cause
from myx_kit.tls import make_agent_certificate
from myx_testkit.wait import until

OLD_TOKEN_VOID = Cause.UNAUTHORIZED


class Rotation:
    """One rotation of one agent: what it is before and after."""

    def __init__(self, agent, name="r1"):
        self.agent = agent
        self.certificate, self.key, self.sha256 = make_agent_certificate("agent")
        self.params = {
            "rotation_id": name,
            "agent_token": f"the-new-token-of-{name}",
            "secret_key": f"the-new-secret-of-{name}",
            "certificate_pem": self.certificate,
            "private_key_pem": self.key,
        }
        both = {"next_certificate_sha256": self.sha256}
        self.old = replace(agent.target, **both)
        new = {"agent_token": self.params["agent_token"], "secret_key": self.params["secret_key"]}
        self.new = replace(agent.target, **new, **both)


@pytest.fixture
def rotation(real_agent):
    return Rotation(real_agent)


@pytest.fixture
async def client():
    async with AgentClient(timeout_s=10) as one:
        yield one


async def refused(client, target, method, params=None):
    with pytest.raises(AgentCallError) as caught:
        await client.call(target, method, params or {})
    return caught.value


async def shown_certificate(agent):
    """The SHA-256 that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def ask():
        with (
            socket.create_connection((agent.address, agent.rpc_port), timeout=10) as plain,
            context.wrap_socket(plain) as tls,
        ):
            return sha256(tls.getpeercert(binary_form=True)).hexdigest()

    return await asyncio.to_thread(ask)


def identity_files(agent):
    kinds = {".json", ".crt", ".key"}
    return {path: path.read_bytes() for path in agent.folder.iterdir() if path.suffix in kinds}


def restart(agent):
    """Kill and start again, on the configuration as it is on the disk."""
    agent.kill9()
    agent.configuration = json.loads(agent.config_file.read_text())
    agent.restart()


async def test_both_are_taken_and_the_new_certificate_is_shown_until_the_rotation_is_finished(
    client, real_agent, rotation
):
    answer = await client.call(rotation.old, "rotate_credentials", rotation.params)

    assert answer == {"rotation_id": "r1", "certificate_sha256": rotation.sha256}
    assert await shown_certificate(real_agent) == rotation.sha256
    for target in (rotation.old, rotation.new):
        await client.call(target, "heartbeat", {})
    assert (await client.call(rotation.new, "finish_rotation", {"rotation_id": "r1"}))["finished"]

    assert (await refused(client, rotation.old, "heartbeat")).cause is OLD_TOKEN_VOID
    await client.call(rotation.new, "heartbeat", {})


async def test_a_token_counts_with_its_own_key_only(client, rotation):
    await client.call(rotation.old, "rotate_credentials", rotation.params)
    mixed = [
        replace(rotation.old, secret_key=rotation.new.secret_key),
        replace(rotation.new, secret_key=rotation.old.secret_key),
    ]
    for target in mixed:
        assert (await refused(client, target, "heartbeat")).cause is Cause.UNAUTHORIZED


@pytest.mark.parametrize("finished", [False, True])
async def test_a_restart_changes_nothing(client, real_agent, rotation, finished):
    await client.call(rotation.old, "rotate_credentials", rotation.params)
    if finished:
        await client.call(rotation.new, "finish_rotation", {"rotation_id": "r1"})
    restart(real_agent)

    assert await shown_certificate(real_agent) == rotation.sha256
    await client.call(rotation.new, "heartbeat", {})
    if finished:
        assert (await refused(client, rotation.old, "heartbeat")).cause is OLD_TOKEN_VOID
    else:
        await client.call(rotation.old, "heartbeat", {})


async def test_open_connections_and_streams_stay(client, real_agent, rotation):
    mark = real_agent.folder / "go"
    script = f"echo one; until [ -e {mark} ]; do sleep 0.01; done; echo two"
    await client.call(rotation.old, "execute_command", {"command": "sh", "args": ["-c", script], "command_id": "c"})
    async with client.open_log(rotation.old, "c", 0) as stream:
        first = await anext(stream)
        await client.call(rotation.old, "rotate_credentials", rotation.params)
        await client.call(rotation.new, "finish_rotation", {"rotation_id": "r1"})
        mark.touch()
        rest = [item async for item in stream]

    assert (first.data, rest[0].data, rest[-1].result["return_code"]) == (b"one\n", b"two\n", 0)


async def test_repeats_are_harmless(client, real_agent, rotation):
    first = await client.call(rotation.old, "rotate_credentials", rotation.params)
    written = real_agent.config_file.read_bytes()
    again = [
        await client.call(target, "rotate_credentials", rotation.params) for target in (rotation.old, rotation.new)
    ]
    assert again == [first, first]
    assert real_agent.config_file.read_bytes() == written

    for _ in range(2):
        await client.call(rotation.new, "finish_rotation", {"rotation_id": "r1"})
    assert await client.call(rotation.new, "rotate_credentials", rotation.params) == first
    assert (await refused(client, rotation.old, "heartbeat")).cause is OLD_TOKEN_VOID


async def test_one_id_is_one_set_of_credentials(client, real_agent, rotation):
    await client.call(rotation.old, "rotate_credentials", rotation.params)
    for change in ({"agent_token": "yet-another-token"}, {"certificate_pem": make_agent_certificate("x")[0]}):
        error = await refused(client, rotation.old, "rotate_credentials", rotation.params | change)

        assert (error.rpc_error.code, error.rpc_error.reason) == (-32017, "ROTATION_CONFLICT")


async def test_only_the_new_token_finishes(client, rotation):
    await client.call(rotation.old, "rotate_credentials", rotation.params)
    error = await refused(client, rotation.old, "finish_rotation", {"rotation_id": "r1"})
    unknown = await refused(client, rotation.new, "finish_rotation", {"rotation_id": "r2"})

    assert (error.rpc_error.code, error.rpc_error.reason) == (-32017, "NEW_TOKEN_REQUIRED")
    assert unknown.rpc_error.reason == "ROTATION_NOT_FOUND"
    await client.call(rotation.old, "heartbeat", {})


async def test_a_rotation_that_was_given_up_is_followed_by_another(client, real_agent, rotation):
    """Its new values are lost: the next one is asked for with what is known to work."""
    await client.call(rotation.old, "rotate_credentials", rotation.params)
    second = Rotation(real_agent, "r2")
    old = replace(rotation.old, certificate_sha256=rotation.sha256)
    await client.call(old, "rotate_credentials", second.params)

    for target in (second.old, second.new):
        await client.call(target, "heartbeat", {})
    assert (await refused(client, replace(rotation.new, next_certificate_sha256=second.sha256), "heartbeat")).cause is (
        OLD_TOKEN_VOID
    )
    await client.call(second.new, "finish_rotation", {"rotation_id": "r2"})
    restart(real_agent)
    assert await shown_certificate(real_agent) == second.sha256


async def test_files_are_private_and_end_under_their_own_names(client, real_agent, rotation):
    before = json.loads(real_agent.config_file.read_text())
    await client.call(rotation.old, "rotate_credentials", rotation.params)
    during = json.loads(real_agent.config_file.read_text())
    files = [real_agent.config_file, Path(during["certificate_path"]), Path(during["key_path"])]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 3
    assert Path(before["certificate_path"]).read_text() != rotation.certificate

    await client.call(rotation.new, "finish_rotation", {"rotation_id": "r1"})
    after = json.loads(real_agent.config_file.read_text())
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"agent_token", "secret_key", "rotation_id"}
    assert Path(before["certificate_path"]).read_text() == rotation.certificate
    assert Path(before["key_path"]).read_text() == rotation.key
    assert not [path.name for path in real_agent.folder.iterdir() if "rotated" in path.name]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"agent_token": "short"}, "agent_token"),
        ({"secret_key": "with blanks in it, long enough"}, "secret_key"),
        ({"certificate_pem": "no certificate"}, "certificate_pem"),
        ({"private_key_pem": make_agent_certificate("x")[1]}, "certificate_pem"),
        ({"rotation_id": "../x"}, "rotation_id"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(client, real_agent, rotation, change, field):
    before = {
        path: path.read_bytes() for path in real_agent.folder.iterdir() if path.suffix in {".json", ".crt", ".key"}
    }
    error = await refused(client, rotation.old, "rotate_credentials", rotation.params | change)

    assert (error.rpc_error.code, error.rpc_error.data["field"]) == (-32602, field)
    after = {
        path: path.read_bytes() for path in real_agent.folder.iterdir() if path.suffix in {".json", ".crt", ".key"}
    }
    assert after == before
    await client.call(rotation.old, "heartbeat", {})


async def test_nothing_of_the_new_credentials_is_logged(client, real_agent, rotation):
    await client.call(rotation.old, "rotate_credentials", rotation.params)
    await client.call(rotation.new, "finish_rotation", {"rotation_id": "r1"})

    assert not any(secret in real_agent.program.output() for secret in rotation.params.values() if len(secret) > 4)


async def test_an_agent_killed_in_mid_rotation_serves_afterwards(client, real_agent, rotation):
    """At any moment the file names a certificate and the key that belongs to it."""
    asking = asyncio.create_task(client.call(rotation.old, "rotate_credentials", rotation.params, retry=False))
    await until(lambda: any("rotated" in path.name for path in real_agent.folder.iterdir()), 10)
    real_agent.kill9()
    await asyncio.gather(asking, return_exceptions=True)
    config.load(real_agent.config_file)
    restart(real_agent)

    await client.call(rotation.old, "heartbeat", {})
    await client.call(rotation.old, "rotate_credentials", rotation.params)
    await client.call(rotation.new, "finish_rotation", {"rotation_id": "r1"})
