"""The bench's simulated agents: log streams as the real agent's, one execution per id, misbehaviour on demand."""

import uuid

import pytest
import uvloop

from bench.simulator.fleet import SimulatedFleet
from bench.simulator.scripts import STDERR, STDOUT, Exit, Lines, Sleep, Write, play
from myx_kit.agent_rpc.client import AgentClient, AgentTarget
from myx_kit.agent_rpc.errors import AgentCallError, Cause
from myx_kit.agent_rpc.wire import LogFinal, LogFrame


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def fleet():
    with SimulatedFleet(3, 2, first_port=9_000) as fleet:
        yield fleet


@pytest.fixture
async def client():
    async with AgentClient(timeout_s=5) as client:
        yield client


def target(fleet: SimulatedFleet, number: int = 0) -> AgentTarget:
    one = fleet.file.agents[number]
    return AgentTarget(
        agent_id=one.name,
        address=one.address,
        rpc_port=one.rpc_port,
        rpc_path=one.rpc_path,
        agent_token=one.agent_token,
        secret_key=one.secret_key,
        certificate_sha256=fleet.file.certificate_sha256,
    )


async def start(client: AgentClient, where: AgentTarget, line: str, **more) -> str:
    command_id = str(uuid.uuid4())
    params = {"command": "sh", "args": ["-c", line], "command_id": command_id, **more}
    await client.call(where, "execute_command", params)
    return command_id


async def read(client: AgentClient, where: AgentTarget, command_id: str, offset: int = 0):
    async with client.open_log(where, command_id, offset) as stream:
        return [item async for item in stream]


async def test_a_log_is_streamed_from_any_offset_to_its_final_record(fleet, client):
    command_id = await start(client, target(fleet), "echo out; sleep 0.05; echo bad >&2; exit 3")

    whole = await read(client, target(fleet), command_id)
    rest = await read(client, target(fleet), command_id, offset=2)

    assert whole[:-1] == [LogFrame(1, 0, b"out\n"), LogFrame(2, 4, b"bad\n")]
    assert rest[:-1] == [LogFrame(1, 2, b"t\n"), LogFrame(2, 4, b"bad\n")]
    assert isinstance(whole[-1], LogFinal)
    assert (whole[-1].offset, whole[-1].result["return_code"]) == (8, 3)
    assert whole[-1].result["stderr"]["bytes"] == 4


@pytest.mark.parametrize(("of_another", "code"), [(True, -32002), (False, -32003)])
async def test_a_stream_that_cannot_be_is_refused_as_by_the_agent(fleet, client, of_another, code):
    command_id = await start(client, target(fleet), "true")
    with pytest.raises(AgentCallError) as caught:
        await read(client, target(fleet), "other" if of_another else command_id, offset=9)
    assert caught.value.rpc_error.code == code


async def test_lines_come_at_their_rate_and_a_limit_ends_them(fleet, client):
    command_id = await start(client, target(fleet), "print 100 60", timeout=0.3)
    *frames, final = await read(client, target(fleet), command_id)
    assert final.result["reason"] == "timeout"
    lines = b"".join(frame.data for frame in frames).splitlines()
    assert [int(line.split()[2]) for line in lines] == list(range(len(lines)))
    assert lines


async def test_what_is_sent_twice_runs_once_and_is_counted(fleet, client):
    before, _ = fleet.executions()
    params = {"command": "true", "command_id": str(uuid.uuid4())}
    answers = [await client.call(target(fleet, 2), "execute_command", params) for _ in range(2)]
    assert [answer["existing"] for answer in answers] == [False, True]
    assert fleet.executions() == (before + 1, [])


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"dead": True}, Cause.REFUSED),
        ({"frozen": True}, Cause.HUNG),
        ({"mute": True}, Cause.HUNG),
        ({"slow_s": 30}, Cause.HUNG),
        ({"wrong_certificate": True}, Cause.PIN_MISMATCH),
        ({"wrong_path": True}, Cause.WRONG_PATH),
        ({"wrong_token": True}, Cause.UNAUTHORIZED),
        ({"skew_s": 1000}, Cause.CLOCK_SKEW),
        ({"status": 503}, Cause.SERVER_ERROR),
        ({"drop_replies": 1.0}, Cause.CONNECTION_LOST),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, dict) else "",
)
async def test_each_misbehaviour_is_the_cause_that_the_client_names(fleet, client, changes, cause):
    name = fleet.file.agents[1].name
    await client.call(target(fleet, 1), "health_check", {})
    assert fleet.behave([name], **changes) == 1
    with pytest.raises(AgentCallError) as caught:
        await client.call(target(fleet, 1), "health_check", {}, retry=False, timeout_s=1)
    assert caught.value.cause is cause
    fleet.behave([name], **{changed: type(value)() for changed, value in changes.items()})
    assert (await client.call(target(fleet, 1), "health_check", {}))["status"] == "ok"


async def test_another_machine_and_a_reboot_show_in_the_status(fleet, client):
    name = fleet.file.agents[1].name
    before = await client.call(target(fleet, 1), "get_status", {})
    command_id = await start(client, target(fleet, 1), "sleep 60")
    fleet.behave([name], machine_id="another")
    fleet.reboot([name])

    after = await client.call(target(fleet, 1), "get_status", {})

    assert after["machine_id"] == "another"
    assert after["boot_id"] != before["boot_id"]
    (final,) = await read(client, target(fleet, 1), command_id)
    assert final.result["reason"] == "lost"


def test_a_behaviour_that_is_none_is_refused(fleet):
    with pytest.raises(ValueError, match="deaf"):
        fleet.behave("all", deaf=True)


@pytest.mark.parametrize(
    ("argv", "steps"),
    [
        (["/bin/true"], [Exit(0)]),
        (["false"], [Exit(1)]),
        (["sleep", "2"], [Sleep(2.0), Exit(0)]),
        (["print", "10", "3"], [Lines(10.0, 3.0, 0), Exit(0)]),
        (["sh", "-c", "echo a b; echo c >&2 && exit 4"], [Write(STDOUT, b"a b\n"), Write(STDERR, b"c\n"), Exit(4)]),
        (["sh", "-c", "true; sleep 1"], [Sleep(1.0), Exit(0)]),
        (["sleep", "soon"], [Exit(127, found=False)]),
        (["/no/such"], [Exit(127, found=False)]),
    ],
)
def test_command_lines_are_played_so(argv, steps):
    assert play(argv) == steps
