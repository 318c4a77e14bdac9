"""SSH settings, credentials and host keys: what reaches the registry, and that secrets never come back."""

import json
from typing import Any

import pytest

from myx.registry.v1 import server_pb2
from myx_kit.errors import FailedPrecondition, Unavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The id of web-1 as selectors are resolved (conftest).
MATCHED = "0192e4a0-0000-7000-8000-0000000000a1"
SECRET = {"private_key": "-----BEGIN KEY-----hunter2", "passphrase": "hunter3", "sudo_password": "hunter4"}


async def test_a_server_with_its_login_is_added(gateway: Any, backend: Any) -> None:
    body = {
        "name": "web-1",
        "address": "10.0.0.1",
        "ssh": {"port": 2222, "user": "deploy", "sudo": "always", "jump_servers": ["bastion"], "address": "h"},
        "credential": SECRET,
        "host_key_fingerprint": "SHA256:abc",
        "accept_new_host_key": True,
        "repair_policy": "off",
    }
    async with gateway.http.post("/api/v1/servers", json=body) as answer:
        assert answer.status == 201
        text = await answer.text()
    assert "hunter" not in text
    request = backend.last("CreateServer")
    assert (request.ssh.port, request.ssh.user, request.ssh.address) == (2222, "deploy", "h")
    assert (request.ssh.sudo, list(request.ssh.jump_servers)) == (server_pb2.SUDO_MODE_ALWAYS, ["bastion"])
    secret = request.own_credential
    assert (secret.private_key, secret.passphrase, secret.sudo_password) == tuple(SECRET.values())
    assert (request.host_key_fingerprint, request.accept_new_host_key) == ("SHA256:abc", True)
    assert request.repair_policy == server_pb2.REPAIR_POLICY_OFF
    assert request.requested_by == "token:admin"


async def test_a_server_without_a_login_has_none(gateway: Any, backend: Any) -> None:
    async with gateway.http.post("/api/v1/servers", json={"name": "a", "address": "b"}) as answer:
        assert answer.status == 201
    request = backend.last("CreateServer")
    assert not request.HasField("own_credential")
    assert (request.ssh.port, request.ssh.sudo) == (22, server_pb2.SUDO_MODE_AUTO)
    assert (request.host_key_fingerprint, request.accept_new_host_key) == ("", False)


async def test_a_server_shows_how_it_is_reached_and_who_works_on_it(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/servers/web-1") as answer:
        server = await answer.json()
    assert server["ssh"] == {
        "address": "",
        "port": 22,
        "user": "deploy",
        "credential": "",
        "sudo": "auto",
        "jump_servers": [],
        "has_credential": True,
    }
    assert (server["host_key"]["fingerprint"], server["host_key"]["how"]) == ("SHA256:abc", "accepted")
    assert (server["maintenance"]["holder"], server["maintenance"]["kind"]) == ("d1", "install_agent")
    assert server["repair_policy"] == "ask"


@pytest.mark.parametrize(
    ("body", "mask"),
    [
        ({"ssh": {"user": "root"}}, ["ssh"]),
        ({"repair_policy": "automatic", "accept_new_host_key": False}, ["repair_policy", "accept_new_host_key"]),
        ({"credential": {"password": "hunter2"}}, ["own_credential"]),
        ({"credential": None, "name": None, "labels": {}}, ["labels", "own_credential"]),
    ],
)
async def test_only_what_is_given_is_changed(gateway: Any, backend: Any, body: dict[str, Any], mask: list[str]) -> None:
    async with gateway.http.patch("/api/v1/servers/s1", json=body) as answer:
        assert answer.status == 200
    request = backend.last("UpdateServer")
    assert list(request.update_mask.paths) == mask
    assert request.HasField("own_credential") is bool(body.get("credential"))
    assert request.HasField("ssh") is ("ssh" in body)


@pytest.mark.parametrize(
    "credential",
    [
        {},
        {"password": "hunter2", "private_key": "hunter2"},
        {"password": "hunter2", "passphrase": "hunter2"},
        {"password": ""},
        {"password": "hunter2\0"},
        {"password": 7, "hunter": "hunter2"},
        {"password": "hunter2", "colour": "hunter2"},
    ],
)
async def test_a_crooked_secret_is_refused_and_not_repeated(
    gateway: Any, backend: Any, credential: dict[str, Any]
) -> None:
    for method, path, body in (
        ("POST", "servers", {"name": "a", "address": "b", "credential": credential}),
        ("PATCH", "servers/s1", {"credential": credential}),
        ("POST", "credentials", {"name": "a", "secret": credential}),
        ("PATCH", "credentials/c1", {"secret": credential}),
    ):
        problem = await gateway.problem(method, f"/api/v1/{path}", json=body)
        assert (problem["status"], problem["reason"]) == (400, "REQUEST_INVALID")
        assert "hunter2" not in json.dumps(problem)
    assert backend.requests.keys() <= {"ResolveServers"}
    assert "hunter2" not in gateway.program.log.read_text()


async def test_a_credential_is_added_and_shown_without_its_secrets(gateway: Any, backend: Any) -> None:
    body = {"name": "ops", "secret": {**SECRET, "user": "deploy"}}
    async with gateway.http.post("/api/v1/credentials", json=body, headers={"Idempotency-Key": "k"}) as answer:
        assert (answer.status, answer.headers["Location"]) == (201, "/api/v1/credentials/c1")
        assert answer.headers["ETag"] == '"k3"'
        shown = await answer.json()
    assert (shown["type"], shown["has_passphrase"], shown["has_sudo_password"]) == ("private_key", True, False)
    assert (shown["public_key_fingerprint"], shown["used_by"]) == ("SHA256:key", ["web-1"])
    assert not {"password", "private_key", "passphrase", "sudo_password", "secret"} & set(shown)
    request = backend.last("CreateCredential")
    assert (request.name, request.secret.user, len(request.request_id)) == ("ops", "deploy", 64)
    assert request.secret.private_key == SECRET["private_key"]


async def test_credentials_are_listed_shown_changed_and_removed(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/credentials?page_size=5") as answer:
        page = await answer.json()
    assert (page["items"][0]["name"], page["next_page_token"]) == ("ops", "more")
    async with gateway.http.get("/api/v1/credentials/ops") as answer:
        assert answer.headers["ETag"] == '"k3"'
    changes = {"secret": {"password": "hunter2"}}
    async with gateway.http.patch("/api/v1/credentials/ops", json=changes, headers={"If-Match": '"k2"'}) as answer:
        assert answer.status == 200
        assert "hunter2" not in await answer.text()
    request = backend.last("UpdateCredential")
    assert (list(request.update_mask.paths), request.etag, request.secret.password) == (["secret"], "k2", "hunter2")
    seen = {"If-Match": '"k3"'}
    async with gateway.http.delete("/api/v1/credentials/ops?force=true", headers=seen) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    removed = backend.last("DeleteCredential")
    assert (removed.credential, removed.force, removed.etag) == ("ops", True, "k3")
    backend.errors["DeleteCredential"] = FailedPrecondition("CREDENTIAL_IN_USE", "3 servers use it")
    assert (await gateway.problem("DELETE", "/api/v1/credentials/ops"))["status"] == 409
    assert backend.last("DeleteCredential").force is False


async def test_the_trusted_host_key_is_shown_beside_the_one_that_is_there(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/servers/web-1/host-key") as answer:
        state = await answer.json()
    assert (state["trusted"]["fingerprint"], state["shown"], state["matches"]) == ("SHA256:abc", None, None)
    assert "ScanHostKey" not in backend.requests
    async with gateway.http.get("/api/v1/servers/web-1/host-key?scan=true") as answer:
        state = await answer.json()
    assert (state["shown"]["fingerprint"], state["matches"]) == ("SHA256:other", False)
    backend.errors["ScanHostKey"] = Unavailable("SSH_UNREACHABLE", "port 22 of 10.0.0.1 refuses")
    problem = await gateway.problem("GET", "/api/v1/servers/web-1/host-key?scan=true")
    assert (problem["status"], problem["detail"]) == (409, "port 22 of 10.0.0.1 refuses")


async def test_a_host_key_is_trusted(gateway: Any, backend: Any) -> None:
    async with gateway.http.put("/api/v1/servers/web-1/host-key", json={"fingerprint": "SHA256:abc"}) as answer:
        assert (answer.status, (await answer.json())["trusted"]["fingerprint"]) == (200, "SHA256:abc")
    request = backend.last("TrustHostKey")
    assert (request.server, request.fingerprint, request.requested_by) == (MATCHED, "SHA256:abc", "token:admin")
    assert (await gateway.problem("PUT", "/api/v1/servers/web-1/host-key", json={"fingerprint": ""}))["status"] == 400
