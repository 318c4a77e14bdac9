"""execute_ansible: a supervised command with progress beside its log. A stand-in takes the place of run_play.py.

It keeps to the same contract: one document on stdin, events in the file that the document names, exit codes.
"""

import asyncio
import contextlib
import io
import json
import sys
import tarfile
from hashlib import sha256
from pathlib import Path

import aiohttp
import psutil
import pytest

from myx_testkit.wait import until

STAND_IN = r"""
import json, os, pathlib, signal, sys, time
document = json.load(sys.stdin)
events = open(document["events_path"], "a")
count = 0
def tell(**event):
    global count
    count += 1
    events.write(json.dumps({"seq": count, "at": "2026-01-01T00:00:00Z", **event}) + "\n")
    events.flush()
def end(*_args):
    print("asked to end", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
given = document["extra_vars"]
print("document", json.dumps(document, sort_keys=True), flush=True)
print("found", json.dumps(sorted(os.environ)), flush=True)
print("argv", json.dumps(sys.argv[1:]), flush=True)
tell(type="play_started", play=document["playbook"])
for number in range(given.get("tasks", 1)):
    padding = "x" * given.get("padding", 0)
    tell(type="task_result", play="p", task=f"task {number}", host="localhost", status="ok", padding=padding)
    print("task", number, flush=True)
    wait_for = given.get("wait_for")
    while wait_for and not os.path.exists(wait_for + str(number)):
        time.sleep(0.01)
counts = dict(ok=1, changed=0, failed=0, skipped=0, unreachable=0, rescued=0, ignored=0)
tell(type="recap", hosts={"localhost": counts}, duration_s=0.1, rc=given.get("rc", 0))
sys.exit(given.get("rc", 0))
"""
RECAP = {"localhost": {"ok": 1, "changed": 0, "failed": 0, "skipped": 0, "unreachable": 0, "rescued": 0, "ignored": 0}}


def archive(**members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()


def tool(version="1", **more):
    return archive(**{"VERSION": version, "scripts/run_play.py": STAND_IN, "playbooks/site.yml": "- x", **more})


def install_ansible(folder, version="2.99.1"):
    """A stand-in of Ansible's virtual environment: this interpreter by the name that the agent looks for."""
    home = Path(folder) / version
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").symlink_to(sys.executable)
    (home / "lib/python3.11/site-packages" / f"ansible_core-{version}.dist-info").mkdir(parents=True)
    link = Path(folder) / "current"
    link.unlink(missing_ok=True)
    link.symlink_to(version)


class Player:
    """Plays on one agent."""

    def __init__(self, call, tools):
        self.call = call
        self.tools = tools

    async def install(self, data, path="myx"):
        await self.call(
            "put_file", upload_id=sha256(data).hexdigest(), root="deployment-tool", path=path, extract=True, final=True,
            size=len(data), sha256=sha256(data).hexdigest(), data=self.tools.b64(data),
        )  # fmt: skip
        return sha256(data).hexdigest()

    async def play(self, command_id="play", **params):
        return await self.call("execute_ansible", **{"playbook": "site.yml", "command_id": command_id, **params})

    async def refused(self, **params):
        with pytest.raises(self.tools.RpcFailure) as caught:
            await self.play(**params)
        return caught.value

    async def events(self, command_id="play", seq=0, **params):
        return await self.call("get_playbook_events", command_id=command_id, seq=seq, **params)

    async def frames(self, command_id="play", query="offset=0"):
        """Everything that one connection brings: documents, and offsets of binary frames."""
        url = f"{self.call.url}/commands/{command_id}/log?{query}"
        headers = {"X-Agent-Token": self.call.agent.agent_token}
        found = []
        async with self.call.session.ws_connect(url, headers=headers, ssl=self.call.tls) as websocket:
            async for message in websocket:
                binary = message.type is aiohttp.WSMsgType.BINARY
                found.append({"type": "bytes", "data": message.data[9:]} if binary else json.loads(message.data))
        return found


@pytest.fixture
async def player(own, own_agent, tools):
    """An agent with tool and Ansible."""
    install_ansible(own_agent.configuration["ansible_dir"])
    player = Player(own, tools)
    await player.install(tool())
    return player


def said(log, name):
    """What the stand-in printed under a name."""
    line = next(line for line in log.stdout.decode().splitlines() if line.startswith(f"{name} "))
    return json.loads(line.removeprefix(f"{name} "))


class TestRun:
    async def test_a_play_is_a_command_whose_result_has_the_recap(self, player):
        started = await player.play(extra_vars={"tasks": 2})
        log = await player.call.follow("play")

        assert started == {"status": "running", "command_id": "play", "existing": False}
        assert (log.result["success"], log.result["reason"], log.result["recap"]) == (True, "exited", RECAP)
        (entry,) = (await player.call("list_commands"))["commands"]
        assert entry["command"] == "playbook site.yml"

    async def test_what_was_asked_reaches_the_play_by_stdin(self, player, own_agent):
        asked = {
            "extra_vars": {"a": [1, {"b": "{{ x }}"}]},
            "trusted_vars": {"t": 1},
            "check": True,
            "diff": True,
            "tags": ["one"],
            "skip_tags": ["two"],
            "limit": "localhost",
        }
        await player.play(**asked)
        log = await player.call.follow("play")

        document = said(log, "document")
        assert {name: document[name] for name in asked} == asked
        release = (Path(own_agent.configuration["deployment_tool_dir"]) / "myx" / "current").resolve()
        assert (document["project_dir"], document["playbook"]) == (str(release), "site.yml")
        assert document["connection"] == {"type": "local"}
        assert said(log, "argv") == []

    async def test_a_play_that_fails_is_a_command_that_failed_and_has_its_recap(self, player):
        await player.play(extra_vars={"rc": 2})
        result = (await player.call.follow("play")).result

        assert (result["success"], result["return_code"], result["recap"]) == (False, 2, RECAP)

    async def test_a_project_is_run_by_the_shipped_tool(self, player, own_agent):
        members = {"playbooks/mine/site.yml": "- y", "scripts/run_play.py": "raise SystemExit(9)"}
        await player.install(archive(**members), "projects/shop")
        await player.play(project="shop", playbook="mine/site.yml")
        log = await player.call.follow("play")

        assert log.result["return_code"] == 0
        assert "/projects/shop/releases/" in said(log, "document")["project_dir"]

    async def test_time_limits_and_cancel_work_as_for_commands(self, player, own_agent):
        mark = str(own_agent.folder / "never")
        await player.play("slow", extra_vars={"wait_for": mark}, timeout=0.5)
        await player.play("cancelled", extra_vars={"wait_for": mark})
        await until(lambda: b"task 0" in (player.call.folder("cancelled") / "log").read_bytes(), 10)
        await player.call("cancel_command", command_id="cancelled")

        slow, cancelled = await player.call.follow("slow"), await player.call.follow("cancelled")
        assert (slow.result["reason"], cancelled.result["reason"]) == ("timeout", "cancelled")
        assert b"asked to end" in cancelled.stdout
        assert "recap" not in cancelled.result

    async def test_the_running_play_keeps_its_release_whatever_is_put(self, player, own_agent):
        go = own_agent.folder / "go"
        await player.play(extra_vars={"wait_for": str(go)})
        await until(lambda: b"task 0" in (player.call.folder("play") / "log").read_bytes(), 10)
        release = said_release(player.call.folder("play"))
        for number in range(5):
            await player.install(tool(f"{number + 2}"))
        assert Path(release).is_dir()

        Path(f"{go}0").touch()
        assert (await player.call.follow("play")).result["return_code"] == 0
        await player.install(tool("9"))
        assert not Path(release).exists()


def said_release(folder):
    return json.loads((folder / "meta.json").read_bytes())["uses"][0]


BASE = {"extra_vars": {"a": 1}, "secret_vars": {"s": "hunter2-hunter2"}, "tags": ["x"]}


class TestOnce:
    async def test_the_same_play_again_is_the_one_there_is(self, player):
        first = await player.play(**BASE)
        second = await player.play(**BASE)
        log = await player.call.follow("play")
        third = await player.play(**BASE)

        assert (first["existing"], second["existing"], third["existing"]) == (False, True, True)
        assert third["status"] == "finished"
        assert log.stdout.count(b"document") == 1

    async def test_a_repeat_is_known_when_tool_playbook_and_ansible_have_gone(self, player, own_agent):
        digest = await player.install(tool("2", **{"playbooks/old.yml": "- x"}))
        await player.play(playbook="old.yml", tool_digest=digest)
        await player.call.follow("play")
        await player.install(tool("3"))
        (Path(own_agent.configuration["ansible_dir"]) / "current").unlink()

        again = await player.play(playbook="old.yml", tool_digest=digest)
        other = await player.refused(playbook="old.yml", tool_digest=digest, check=True)

        assert (again["existing"], again["status"]) == (True, "finished")
        assert (other.code, other.reason) == (-32001, "COMMAND_CONFLICT")

    @pytest.mark.parametrize(
        "change",
        [
            {"extra_vars": {"a": 2}},
            {"secret_vars": {"s": "hunter3-hunter3"}},
            {"secret_vars": {}},
            {"trusted_vars": {"a": 1}},
            {"tags": []},
            {"skip_tags": ["x"]},
            {"check": True},
            {"diff": True},
            {"limit": "localhost"},
            {"timeout": 60},
            {"no_output_timeout": 60},
        ],
    )
    async def test_another_play_with_the_same_id_is_a_conflict(self, player, change):
        await player.play(**BASE)
        refusal = await player.refused(**BASE | change)

        assert (refusal.code, refusal.reason) == (-32001, "COMMAND_CONFLICT")

    async def test_a_command_and_a_play_do_not_share_an_id(self, player, tools):
        await player.call.start("true", command_id="play")

        assert (await player.refused()).reason == "COMMAND_CONFLICT"


class TestRefusals:
    async def test_without_the_tool_it_says_so(self, own, tools):
        refusal = await Player(own, tools).refused()

        assert (refusal.code, refusal.reason, refusal.data["current"]) == (-32006, "TOOL_MISMATCH", None)
        assert refusal.data["retryable"] is False

    async def test_another_tool_than_the_one_asked_for_is_said(self, player):
        digest = await player.install(tool("2"))
        refusal = await player.refused(tool_digest="0" * 64)

        assert (refusal.code, refusal.reason, refusal.data["current"]) == (-32006, "TOOL_MISMATCH", digest)
        assert (await player.play(tool_digest=digest))["existing"] is False

    async def test_another_project_than_the_one_asked_for_is_said(self, player):
        digest = await player.install(archive(**{"playbooks/site.yml": "- y"}), "projects/shop")

        assert (await player.refused(project="none")).data["current"] is None
        assert (await player.refused(project="shop", tool_digest="0" * 64)).data["current"] == digest
        assert (await player.play(project="shop", tool_digest=digest))["existing"] is False

    async def test_without_ansible_it_says_so(self, player, own_agent):
        (Path(own_agent.configuration["ansible_dir"]) / "current").unlink()
        refusal = await player.refused()

        assert (refusal.code, refusal.reason) == (-32007, "ANSIBLE_MISSING")
        assert (await player.call("get_status"))["ansible"] is None

    async def test_a_playbook_that_is_not_there_is_said(self, player):
        refusal = await player.refused(playbook="none.yml")

        assert (refusal.code, refusal.reason) == (-32008, "PLAYBOOK_NOT_FOUND")

    @pytest.mark.parametrize("name", ["../x.yml", "/x.yml", "a/../x.yml", "x", "-x.yml", "a//x.yml", "./x.yml", ""])
    async def test_a_name_that_is_none_is_refused(self, player, name):
        refusal = await player.refused(playbook=name)

        assert (refusal.code, refusal.data["field"]) == (-32602, "playbook")

    async def test_what_can_be_done_is_told(self, player):
        status = await player.call("get_status")

        assert status["ansible"] == {"version": "2.99.1"}
        assert {"execute_ansible", "put_file", "upgrade", "rotate"} <= set(status["capabilities"])


class TestSecrets:
    SECRET = "hunter2-hunter2"

    async def test_a_secret_is_in_no_file_nor_process_and_masked_in_the_output(self, player, own_agent):
        go = own_agent.folder / "go"
        await player.play(secret_vars={"password": self.SECRET, "deep": {"list": [self.SECRET[::-1]]}},
                          extra_vars={"wait_for": str(go)})  # fmt: skip
        await until(lambda: b"task 0" in (player.call.folder("play") / "log").read_bytes(), 10)
        pid = int((player.call.folder("play") / "pid").read_text().split()[0])
        process = psutil.Process(pid)
        shown = json.dumps([process.cmdline(), process.environ()])
        kept = b"".join(path.read_bytes() for path in own_agent.folder.rglob("*") if path.is_file())
        Path(f"{go}0").touch()
        log = await player.call.follow("play")

        for secret in (self.SECRET, self.SECRET[::-1]):
            assert secret not in shown
            assert secret.encode() not in kept + log.stdout
        assert said(log, "document")["secret_vars"] == {"password": "***", "deep": {"list": ["***"]}}


class TestEvents:
    async def test_events_come_in_order_before_the_final_frame(self, player):
        await player.play(extra_vars={"tasks": 3})
        live = await player.frames()
        afterwards = await player.frames()

        for frames in (live, afterwards):
            assert [one["seq"] for one in frames if one["type"] == "event"] == [1, 2, 3, 4, 5]
            assert [frames[-1]["type"], frames[-1]["result"]["recap"]] == ["final", RECAP]
            event = next(one for one in frames if one["type"] == "event")
            assert (event["event"]["type"], event["event"]["play"]) == ("play_started", "site.yml")

    async def test_an_event_is_seen_when_it_happens(self, player, own_agent):
        mark = own_agent.folder / "go"
        await player.play(extra_vars={"tasks": 2, "wait_for": str(mark)})
        following = asyncio.create_task(player.frames())
        polled = await player.events(seq=1, wait=10)
        assert [event["task"] for event in polled["events"]] == ["task 0"]
        assert polled["is_final"] is False

        waiting = asyncio.create_task(player.events(seq=2, wait=20))
        Path(f"{mark}0").touch()
        assert [event["task"] for event in (await waiting)["events"]] == ["task 1"]
        Path(f"{mark}1").touch()
        assert [one["seq"] for one in await following if one["type"] == "event"] == [1, 2, 3, 4]

    async def test_a_follower_comes_back_with_offset_and_number(self, player):
        await player.play(extra_vars={"tasks": 3})
        log = await player.call.follow("play")
        end = log.final["offset"]

        frames = await player.frames(query=f"offset={end}&seq=3")
        assert [one.get("seq") for one in frames] == [4, 5, None]
        frames = await player.frames(query=f"offset={end}&seq=99")
        assert [one["type"] for one in frames] == ["final"]
        frames = await player.frames(query="offset=0&seq=x")
        assert frames[0]["error"]["data"]["field"] == "seq"

    async def test_many_events_come_in_bounded_answers(self, player):
        await player.play(extra_vars={"tasks": 3000, "padding": 400})
        await player.call.follow("play")
        seen, answers = [], 0
        while True:
            answer = await player.events(seq=seen[-1] if seen else 0)
            seen += [event["seq"] for event in answer["events"]]
            answers += 1
            if answer["is_final"]:
                break

        assert seen == list(range(1, 3003))
        assert answers >= 4
        for seq in (1, 1500, 2999, 3001):
            assert (await player.events(seq=seq))["events"][0]["seq"] == seq + 1
        assert await player.events(seq=3002) == {"events": [], "is_final": True}

    async def test_a_command_has_no_events_and_an_unknown_one_is_said(self, player, tools):
        await player.call.run("true", command_id="plain")

        assert await player.events("plain") == {"events": [], "is_final": True}
        with pytest.raises(tools.RpcFailure) as caught:
            await player.events("unknown")
        assert (caught.value.code, caught.value.reason) == (-32002, "COMMAND_NOT_FOUND")

    async def test_lines_that_are_no_events_are_passed_over(self, player, own_agent):
        await player.play()
        await player.call.follow("play")
        events = player.call.folder("play") / "events.jsonl"
        with events.open("ab") as file:
            file.write(b'\n{"seq": "x"}\n[]\nnull\n\xff\xfe\n{"seq": 7, "type": "late"}\n{"seq": 8, "type": "torn"')

        assert [event["seq"] for event in (await player.events())["events"]] == [1, 2, 3, 7]
        assert (await player.call.follow("play")).result["recap"] == RECAP

    async def test_events_go_with_the_release_of_their_command(self, player):
        await player.play()
        await player.call.follow("play")
        await player.call("release_command", command_id="play")

        assert not player.call.folder("play").exists()


class TestSurvival:
    async def test_a_play_runs_on_while_the_agent_is_away(self, player, own_agent):
        mark = own_agent.folder / "go"
        await player.play(extra_vars={"tasks": 2, "wait_for": str(mark)})
        await until(lambda: b"task 0" in (player.call.folder("play") / "log").read_bytes(), 10)
        own_agent.kill9()
        Path(f"{mark}0").touch()
        await until(lambda: b"task 1" in (player.call.folder("play") / "log").read_bytes(), 10)
        own_agent.restart()
        Path(f"{mark}1").touch()
        with contextlib.suppress(aiohttp.ClientError):
            await player.call("heartbeat")

        frames = await player.frames()
        assert [one["seq"] for one in frames if one["type"] == "event"] == [1, 2, 3, 4]
        assert (frames[-1]["result"]["return_code"], frames[-1]["result"]["recap"]) == (0, RECAP)
        assert (await player.play(extra_vars={"tasks": 2, "wait_for": str(mark)}))["existing"]

    async def test_a_killed_supervisor_costs_no_event(self, player, own_agent):
        mark = own_agent.folder / "go"
        await player.play(extra_vars={"wait_for": str(mark)}, secret_vars={"s": "hunter2-hunter2"})
        await until(lambda: b"task 0" in (player.call.folder("play") / "log").read_bytes(), 10)
        player.call.supervisor.kill()
        Path(f"{mark}0").touch()

        frames = await player.frames()
        assert [one["seq"] for one in frames if one["type"] == "event"] == [1, 2, 3]
        assert frames[-1]["result"]["return_code"] == 0
