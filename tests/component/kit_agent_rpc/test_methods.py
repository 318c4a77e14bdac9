"""The methods of deployments, and two pins, against the agent that we ship."""

import io
import json
import sys
import tarfile
from dataclasses import replace

import pytest

from myx_kit.agent_rpc import methods
from myx_kit.agent_rpc.errors import AgentCallError, Cause
from myx_kit.agent_rpc.methods import NewCredentials, Play
from myx_kit.agent_rpc.uploads import upload
from myx_kit.agent_rpc.wire import LogEvent, LogFinal
from myx_kit.tls import make_agent_certificate

# Keeps to the contract of run_play.py: one document on stdin, events in the file that it names.
STAND_IN = r"""
import json, sys
document = json.load(sys.stdin)
with open(document["events_path"], "a") as events:
    for seq in range(1, 4):
        events.write(json.dumps({"seq": seq, "type": "task_result", "task": "a\u0000b"}) + "\n")
    events.write(json.dumps({"seq": 4, "type": "recap", "hosts": {"localhost": {"ok": 3}}}) + "\n")
print(json.dumps(document["extra_vars"]))
"""


@pytest.fixture
async def target(client, real_agent, tmp_path):
    """An agent with a stand-in of tool and Ansible."""
    (real_agent.folder / "ansible/1/bin").mkdir(parents=True)
    (real_agent.folder / "ansible/1/bin/python").symlink_to(sys.executable)
    (real_agent.folder / "ansible/current").symlink_to("1")
    members = {"VERSION": "1", "scripts/run_play.py": STAND_IN, "playbooks/site.yml": "- x"}
    with tarfile.open(tmp_path / "tool.tgz", "w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    await upload(client, real_agent.target, "deployment-tool", "myx", tmp_path / "tool.tgz", extract=True)
    return real_agent.target


async def test_a_play_is_started_and_followed(client, target):
    play = Play("site.yml", extra_vars={"a": 1}, secret_vars={"b": "hunter2"}, tags=("x",), timeout_s=60)
    started = await methods.execute_ansible(client, target, "play", play)
    async with client.open_log(target, "play", 0) as stream:
        items = [item async for item in stream]

    assert started["existing"] is False
    events = [item for item in items if isinstance(item, LogEvent)]
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert events[0].event["task"] == "ab"
    assert isinstance(items[-1], LogFinal)
    assert items[-1].result["recap"] == {"localhost": {"ok": 3}}
    assert "hunter2" not in repr(play)


async def test_events_are_gone_on_with_by_number(client, target):
    await methods.execute_ansible(client, target, "play", Play("site.yml"))
    async with client.open_log(target, "play", 0, seq=3) as stream:
        later = [item.seq async for item in stream if isinstance(item, LogEvent)]
    events, is_final = await methods.get_playbook_events(client, target, "play", 2, wait_s=5)

    assert later == [4]
    assert ([event.seq for event in events], is_final) == ([3, 4], True)


async def test_another_tool_is_told_by_its_reason(client, target):
    with pytest.raises(AgentCallError) as caught:
        await methods.execute_ansible(client, target, "play", Play("site.yml", tool_digest="0" * 64))

    assert (caught.value.rpc_error.code, caught.value.rpc_error.reason) == (-32006, "TOOL_MISMATCH")


async def test_only_what_is_not_by_default_is_sent():
    assert Play("site.yml").params("c") == {"playbook": "site.yml", "command_id": "c"}


async def test_credentials_are_rotated_under_two_pins(client, real_agent):
    certificate, key, digest = make_agent_certificate("agent")
    new = NewCredentials("r1", "the-new-agent-token", "the-new-secret-key", certificate, key)
    both = replace(real_agent.target, next_certificate_sha256=digest)
    answer = await methods.rotate_credentials(client, both, new)
    fresh = replace(both, agent_token=new.agent_token, secret_key=new.secret_key)
    await client.call(both, "heartbeat", {})
    await methods.finish_rotation(client, fresh, "r1")

    assert answer["certificate_sha256"] == digest
    await client.call(replace(fresh, certificate_sha256=digest, next_certificate_sha256=""), "heartbeat", {})
    with pytest.raises(AgentCallError) as caught:
        await client.call(replace(fresh, next_certificate_sha256=""), "heartbeat", {})
    assert caught.value.cause is Cause.PIN_MISMATCH
    assert not any(secret in repr(new) for secret in (new.agent_token, new.secret_key, key))


async def test_an_upgrade_is_asked_about_and_confirmed(client, real_agent):
    (real_agent.folder / "upgrade").mkdir()
    (real_agent.folder / "upgrade/u.json").write_text(json.dumps({"upgrade_id": "u", "state": "confirmed"}))

    assert (await methods.get_upgrade(client, real_agent.target, "u"))["state"] == "confirmed"
    assert (await methods.confirm_upgrade(client, real_agent.target, "u"))["state"] == "confirmed"


class TestTwoPins:
    @pytest.mark.parametrize("order", [0, 1])
    async def test_either_certificate_is_taken(self, client, agent, certificates, order):
        digests = ["00" * 32, certificates[0].sha256]
        digests = digests[::-1] if order else digests
        target = agent.target(certificate_sha256=digests[0], next_certificate_sha256=digests[1])

        assert await client.call(target, "heartbeat", {}) == {}
        assert await client.call(target, "heartbeat", {}) == {}
        assert agent.connections == 1

    async def test_a_third_one_is_not_and_no_byte_is_sent(self, client, agent):
        target = agent.target(certificate_sha256="00" * 32, next_certificate_sha256="11" * 32)
        with pytest.raises(AgentCallError) as caught:
            await client.call(target, "heartbeat", {})

        assert (caught.value.cause, agent.received_bytes) == (Cause.PIN_MISMATCH, 0)
