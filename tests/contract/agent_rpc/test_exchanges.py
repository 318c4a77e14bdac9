"""Golden JSON-RPC exchanges: what the agent answers, and what the client sends and makes of it.

The bench's simulated agent is held to those that it plays.

In an expected document "..." stands for anything, an object for any object that has these members too, and `{id}` for
one fresh command id per exchange.
"""

import asyncio
import json
import ssl
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest
import uvloop
from aiohttp import web

from bench.simulator.fleet import SimulatedFleet
from myx_kit.agent_rpc.client import AgentClient, AgentTarget, _headers
from myx_kit.agent_rpc.errors import JsonRpcError
from myx_kit.ids import new_id
from myx_kit.tls import make_agent_certificate

EXCHANGES = Path(__file__).parent / "exchanges"
METHODS = ("commands.json", "files.json", "plays.json", "identity.json")


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


def load(*names: str) -> list[dict]:
    return [one for name in names for one in json.loads((EXCHANGES / name).read_text(encoding="utf-8"))]


def with_fresh_id(exchange: dict) -> dict:
    return json.loads(json.dumps(exchange).replace("{id}", str(new_id())))


def matches(expected: object, actual: object) -> bool:
    if expected == "...":
        return True
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(
            name in actual and matches(value, actual[name]) for name, value in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(matches(one, other) for one, other in zip(expected, actual, strict=True))
        )
    return type(expected) is type(actual) and expected == actual


async def post(agent, body: bytes) -> bytes:
    """The agent's answer to a body, whatever it is; signed, but otherwise without the client."""
    path = f"/{agent.rpc_path}/rpc"
    pin = aiohttp.Fingerprint(bytes.fromhex(agent.certificate_sha256))
    url = f"https://{agent.address}:{agent.rpc_port}{path}"
    async with aiohttp.ClientSession() as session:
        headers = _headers(agent.target, "POST", path, body)
        async with session.post(url, data=body, headers=headers, ssl=pin) as response:
            assert response.status in (200, 204)
            return await response.read()


@pytest.fixture(scope="module")
def simulated_agent():
    with SimulatedFleet(1) as fleet:
        identity = fleet.file.agents[0]
        digest = fleet.file.certificate_sha256
        target = AgentTarget(
            agent_id=identity.name,
            address=identity.address,
            rpc_port=identity.rpc_port,
            rpc_path=identity.rpc_path,
            agent_token=identity.agent_token,
            secret_key=identity.secret_key,
            certificate_sha256=digest,
        )
        yield SimpleNamespace(
            address=target.address,
            rpc_port=target.rpc_port,
            rpc_path=target.rpc_path,
            certificate_sha256=digest,
            target=target,
        )


@pytest.fixture
def agent(request):
    return request.getfixturevalue(request.param)


def answered_by(**files: tuple[str, ...]) -> pytest.MarkDecorator:
    """Each exchange of the files with each agent that is to know it."""
    pairs = [(agent, one) for agent, names in files.items() for one in load(*names)]
    names = [f"{agent.partition('_')[0]}-{one['name']}" for agent, one in pairs]
    return pytest.mark.parametrize(("agent", "exchange"), pairs, indirect=["agent"], ids=names)


@answered_by(module_agent=("jsonrpc.json",), simulated_agent=("jsonrpc.json",))
async def test_the_agent_keeps_to_json_rpc(agent, exchange):
    answer = await post(agent, exchange["request"].encode())

    if exchange["answer"] is None:
        assert answer == b""
    else:
        assert matches(exchange["answer"], json.loads(answer)), answer


@answered_by(module_agent=METHODS, simulated_agent=("commands.json",))
async def test_the_agent_answers_as_agreed(agent, exchange):
    for number, step in enumerate(with_fresh_id(exchange)["steps"]):
        call = {"jsonrpc": "2.0", "id": number, "method": step["method"], "params": step["params"]}

        answer = json.loads(await post(agent, json.dumps(call).encode()))

        expected = {key: step[key] for key in ("result", "error") if key in step}
        assert matches({"jsonrpc": "2.0", "id": number, **expected}, answer), (step, answer)


@pytest.fixture
async def scripted_agent(tmp_path):
    """A server that gives one answer after the other, and keeps what it was asked."""
    certificate, key, digest = make_agent_certificate("agent")
    (tmp_path / "agent.pem").write_text(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "agent.pem")
    answers: asyncio.Queue[dict] = asyncio.Queue()
    asked: list[dict] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response(answers.get_nowait())

    application = web.Application()
    application.router.add_post("/{path}/rpc", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    target = AgentTarget("agent", "127.0.0.1", runner.addresses[0][1], "p" * 16, "t" * 16, "k" * 16, digest)
    yield target, answers, asked
    await runner.cleanup()


@pytest.mark.parametrize("exchange", load(*METHODS), ids=lambda one: one["name"])
async def test_the_client_asks_and_understands_as_agreed(scripted_agent, exchange):
    target, answers, asked = scripted_agent
    async with AgentClient(timeout_s=5) as client:
        for step in with_fresh_id(exchange)["steps"]:
            outcome = {"error": {"message": "m", **step["error"]}} if "error" in step else {"result": step["result"]}
            answers.put_nowait({"jsonrpc": "2.0", "id": 0, **outcome})

            (item,) = await client.batch(target, [(step["method"], step["params"])])

            assert asked[-1] == {"jsonrpc": "2.0", "id": 0, "method": step["method"], "params": step["params"]}
            if "error" in step:
                assert isinstance(item, JsonRpcError)
                assert (item.code, dict(item.data)) == (step["error"]["code"], step["error"]["data"])
            else:
                assert item == step["result"]
