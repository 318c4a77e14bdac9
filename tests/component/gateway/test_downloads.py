"""Logs as files: whole or in part, resumed, and never taken for whole when they are not."""

import hashlib
import secrets
from typing import Any

import aiohttp
import pytest

from myx_kit.errors import Internal, Unavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1 << 20
OUT, ERR = 1, 2


def path_of(id_: str, query: str = "", noun: str = "commands") -> str:
    return f"/api/v1/{noun}/{id_}/log{query}"


@pytest.fixture
def mixed(backend: Any) -> tuple[str, bytes, dict[str, bytes]]:
    """A final log of both streams: its id, its bytes, those of each stream."""
    command_id, log = backend.new_log()
    parts = [(secrets.token_bytes(100 + i), OUT if i % 3 else ERR) for i in range(30)]
    for data, stream in parts:
        log.write(data, stream)
    log.finish()
    by_stream = {
        name: b"".join(data for data, stream in parts if stream == number)
        for name, number in (("stdout", OUT), ("stderr", ERR))
    }
    return command_id, b"".join(data for data, _ in parts), by_stream


async def test_a_final_log_is_a_file_with_a_name_a_size_and_a_mark(gateway: Any, mixed: Any) -> None:
    command_id, content, streams = mixed
    async with gateway.http.get(path_of(command_id)) as answer:
        assert await answer.read() == content
        assert answer.headers["Content-Disposition"] == f'attachment; filename="myx-web-1-{command_id}.log"'
        assert (answer.content_length, answer.headers["Accept-Ranges"]) == (len(content), "bytes")
        assert answer.headers["ETag"] == f'"{command_id}-{len(content)}-all"'
    for name, data in streams.items():
        async with gateway.http.get(path_of(command_id, f"?stream={name}")) as answer:
            assert await answer.read() == data
            assert answer.content_length == len(data)
            assert answer.headers["Content-Disposition"].endswith(f'{command_id}.{name}.log"')


async def test_a_range_is_that_part_of_the_whole_or_of_one_stream(gateway: Any, mixed: Any) -> None:
    command_id, content, streams = mixed
    for query, data in (("", content), ("?stream=stdout", streams["stdout"]), ("?stream=stderr", streams["stderr"])):
        size = len(data)
        for asked, first, last in (
            ("0-", 0, size - 1),
            ("100-", 100, size - 1),
            ("99-100", 99, 100),
            ("-1", size - 1, size - 1),
            (f"250-{size * 2}", 250, size - 1),
        ):
            async with gateway.http.get(path_of(command_id, query), headers={"Range": f"bytes={asked}"}) as answer:
                assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes {first}-{last}/{size}")
                assert (await answer.read(), answer.content_length) == (data[first : last + 1], last - first + 1)


async def test_a_range_beyond_the_end_tells_the_size(gateway: Any, mixed: Any) -> None:
    command_id, content, _ = mixed
    async with gateway.http.get(path_of(command_id), headers={"Range": f"bytes={len(content)}-"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(content)}")
        assert (await answer.json())["reason"] == "RANGE_BEYOND_END"


async def test_a_part_is_only_added_to_the_same_log(gateway: Any, mixed: Any) -> None:
    command_id, content, _ = mixed
    for mark, status in ((f'"{command_id}-{len(content)}-all"', 206), ('"other"', 200)):
        headers = {"Range": "bytes=5-", "If-Range": mark}
        async with gateway.http.get(path_of(command_id), headers=headers) as answer:
            assert (answer.status, await answer.read()) == (status, content[5:] if status == 206 else content)


async def test_a_running_log_is_what_is_there_now_and_its_rest_comes_later(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"begin ")
    async with gateway.http.get(path_of(command_id)) as answer:
        assert (await answer.read(), answer.headers.get("ETag")) == (b"begin ", None)
    log.write(b"middle ")
    async with gateway.http.get(path_of(command_id), headers={"Range": "bytes=6-"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (206, "bytes 6-12/*")
        assert await answer.read() == b"middle "
    async with gateway.http.get(path_of(command_id), headers={"Range": "bytes=13-"}) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */13")
    async with gateway.http.get(path_of(command_id, "?stream=stdout"), headers={"Range": "bytes=6-"}) as answer:
        assert (answer.status, answer.headers["Accept-Ranges"]) == (200, "none")
        assert await answer.read() == b"begin middle "
    log.write(b"end")
    log.finish()
    async with gateway.http.get(path_of(command_id, "?offset=13")) as answer:
        assert (await answer.read(), answer.content_length) == (b"end", 3)


async def test_a_log_with_a_gap_is_never_taken_for_one_without(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"kept")
    log.gap(100, "size_limit")
    log.write(b"tail")
    log.finish()
    async with gateway.http.get(path_of(command_id)) as answer:
        assert (await answer.read(), answer.content_length) == (b"kepttail", None)
    async with gateway.http.get(path_of(command_id), headers={"Range": "bytes=0-3"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"kept")
    async with gateway.http.get(path_of(command_id), headers={"Range": "bytes=2-"}) as answer:
        assert answer.status == 206
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    problem = await gateway.problem("GET", path_of(command_id), headers={"Range": "bytes=4-"})
    assert (problem["status"], problem["reason"]) == (416, "RANGE_IN_GAP")
    assert problem["fields"] == {"from": "4", "to": "104"}
    async with gateway.http.get(path_of(command_id), headers={"Range": "bytes=104-"}) as answer:
        assert await answer.read() == b"tail"


async def test_a_log_that_is_purged_while_it_is_read_breaks_off(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"kept")
    log.gap(100, "retention")
    log.finish()
    async with gateway.http.get(path_of(command_id)) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-"}])
async def test_an_upstream_that_breaks_for_good_breaks_the_file(gateway: Any, backend: Any, headers: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"a" * 1000)
    log.write(b"b" * 1000)
    log.finish()
    log.fail(Internal("BROKEN", "x"), at=1000)
    async with gateway.http.get(path_of(command_id), headers=headers) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_an_upstream_that_stays_away_breaks_the_file(start_gateway: Any, backend: Any) -> None:
    async with start_gateway(stream_heal_s=0.3) as gateway:
        command_id, log = backend.new_log()
        log.write(b"a" * 1000)
        log.write(b"b" * 1000)
        log.fail(Unavailable("DATABASE_UNAVAILABLE", "gone"), at=1000)
        log.always_fails = True
        async with gateway.http.get(path_of(command_id)) as answer:
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()


async def test_an_upstream_that_heals_or_ends_early_is_gone_on_with(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    content = [secrets.token_bytes(1000) for _ in range(5)]
    for piece in content:
        log.write(piece)
    log.end_early(at=2000)
    async with gateway.http.get(path_of(command_id)) as answer:
        assert await answer.read() == b"".join(content)
    assert [offset for offset, _ in log.asked] == [0, 2000]
    log.fail(Unavailable("DATABASE_UNAVAILABLE", "gone"), at=3000)
    async with gateway.http.get(path_of(command_id), headers={"Range": "bytes=1500-4499"}) as answer:
        assert await answer.read() == b"".join(content)[1500:4500]
    assert [offset for offset, _ in log.asked[2:]] == [1500, 3000]


async def test_a_purged_log_is_gone(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.write(b"x")
    log.finish()
    log.purged = True
    problem = await gateway.problem("GET", path_of(command_id))
    assert (problem["status"], problem["reason"]) == (410, "LOG_PURGED")
    deployment_id, log = backend.new_log()
    log.gap(100, "retention")
    log.finish()
    problem = await gateway.problem("GET", path_of(deployment_id, noun="deployments"))
    assert (problem["status"], problem["reason"]) == (410, "LOG_PURGED")


async def test_the_log_of_a_deployment_is_a_file_too(gateway: Any, backend: Any) -> None:
    deployment_id, log = backend.new_log()
    log.write(b"one\ntwo\n")
    log.finish()
    path = path_of(deployment_id, noun="deployments")
    async with gateway.http.get(path, headers={"Range": "bytes=4-"}) as answer:
        assert (answer.status, await answer.read()) == (206, b"two\n")
    async with gateway.http.get(path + "?stream=stdout", headers={"Range": "bytes=4-"}) as answer:
        assert (answer.status, await answer.read()) == (200, b"one\ntwo\n")


async def test_an_empty_log_is_an_empty_file(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_log()
    log.finish()
    async with gateway.http.get(path_of(command_id)) as answer:
        assert (answer.status, await answer.read(), answer.content_length) == (200, b"", 0)
    assert (await gateway.problem("GET", path_of(command_id), headers={"Range": "bytes=0-"}))["status"] == 416


async def test_a_gibibyte_passes_with_flat_memory_and_its_end_is_had_at_once(gateway: Any, backend: Any) -> None:
    command_id, log = backend.new_big_log(1024 * MB)
    base = gateway.rss_bytes()
    seen, expected = hashlib.sha256(), hashlib.sha256()
    async with gateway.http.get(path_of(command_id)) as answer:
        assert answer.content_length == 1024 * MB
        async for piece in answer.content.iter_any():
            seen.update(piece)
    for _ in range(log.size // len(log.block)):
        expected.update(log.block)
    assert seen.hexdigest() == expected.hexdigest()
    assert gateway.rss_bytes() - base < 32 * MB
    given = log.given_bytes
    async with gateway.http.get(path_of(command_id), headers={"Range": "bytes=-100"}) as answer:
        assert await answer.read() == log.block[-100:]
    assert log.given_bytes - given < MB
