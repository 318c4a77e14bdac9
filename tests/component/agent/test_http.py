"""The door: paths, tokens, sizes, signatures; nothing is told to strangers."""

import asyncio
import hashlib
import hmac
import json
import os
import socket
import ssl
import time

import aiohttp
import psutil
import pytest

HEALTH = b'{"jsonrpc":"2.0","id":1,"method":"health_check"}'


async def raw(call, request, *, expect_close=False):
    """Send bytes over TLS; the status line and headers, lower case, and the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", call.agent.rpc_port, ssl=call.tls, server_hostname="x")
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    body = await reader.readexactly(length)
    if expect_close:
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    return head.decode().lower(), body


def request(method, path, body=b"", **headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def sign(agent, body, *, method="POST", target=None, at=None, nonce=None, key=None):
    at = int(time.time()) if at is None else at
    nonce = os.urandom(16).hex() if nonce is None else nonce
    target = f"/{agent.rpc_path}/rpc" if target is None else target
    text = f"{method}\n{target}\n{at}\n{nonce}\n{hashlib.sha256(body).hexdigest()}"
    mac = hmac.new((key or agent.secret_key).encode(), text.encode(), "sha256").hexdigest()
    return f"v1;t={at};n={nonce};s={mac}"


BARE_404 = "http/1.1 404 not found\r\ncontent-length: 0\r\n\r\n"
BARE_401 = "http/1.1 401 unauthorized\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/"),
        ("POST", "/rpc"),
        ("POST", "/wrongwrongwrong1/rpc"),
        ("POST", "/{p}"),
        ("POST", "/{p}/"),
        ("POST", "/{p}/rpc/"),
        ("POST", "/{p}/RPC"),
        ("POST", "//{p}/rpc"),
        ("POST", "/{p}/rpc%00"),
        ("GET", "/{p}/rpc"),
        ("PUT", "/{p}/rpc"),
        ("OPTIONS", "/{p}/rpc"),
        ("DELETE", "/{p}/rpc"),
        ("GET", "/{p}/commands/x/log"),
        ("GET", "/docs"),
        ("GET", "/../{p}/rpc"),
    ],
)
async def test_anything_but_the_path_is_the_same_bare_404(call, shared_agent, method, path):
    token = {"X_Agent_Token": shared_agent.agent_token}
    head, body = await raw(call, request(method, path.format(p=shared_agent.rpc_path), HEALTH, **token))

    assert (head, body) == (BARE_404, b"")


async def test_an_upgrade_elsewhere_is_the_same_404(call):
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "x"}
    head, _body = await raw(call, request("GET", "/x/commands/y/log", **upgrade))

    assert head == BARE_404


@pytest.mark.parametrize("token", [None, "", "wrong", "é", "x" * 5000])
async def test_a_wrong_token_is_a_bare_401_for_rpc_and_log(call, shared_agent, token):
    headers = {} if token is None else {"X_Agent_Token": token}
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
    path = f"/{shared_agent.rpc_path}"
    rpc = await raw(call, request("POST", f"{path}/rpc", HEALTH, **headers))
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    log, _body = await raw(call, request("GET", f"{path}/commands/x/log", **headers, **upgrade, **key))

    assert rpc == (BARE_401, b"")
    assert log.startswith("http/1.1 401 unauthorized\r\n")
    assert "server" not in log


async def test_an_answer_tells_no_server_and_no_date(call, shared_agent):
    path = f"/{shared_agent.rpc_path}/rpc"
    head, _body = await raw(call, request("POST", path, HEALTH, X_Agent_Token=shared_agent.agent_token))

    assert {line.split(":")[0] for line in head.split("\r\n")[1:-2]} == {"content-length", "content-type"}


async def test_what_is_no_http_is_a_bare_400(call):
    head, _body = await raw(call, b"\x00\x01nonsense\r\n\r\n", expect_close=True)

    assert head == "http/1.1 400 bad request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


async def test_plain_http_gets_nothing(call, shared_agent):
    with socket.create_connection(("127.0.0.1", shared_agent.rpc_port), timeout=5) as connection:
        connection.sendall(request("POST", "/", HEALTH))
        assert connection.recv(100) in {b"", connection.recv(0)}


async def test_old_tls_is_refused(call, shared_agent):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        await asyncio.open_connection("127.0.0.1", shared_agent.rpc_port, ssl=context, server_hostname="x")


async def test_a_body_over_the_limit_is_413_after_the_token_only(own_agent, tools):
    own_agent.configuration["max_body_bytes"] = 1000
    own_agent.start()
    async with tools.calling(own_agent) as own:
        path = f"/{own_agent.rpc_path}/rpc"
        token = {"X_Agent_Token": own_agent.agent_token}
        exact = HEALTH + b" " * (1000 - len(HEALTH))
        fits, _body = await raw(own, request("POST", path, exact, **token))
        large, _body = await raw(own, request("POST", path, exact + b" ", **token))
        stranger, _body = await raw(own, request("POST", path, b" " * 5000))
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        chunked = f"{head}X-Agent-Token: {own_agent.agent_token}\r\n\r\n"
        piece = b"%x\r\n%s\r\n" % (600, b" " * 600)
        by_pieces, _body = await raw(own, chunked.encode() + piece * 2 + b"0\r\n\r\n")

        assert fits.startswith("http/1.1 200")
        assert (
            large == "http/1.1 413 content too large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            or large.startswith("http/1.1 413")
        )
        assert by_pieces.startswith("http/1.1 413")
        assert stranger.startswith("http/1.1 401")


async def test_repeated_failures_are_slowed_down_and_the_right_token_is_not(own):
    took = []
    for _ in range(8):
        began = time.monotonic()
        status, _body = await own.post(HEALTH, **{"X-Agent-Token": "wrong"})
        took.append(time.monotonic() - began)
        assert status == 401
    began = time.monotonic()
    status, _body = await own.post(HEALTH)

    assert status == 200
    assert time.monotonic() - began < took[-1]
    assert took[5] >= 0.2
    assert took[6] >= 0.4
    assert took[7] >= 0.8
    assert max(took[:5]) < 0.2


class TestSignatures:
    @pytest.fixture
    async def signing(self, own_agent, tools):
        own_agent.configuration |= {"require_signature": True, "refusal_delay_s": 0}
        own_agent.start()
        async with tools.calling(own_agent) as caller:
            yield caller

    async def test_a_signed_request_is_answered_once(self, signing, own_agent):
        signature = sign(own_agent, HEALTH)
        first = await signing.post(HEALTH, **{"X-Agent-Signature": signature})
        again = await signing.post(HEALTH, **{"X-Agent-Signature": signature})
        own_agent.kill9()
        own_agent.restart()
        later = await signing.post(HEALTH, **{"X-Agent-Signature": signature})

        assert first[0] == 200
        assert again == later == (401, b"")

    async def test_what_is_unsigned_altered_or_for_another_is_401(self, signing, own_agent):
        other_body = HEALTH.replace(b"1", b"2")
        now = int(time.time())
        for signature in (
            "",
            "v1",
            "v1;t=1;n=2;s=3",
            sign(own_agent, other_body),
            sign(own_agent, HEALTH, method="GET"),
            sign(own_agent, HEALTH, target="/otherotherother/rpc"),
            sign(own_agent, HEALTH, target=f"/{own_agent.rpc_path}/rpc?x=1"),
            sign(own_agent, HEALTH, key="x" * 32),
            sign(own_agent, HEALTH, at=now).replace(f"t={now}", f"t={now + 1}"),
            sign(own_agent, HEALTH).replace("v1;", "v2;"),
            sign(own_agent, HEALTH, at=now - 10_000, key="x" * 32),
        ):
            assert await signing.post(HEALTH, **{"X-Agent-Signature": signature}) == (401, b""), signature
        assert await signing.post(HEALTH) == (401, b"")

    @pytest.mark.parametrize("seconds", [-310, 310])
    async def test_a_skewed_clock_is_told_to_who_has_token_and_key(self, signing, own_agent, seconds):
        signature = sign(own_agent, HEALTH, at=int(time.time()) + seconds)
        status, body = await signing.post(HEALTH, **{"X-Agent-Signature": signature})
        stranger = await signing.post(HEALTH, **{"X-Agent-Signature": signature, "X-Agent-Token": "wrong"})

        assert (status, json.loads(body)["error"]) == (401, "clock_skew")
        assert abs(json.loads(body)["time"] - time.time()) < 10
        assert stranger == (401, b"")

    async def test_a_clock_within_the_tolerance_is_right(self, signing, own_agent):
        for seconds in (-290, 290):
            signature = sign(own_agent, HEALTH, at=int(time.time()) + seconds)
            assert (await signing.post(HEALTH, **{"X-Agent-Signature": signature}))[0] == 200

    async def test_the_log_stream_is_signed_with_its_query(self, signing, own_agent):
        path = f"/{own_agent.rpc_path}/commands/any/log?offset=0"
        token = {"X-Agent-Token": own_agent.agent_token}
        for target, status in ((path, 101), (path.replace("0", "1"), 401)):
            signature = sign(own_agent, b"", method="GET", target=target)
            headers = {**token, "X-Agent-Signature": signature}
            url = f"https://127.0.0.1:{own_agent.rpc_port}{path}"
            try:
                async with signing.session.ws_connect(url, headers=headers, ssl=signing.tls) as websocket:
                    got = 101
                    assert (await websocket.receive_json())["error"]["code"] == -32002
            except aiohttp.WSServerHandshakeError as error:
                got = error.status
            assert got == status

    async def test_a_signature_is_checked_even_where_none_is_required(self, call, shared_agent):
        good = await call.post(HEALTH, **{"X-Agent-Signature": sign(shared_agent, HEALTH)})
        bad = await call.post(HEALTH, **{"X-Agent-Signature": sign(shared_agent, b"")})

        assert (good[0], bad) == (200, (401, b""))


async def test_nothing_secret_is_written_or_shown(own, own_agent):
    await own.run("true", secret_env={"PW": "hunter2-hunter2"})
    await own.post(b"{", **{"X-Agent-Token": "wrong"})
    lines = [" ".join(psutil.Process(pid).cmdline()) for pid in (own_agent.program.pid, own.supervisor.pid)]
    lines.append(own_agent.program.output())
    files = [path for path in own_agent.spool.rglob("*") if path.is_file()]
    lines += [path.read_bytes().decode(errors="replace") for path in files]
    for secret in (own_agent.agent_token, own_agent.secret_key, own_agent.rpc_path, "hunter2-hunter2"):
        assert not any(secret in line for line in lines)
