"""The agent holds to the golden files."""

import http.client
import json
import socket
import ssl
import uuid
from pathlib import Path

import aiohttp

from myx_agent.auth import Authenticator, Nonces, Verdict
from myx_agent.config import Config
from myx_testkit.wait import until


def insecure():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def post(agent, document):
    body = document if isinstance(document, str) else json.dumps(document)
    connection = http.client.HTTPSConnection("127.0.0.1", agent.rpc_port, timeout=40, context=insecure())
    headers = {"X-Agent-Token": agent.agent_token, "Content-Type": "application/json"}
    connection.request("POST", f"/{agent.rpc_path}/rpc", body.encode(), headers)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    return response.status, json.loads(answer) if answer else None


def test_requests_are_answered_so(agent, exchange, fits):
    for step in exchange["steps"]:
        status, answer = post(agent, step["request"])
        assert status == step["status"]
        fits(answer, step["answer"])


async def test_streams_look_so(agent, stream_case, fits):
    command_id = str(uuid.uuid4())
    if stream_case["command"] is not None:
        program, *args = stream_case["command"]
        params = {"command": program, "args": args, "command_id": command_id}
        post(agent, {"jsonrpc": "2.0", "id": 1, "method": "execute_command", "params": params})
        wait = {"command_id": command_id, "wait": 30, "until": "final"}
        post(agent, {"jsonrpc": "2.0", "id": 1, "method": "get_command_log", "params": wait})
    url = (
        f"https://127.0.0.1:{agent.rpc_port}/{agent.rpc_path}/commands/{command_id}/log?offset={stream_case['offset']}"
    )
    headers = {"X-Agent-Token": agent.agent_token}
    sockets = []

    def open_socket(info):
        sockets.append(socket.socket(*info[:3]))
        return sockets[-1]

    connector = aiohttp.TCPConnector(ssl=insecure(), socket_factory=open_socket)
    frames = list(stream_case["frames"])
    async with aiohttp.ClientSession(connector=connector) as session, session.ws_connect(url, headers=headers) as ws:
        async for message in ws:
            expected = frames.pop(0)
            if message.type is aiohttp.WSMsgType.BINARY:
                assert message.data.hex() == expected["binary"]
            else:
                fits(json.loads(message.data), expected["text"])
        assert (ws.close_code, frames) == (stream_case["close"], [])
    await until(lambda: all(one.fileno() < 0 for one in sockets), 5)  # aiohttp closes behind our back


def test_signatures_are_judged_so(tmp_path: Path, verifying):
    config = Config(
        agent_token="t" * 32, secret_key="0123456789abcdefghijklmnopqrstuv", rpc_port=1, rpc_path="a3f8b9c2d1e4f607"
    )
    nonces = Nonces(tmp_path / "nonces", 600)
    nonces.load(verifying["now"])
    authenticator = Authenticator(config, nonces, lambda: verifying["now"])

    def check():
        body = verifying["body"].encode()
        return authenticator.check_signature(verifying["header"], verifying["method"], verifying["target"], body)

    if verifying["verdict"] == "replay":
        assert check() is Verdict.OK
        assert check() is Verdict.DENIED
    else:
        assert check() is Verdict(verifying["verdict"])
    nonces.close()
