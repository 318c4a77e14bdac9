"""Lists and facts: for people on a terminal, for programs elsewhere."""

import json
import os
import pty
import re

import pytest
from cli_fake_jobs import problem


def on_a_terminal(myx, *arguments, **env):
    """Output and exit code of `myx` whose stdout and stderr are a terminal."""
    ours, its = pty.openpty()
    process = myx.start(*arguments, stdout=its, stderr=its, env={"COLUMNS": "150", **env})
    os.close(its)
    output = bytearray()
    try:
        while piece := os.read(ours, 65536):
            output += piece
    except OSError:  # how Linux tells the end of a terminal
        pass
    os.close(ours)
    return process.wait(10), bytes(output).replace(b"\r\n", b"\n")


def test_servers_of_all_pages_are_tab_separated_on_a_pipe(gateway, myx):
    done = myx("server", "list")
    assert (done.returncode, done.stderr) == (0, b"")
    rows = [line.split(b"\t") for line in done.stdout.splitlines()]
    assert [row[:5] for row in rows] == [
        [b"local", b"online", b"2025-12-31T00:00:00Z", b"127.0.0.1", b"2026-01-01T00:00:00Z"],
        [b"other", b"online", b"2025-12-31T00:00:00Z", b"127.0.0.1", b"2026-01-01T00:00:00Z"],
    ]


@pytest.mark.parametrize("noun", ["command", "job", "deployment"])
def test_a_list_that_is_not_all_says_so_on_stderr(gateway, myx, noun):
    for following, said in (("t1", b"there are more than the 1 shown: --limit N shows more"), (None, b"")):
        gateway.answers.append((f"GET /{noun}s", (200, {"items": [{"id": "1"}], "next_page_token": following})))
        done = myx(noun, "list", "--limit", "1", "-o", "json")
        assert (done.returncode, json.loads(done.stdout)["items"]) == (0, [{"id": "1"}])
        assert (said in done.stderr) if said else not done.stderr


def test_a_check_that_is_refused_on_one_server_shows_the_others(gateway, myx):
    found = {"status": "online", "cause": "", "message": "", "attempts": [{}]}
    gateway.answers.append(("POST /servers/local/check", (200, found)))
    gateway.answers.append(("GET /servers/other", (200, {"id": "0191", "name": "other"})))
    gateway.answers.append(("POST /servers/other/check", problem(403, "PERMISSION_DENIED", "not on this server")))
    done = myx("server", "check", "local", "other", "-o", "json")
    assert done.returncode == 1
    local, other = json.loads(done.stdout)["items"]
    assert (local["server"], local["status"]) == ("local", "online")
    assert (other["server"], other["status"], other["cause"]) == ("other", "", "permission_denied")
    assert other["message"] == "not on this server"


def test_a_check_that_is_refused_everywhere_is_a_failure(gateway, myx):
    gateway.answers.append(("GET /servers/other", (200, {"id": "0191", "name": "other"})))
    gateway.answers.append(("POST /servers/other/check", problem(403, "PERMISSION_DENIED", "not on this server")))
    done = myx("server", "check", "other")
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"not on this server" in done.stderr


def test_a_document_steers_no_terminal(gateway, myx):
    gateway.answers.append(("GET /servers/local", (200, {"name": "local", "note": "a\x9b31m\u202eb"})))
    code, output = on_a_terminal(myx, "server", "show", "local", "-o", "json")
    assert code == 0
    assert rb"a\u009b31m\u202eb" in output


def test_a_server_without_an_agent_has_empty_fields(gateway, myx):
    server = {"id": "0190", "name": "web-1", "address": "10.0.0.1", "agent": None, "labels": {"a": "b"}}
    gateway.answers.append(("GET /servers", (200, {"items": [server], "next_page_token": None})))
    assert myx("server", "list").stdout == b"web-1\tno agent\t\t10.0.0.1\t\t\t0190\ta=b\n"


def test_servers_that_are_paused_say_so(gateway, myx):
    server = {
        "name": "web-1",
        "agent": {"status": "online"},
        "pause": {"until": "2026-01-01T00:00:00Z", "actor": "user:alice"},
    }
    gateway.answers += [("GET /servers", (200, {"items": [server], "next_page_token": None}))] * 2
    assert myx("server", "list").stdout.split(b"\t")[1] == b"online (paused)"
    assert b"\x1b[32monline (paused)" in on_a_terminal(myx, "server", "list")[1]
    document = {"version": "1", "services": {}, "servers": {"online": 2, "no_agent": 1, "lost": 0}, "paused": 1}
    gateway.answers.append(("GET /status", (200, document)))
    assert b"servers\t1 no agent, 2 online (1 paused)\n" in myx("status").stdout
    gateway.answers.append(("GET /status", (200, {**document, "paused": 0})))
    assert b"servers\t1 no agent, 2 online\n" in myx("status").stdout


def test_servers_are_a_coloured_table_on_a_terminal(gateway, myx):
    code, output = on_a_terminal(myx, "server", "list")
    assert code == 0
    assert b"Since" in output
    assert b"Last contact" in output
    assert b"\x1b[32monline" in output
    assert b" ago" in output


def test_a_narrow_terminal_keeps_id_and_status_whole(gateway, myx):
    command = gateway.add_command(id="01a20402-49ce-76f0-9f70-af7ba6809aba", command="x" * 100, log_size_bytes=5)
    code, output = on_a_terminal(myx, "command", "list", NO_COLOR="1", COLUMNS="64")
    assert code == 0
    head, _, row = re.sub(r"\x1b\[[0-9;]*m", "", output.decode()).splitlines()
    assert head.split() == ["ID", "Status", "Command"]
    assert row.startswith(f"{command['id']}   running")
    assert row.endswith("xx…")
    assert len(row) <= 64


def test_no_color_is_respected(gateway, myx):
    _, output = on_a_terminal(myx, "server", "list", NO_COLOR="1")
    assert b"online" in output
    assert b"\x1b[3" not in output


def test_json_documents_are_whole(gateway, myx):
    command = gateway.add_command(attempts=[{"at": "2026-01-01T00:00:00Z", "cause": "refused"}])
    assert json.loads(myx("command", "show", command["id"], "-o", "json").stdout) == command
    assert json.loads(myx("command", "list", "-o", "json").stdout) == {"items": [command]}
    assert len(json.loads(myx("--output", "json", "server", "list").stdout)["items"]) == 2
    assert json.loads(myx("server", "show", "local", "--output=json").stdout)["labels"] == {"env": "test"}
    assert json.loads(myx("status", "-o", "json").stdout)["services"] == {"registry": "ok", "executor": "ok"}
    assert json.loads(myx("--version", "-o", "json").stdout) == {"version": "0.1.0"}
    assert myx("--version").stdout == b"myx 0.1.0\n"


def test_a_plain_terminal_has_the_width_it_has(gateway, myx):
    gateway.add_command(command="x" * 100)
    _, output = on_a_terminal(myx, "command", "list", TERM="dumb", COLUMNS="200")
    assert b"x" * 100 in output


def test_an_unknown_server_is_told_from_one_without_commands(gateway, myx):
    for server, code, said in (("nosuch", 125, b"myx: there is no server nosuch; the names are"), ("local", 0, b"")):
        done = myx("command", "list", "--server", server)
        assert (done.returncode, done.stdout) == (code, b"")
        assert done.stderr.startswith(said)
        assert bool(done.stderr) == bool(said)


def test_filters_reach_the_request(gateway, myx):
    gateway.add_command()
    assert (
        myx("command", "list", "--server", "a b", "--status", "failed", "--status", "lost", "--limit", "7").returncode
        == 0
    )
    assert gateway.requests[-1].query == {"server": ["a b"], "status": ["failed", "lost"], "page_size": ["7"]}


def test_names_from_the_server_cannot_steer_a_terminal(gateway, myx):
    gateway.add_command(
        server_name="evil\x1b]52;c;x\x07\nname", command="a\x9bb", args=["\u202etxt", "[red]x[/red] :smile:"]
    )
    for code, output in (on_a_terminal(myx, "command", "list", NO_COLOR="1"), (0, myx("command", "list").stdout)):
        assert code == 0
        assert b"\x1b]" not in output
        assert b"\xc2\x9b" not in output
        assert "\u202e".encode() not in output
        assert b"[red]x[/red]" in output
    code, output = on_a_terminal(myx, "server", "show", "nope\x1b]0;x\x07")
    assert code == 125
    assert b"\x1b" not in output


def test_output_of_a_command_is_raw_on_a_terminal_too(gateway, myx):
    async def script(stream):
        await stream.data(1, b"\x1b[31mred\x1b[0m \xff")
        await stream.data(2, b"half")
        await stream.final(status="timeout", message="over 5 s")

    gateway.script = script
    code, output = on_a_terminal(myx, "run", "local", "--", "x")
    assert (code, output) == (124, b"\x1b[31mred\x1b[0m \xffhalf\nmyx: over 5 s\n")


def test_cancel_asks_for_each(gateway, myx):
    one, two = gateway.add_command(), gateway.add_command()
    done = myx("command", "cancel", one["id"], "nope", two["id"], "--grace", "2s")
    assert done.returncode == 125
    assert b"nope: there is no such command" in done.stderr
    assert [request.json() for request in gateway.posts(".*/cancel")] == [{"grace_s": 2.0}] * 3
    assert myx("command", "cancel", one["id"]).returncode == 0


def test_cancelling_what_is_over_says_so(gateway, myx):
    over = gateway.add_command(status="failed", exit_code=3)
    late = gateway.add_command(status="cancelled", cancel_requested_at="2026-01-01T00:00:00Z")
    done = myx("command", "cancel", over["id"], late["id"])
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)
    assert done.stderr == f"myx: {over['id']} had ended already (failed, exit 3)\n".encode()


def test_a_part_that_is_not_well_is_a_1(gateway, myx):
    document = {"version": "0.1.0", "services": {"registry": "ok", "executor": "unavailable"}, "servers": None}
    gateway.answers.append(("GET /status", (200, document)))
    done = myx("status")
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"executor\tunavailable" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["server", "--help"], ["command", "list", "-h"]])
def test_help_is_on_stdout(myx, arguments):
    done = myx(*arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"myx" in done.stdout


def test_a_fault_of_ours_is_one_line(gateway, myx):
    gateway.answers.append(("GET /servers", (200, {"items": [1]})))
    done = myx("server", "list", env={"MYX_DEBUG": ""})
    assert done.returncode == 125
    assert done.stderr == b"myx: a fault in myx (myx itself, AttributeError); MYX_DEBUG=1 shows where\n"


def test_logs_show_what_is_there_of_a_running_command(gateway, myx):
    async def script(stream):
        for line in (b"0123\n", b"5678\n")[stream.offset // 5 :]:
            await stream.data(1, line)
        await stream.cancelled()  # it runs on

    gateway.script = script
    command = gateway.add_command(log_size_bytes=10)
    done = myx("logs", command["id"])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0123\n5678\n", b"")
    assert myx("logs", command["id"], "--offset", "5").stdout == b"5678\n"
    gateway.add_command(log_size_bytes=0)
    assert myx("logs", "0190-command-1").stdout == b""


def test_followed_logs_end_with_the_commands_exit_code(gateway, myx):
    async def script(stream):
        await stream.data(2, b"bad\n")
        await stream.final(status="failed", exit_code=9)

    gateway.script = script
    command = gateway.add_command(status="failed", exit_code=9)
    done = myx("logs", command["id"], "-f")
    assert (done.returncode, done.stdout, done.stderr) == (9, b"", b"bad\n")
    assert myx("logs", command["id"]).returncode == 0
    lines = [json.loads(line) for line in myx("logs", command["id"], "-o", "json").stdout.splitlines()]
    assert [line["type"] for line in lines] == ["log", "final"]
    assert myx("logs", "nope").stderr == b"myx: there is no such command\n"


def test_a_deployment_shows_where_it_stands_and_why(gateway, myx):
    change = {"at": "T1", "from": "pending", "to": "queued", "actor": "executor:a", "cause": "lock_held"}
    deployment = {
        "id": "0190",
        "kind": "caddy",
        "status": "queued",
        "status_since": "2026-01-01T00:00:00Z",
        "reason": "lock_held",
        "next": "waits for the lock",
        "deadline_at": "2026-01-01T01:00:00Z",
        "owner": "executor-a",
        "offline": "queue",
        "lock": "exclusive",
        "job_id": "0191",
        "changes": [{**change, "evidence": "held by 0189"}],
    }
    gateway.answers.append(("GET /deployments/0190", (200, deployment)))
    shown = dict(line.split("\t", 1) for line in myx("deployment", "show", "0190").stdout.decode().splitlines())
    assert (shown["status"], shown["since"], shown["reason"]) == ("queued", "2026-01-01T00:00:00Z", "lock_held")
    assert (shown["next"], shown["deadline"]) == ("waits for the lock", "2026-01-01T01:00:00Z")
    assert (shown["owner"], shown["when offline"], shown["lock"]) == ("executor-a", "queue", "exclusive")
    assert shown["job"] == "0191"
    assert shown["history"] == "T1  pending → queued  lock_held: held by 0189  (executor:a)"
