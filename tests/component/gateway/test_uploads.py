"""Projects and artifacts pass through the gateway as they come: whole, bounded, and without piling up."""

import asyncio
import contextlib
import hashlib
import io
import secrets
import socket as sockets
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from myx.executor.v1 import playbook_service_pb2
from myx_kit.errors import InvalidArgument
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1 << 20
GZIP = {"Content-Type": "application/gzip"}
ARTIFACTS = "/api/v1/artifacts?name=caddy"


async def blocks(count: int, block: bytes) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield block


async def post(gateway: Any, body: AsyncIterator[bytes]) -> tuple[int, dict[str, Any]]:
    async with gateway.http.post(ARTIFACTS, data=body) as answer:
        return answer.status, await answer.json()


async def test_a_project_is_pushed(gateway: Any, backend: Any) -> None:
    content = secrets.token_bytes(3 * MB)
    async with gateway.http.put("/api/v1/playbooks/site", data=io.BytesIO(content), headers=GZIP) as answer:
        assert answer.status == 200
        project = await answer.json()
    assert (project["name"], project["version"], project["changed"]) == ("site", "2", True)
    (upload,) = backend.uploads
    assert (upload.head.name, upload.head.requested_by) == ("site", "token:admin")
    assert upload.digest == hashlib.sha256(content).hexdigest()


async def test_projects_and_artifacts_are_pages(gateway: Any, backend: Any) -> None:
    projects = [playbook_service_pb2.Project(name=name) for name in ("z", "myx", "a-b", "ab")]
    backend.answers["ListProjects"] = playbook_service_pb2.ListProjectsResponse(projects=projects)
    token = ""
    for expected in (["myx", "a-b"], ["ab", "z"]):
        async with gateway.http.get(f"/api/v1/playbooks?page_size=2&page_token={token}") as answer:
            page = await answer.json()
        assert [one["name"] for one in page["items"]] == expected
        token = page["next_page_token"]
    assert token is None
    artifact = playbook_service_pb2.Artifact(name="caddy")
    backend.answers["ListArtifacts"] = playbook_service_pb2.ListArtifactsResponse(
        artifacts=[artifact], next_page_token="older"
    )
    async with gateway.http.get("/api/v1/artifacts?page_size=1&page_token=newer") as answer:
        assert (await answer.json())["next_page_token"] == "older"
    assert (backend.last("ListArtifacts").page_size, backend.last("ListArtifacts").page_token) == (1, "newer")
    assert (await gateway.problem("GET", "/api/v1/playbooks?page_token=x"))["reason"] == "PAGE_TOKEN_INVALID"


async def test_projects_and_artifacts_are_listed_and_removed(gateway: Any, backend: Any) -> None:
    async with gateway.http.get("/api/v1/playbooks") as answer:
        assert (await answer.json())["items"][0]["playbooks"] == ["up.yml"]
    async with gateway.http.get("/api/v1/artifacts") as answer:
        assert (await answer.json())["items"][0]["name"] == "caddy"
    for path, method in (("playbooks/site", "DeleteProject"), (f"artifacts/{'a' * 64}", "DeleteArtifact")):
        async with gateway.http.delete(f"/api/v1/{path}") as answer:
            assert answer.status == 204
        assert backend.requests[method]


async def test_a_big_artifact_passes_whole_with_flat_memory(gateway: Any, backend: Any) -> None:
    block = secrets.token_bytes(MB)
    base = gateway.rss_bytes()
    async with gateway.http.post(f"{ARTIFACTS}&sha256={'a' * 64}", data=blocks(192, block)) as answer:
        assert answer.status == 201
        assert (await answer.json())["sha256"] == "a" * 64
    (upload,) = backend.uploads
    whole = hashlib.sha256()
    for _ in range(192):
        whole.update(block)
    assert (upload.size, upload.digest) == (192 * MB, whole.hexdigest())
    assert (upload.head.name, upload.head.sha256) == ("caddy", "a" * 64)
    assert upload.largest < MB
    assert gateway.rss_bytes() - base < 24 * MB


async def test_a_service_that_does_not_read_holds_its_client_back(gateway: Any, backend: Any) -> None:
    backend.holds["PushArtifact"] = asyncio.Event()
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(192):
            yield bytes(MB)
            sent += MB

    base = gateway.rss_bytes()
    posting = asyncio.create_task(post(gateway, body()))
    await until(lambda: backend.uploads)
    before = -1
    while sent != before:
        before = sent
        await asyncio.sleep(0.3)
    assert sent < 96 * MB
    assert gateway.rss_bytes() - base < 16 * MB
    backend.holds["PushArtifact"].set()
    assert (await posting)[0] == 201
    assert backend.uploads[0].size == 192 * MB


async def test_other_requests_are_answered_beside_an_upload(gateway: Any, backend: Any) -> None:
    backend.holds["PushArtifact"] = asyncio.Event()
    posting = asyncio.create_task(post(gateway, blocks(32, bytes(MB))))
    await until(lambda: backend.uploads)
    async with gateway.http.get("/api/v1/servers") as answer:
        assert answer.status == 200
    backend.holds["PushArtifact"].set()
    assert (await posting)[0] == 201


@pytest.mark.parametrize("declared", [True, False])
async def test_what_is_too_large_is_refused_and_nothing_is_stored(
    start_gateway: Any, backend: Any, declared: bool
) -> None:
    async with start_gateway(project_limit_bytes=MB, artifact_limit_bytes=2 * MB) as gateway:
        for method, path, limit in (("PUT", "/api/v1/playbooks/site", MB), ("POST", ARTIFACTS, 2 * MB)):
            data = io.BytesIO(bytes(limit + 1)) if declared else blocks(limit // 1024 + 1, bytes(1024))
            problem = await gateway.problem(method, path, data=data, headers=GZIP)
            assert (problem["status"], problem["reason"]) == (413, "BODY_TOO_LARGE")
            assert problem["fields"] == {"limit_bytes": str(limit)}
        if declared:
            assert not backend.uploads
        else:
            await until(lambda: all(upload.broken for upload in backend.uploads))
        assert not any(upload.digest for upload in backend.uploads)


async def test_exactly_the_limit_passes(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(artifact_limit_bytes=2 * MB) as gateway:
        async with gateway.http.post(ARTIFACTS, data=io.BytesIO(bytes(2 * MB))) as answer:
            assert answer.status == 201
        assert backend.uploads[0].size == 2 * MB


async def test_only_these_two_may_be_large(gateway: Any, backend: Any) -> None:
    for method, path in (("POST", "/api/v1/commands"), ("PUT", ARTIFACTS), ("POST", "/api/v1/playbooks/site")):
        problem = await gateway.problem(method, path, data=io.BytesIO(bytes(5 * MB)))
        assert problem["status"] == 413
    assert not backend.uploads


async def test_an_early_refusal_of_the_service_reaches_the_client(start_gateway: Any, backend: Any) -> None:
    backend.errors["PushProject"] = InvalidArgument("PROJECT_INVALID", "playbooks/ is missing")
    async with start_gateway() as gateway:
        problem = await gateway.problem("PUT", "/api/v1/playbooks/site", data=blocks(16, bytes(MB)), headers=GZIP)
    assert (problem["status"], problem["detail"]) == (400, "playbooks/ is missing")


async def test_forms_and_other_types_are_refused(gateway: Any, backend: Any) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    problem = await gateway.problem("POST", ARTIFACTS, data=b"--x", headers=form)
    assert (problem["status"], problem["reason"]) == (415, "MEDIA_TYPE_UNSUPPORTED")
    problem = await gateway.problem("PUT", "/api/v1/playbooks/site", json={})
    assert problem["status"] == 415
    assert not backend.uploads


async def test_a_wrong_query_is_refused_before_the_body(gateway: Any, backend: Any) -> None:
    for query, field in (("", "name"), ("?name=a%00b", "name"), ("?name=a&sha256=zz", "sha256")):
        problem = await gateway.problem("POST", f"/api/v1/artifacts{query}", data=io.BytesIO(bytes(MB)))
        assert (problem["status"], list(problem["fields"])) == (400, [field])
    assert not backend.uploads


def begin(gateway: Any, size: int, token: str) -> sockets.socket:
    """A client that has sent a little of its artifact."""
    client = sockets.create_connection(("127.0.0.1", gateway.port))
    head = f"POST {ARTIFACTS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {size}\r\n\r\n"
    client.sendall(head.encode() + bytes(1000))
    return client


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(gateway: Any, backend: Any) -> None:
    with begin(gateway, MB, gateway.token):
        await until(lambda: backend.uploads)
    await until(lambda: backend.uploads[0].broken)
    assert "request_failed" not in gateway.program.log.read_text()


async def test_a_client_that_stops_sending_is_told_and_dropped(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(body_timeout_s=0.5) as gateway:
        with begin(gateway, MB, gateway.token) as client:
            client.settimeout(10)
            answer = await asyncio.to_thread(client.recv, 65536)
            assert answer.startswith(b"HTTP/1.1 408 ")
            await until(lambda: backend.uploads[0].broken)


async def test_a_slow_client_may_take_its_time(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(body_timeout_s=0.8) as gateway:
        started = time.monotonic()

        async def body() -> AsyncIterator[bytes]:
            for _ in range(8):
                yield b"x"
                await asyncio.sleep(0.2)

        async with gateway.http.post(ARTIFACTS, data=body()) as answer:
            assert answer.status == 201
        assert time.monotonic() - started > 0.8


async def test_a_stranger_cannot_upload(gateway: Any, backend: Any) -> None:
    with begin(gateway, 64 * MB, "wrong") as client:
        client.settimeout(10)
        assert (await asyncio.to_thread(client.recv, 65536)).startswith(b"HTTP/1.1 401 ")
    assert not backend.uploads


async def test_an_executor_that_is_away_is_a_503(start_gateway: Any, backend: Any) -> None:
    await backend.stop("executor")
    try:
        async with start_gateway() as gateway:
            problem = await gateway.problem("POST", ARTIFACTS, data=blocks(4, bytes(MB)))
            assert problem["status"] == 503
    finally:
        await backend.start("executor")


async def test_an_executor_that_dies_in_the_middle_is_a_503(start_gateway: Any, backend: Any) -> None:
    backend.holds["PushArtifact"] = asyncio.Event()
    async with start_gateway() as gateway:
        posting = asyncio.create_task(post(gateway, blocks(32, bytes(MB))))
        await until(lambda: backend.uploads)
        await backend.stop("executor")
        try:
            # A client that is still sending may lose the answer.
            with contextlib.suppress(aiohttp.ClientConnectionError):
                assert (await posting)[1]["reason"] in {"SERVICE_UNAVAILABLE", "CALL_CANCELLED"}
            await until(lambda: '"status": 503' in gateway.program.log.read_text())
        finally:
            await backend.start("executor")


async def test_an_executor_that_dies_after_the_first_words_does_not_take_the_gateway_along(
    start_gateway: Any, backend: Any
) -> None:
    backend.holds["PushArtifact"] = asyncio.Event()
    async with start_gateway() as gateway:
        for count in range(1, 11):
            gone = asyncio.Event()

            async def body(gone: asyncio.Event) -> AsyncIterator[bytes]:
                yield bytes(1000)
                await gone.wait()
                for _ in range(64):
                    yield bytes(MB // 2)

            posting = asyncio.create_task(post(gateway, body(gone)))
            await until(lambda count=count: len(backend.uploads) == count)
            await backend.stop("executor")
            gone.set()
            with contextlib.suppress(aiohttp.ClientConnectionError):
                assert (await posting)[0] == 503
            assert gateway.program.is_running(), gateway.program.output()
            await backend.start("executor")
