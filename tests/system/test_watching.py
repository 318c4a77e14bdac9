"""What is known of agents over time, pauses and the live view, through the API and the command line of a whole MyX."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any

import pytest

from myx_cli.endpoint import Endpoint
from myx_cli.fleet import Fleet
from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync


@pytest.fixture
def checked(myx: Standalone) -> Iterator[Standalone]:
    """The server `local` is online and no pause is left over."""
    myx.api().request("POST", "/servers/local/check", {})
    yield myx
    myx.cli("server", "resume", "local")


def cli_json(myx: Standalone, *words: str) -> dict[str, Any]:
    done = myx.cli(*words, "--output", "json")
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_history_series_and_members_are_shown(checked: Standalone) -> None:
    history = cli_json(checked, "server", "history", "local")["items"]
    assert [(one["before"], one["after"]) for one in history][-1] == ("pending", "online")
    series = checked.api().request("GET", "/servers/local/series?metric=up&metric=latency&step_s=60")
    assert set(series["metrics"]) == {"up", "latency"}
    assert series["metrics"]["up"][-1]["mean"] == 1
    assert series["metrics"]["latency"][-1]["max"] > 0
    heartbeat = checked.api().request("GET", "/heartbeat")
    assert (heartbeat["agents"], len(heartbeat["members"]), heartbeat["suspicion"]) == (1, 1, None)
    facts = cli_json(checked, "server", "history", "local", "--facts")["items"]
    # What a test before has deployed here is the one thing that changes.
    tool = ("deployment_tool_digest", "deployment_tool_version")
    now = checked.api().request("GET", "/servers/local")["agent"]["facts"]
    assert {one["fact"] for one in facts} == {name for name in tool if now[name]}


def test_a_paused_server_is_not_checked_until_it_is_resumed(checked: Standalone) -> None:
    assert cli_json(checked, "server", "pause", "local", "--for", "2h", "--reason", "new disks") == {"servers": 1}
    server = checked.api().request("GET", "/servers/local")
    assert (server["pause"]["reason"], server["pause"]["actor"]) == ("new disks", "token:admin")
    assert datetime.fromisoformat(server["pause"]["until"]) > datetime.now(UTC)
    assert "new disks" in checked.cli("server", "show", "local").stdout.decode()
    until_sync(lambda: checked.api().request("GET", "/heartbeat")["agents"] == 0, 40)

    assert cli_json(checked, "server", "resume", "-l", "name=local") == {"servers": 1}
    until_sync(lambda: checked.api().request("GET", "/heartbeat")["agents"] == 1, 40)
    assert checked.api().request("GET", "/servers/local")["pause"] is None


def test_check_says_what_agents_answer_by_its_exit_code(checked: Standalone) -> None:
    found = cli_json(checked, "server", "check", "-l", "all")["items"]
    assert [(one["server"], one["status"]) for one in found] == [("local", "online")]
    checked.api().request("POST", "/servers", {"name": "bare", "address": "192.0.2.1"})
    try:
        done = checked.cli("server", "check", "local", "bare", "--output", "json")
        items = {one["server"]: one for one in json.loads(done.stdout)["items"]}
        assert done.returncode == 1
        assert (items["local"]["status"], items["bare"]["cause"]) == ("online", "agent_not_found")
    finally:
        checked.api().request("DELETE", "/servers/bare")


def test_the_live_view_as_a_table_and_as_a_document(checked: Standalone) -> None:
    row = checked.cli("top", "--once").stdout.decode().splitlines()[0].split("\t")
    assert row[:2] == ["local", "online"]
    shown = cli_json(checked, "top")
    assert shown["counts"] == {"online": 1}
    assert shown["heartbeat"]["agents"] == 1


def test_the_live_view_sees_what_changes_without_reading_all_again(checked: Standalone) -> None:
    token = json.loads(checked.home.standalone_file.read_text())["token"]
    endpoint = Endpoint("http", "127.0.0.1", checked.port, "", token, "")
    with closing(Fleet(endpoint, "name!=db-1", chain([0.0], repeat(1000.0)).__next__)) as fleet:
        fleet.watch()
        assert [(one["name"], one["pause"]) for one in fleet.look()] == [("local", None)]
        checked.api().request("POST", "/servers", {"name": "bare", "address": "192.0.2.1"})
        try:
            until_sync(lambda: len(fleet.look()) == 2, 20)
            cli_json(checked, "server", "pause", "local", "--for", "2h")
            until_sync(lambda: any(one["pause"] for one in fleet.look()), 20)
        finally:
            checked.api().request("DELETE", "/servers/bare")
        until_sync(lambda: len(fleet.look()) == 1, 20)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("server", "pause", "local"), "--for"),
        (("server", "pause", "--for", "1h"), "which servers"),
        (("server", "pause", "local", "-l", "all", "--for", "1h"), "not both"),
        (("server", "pause", "nobody", "--for", "1h"), "nothing was changed"),
        (("server", "pause", "local", "--until", "yesterday"), "until"),
        (("server", "pause", "local", "--until", "2020-01-01T00:00:00Z"), "until"),
        (("server", "check", "-l", "name=nobody"), "no server matches"),
        (("server", "resume", "-l", "name ="), "selector"),
    ],
)
def test_what_cannot_be_meant_is_said(checked: Standalone, words: tuple[str, ...], told: str) -> None:
    done = checked.cli(*words)
    assert done.returncode in {2, 125}
    assert told in done.stderr.decode()


def test_the_machine_that_answers_can_be_accepted_at_any_time(checked: Standalone) -> None:
    shown = cli_json(checked, "server", "accept-machine", "local")
    assert shown["agent"]["quarantine"] is None
    answer = checked.api().request("POST", "/servers/local/check", {})
    assert answer["status"] == "online"
