"""`myx events` and `myx audit`: cuts on the way, and files that are whole or not there."""

import asyncio
import json

import pytest
from cli_fake_jobs import problem

AT = "2026-01-01T00:00:00Z"


def event(number, **changes):
    facts = {
        "id": f"e-{number}",
        "time": AT,
        "type": "agent.online",
        "server_id": "0190-server",
        "data": {"version": "1"},
    }
    return {**facts, **changes}


@pytest.fixture
def plays(gateway):
    """Scripts of the streams of events, in turn; `asked` are their queries."""
    scripts, asked = [], []

    async def play(request, stream, reader):
        asked.append(request.query)
        for message in scripts.pop(0):
            if message is None:
                stream.drop()
                return
            await stream.text(message)
        await asyncio.wait_for(reader.read(), 20)

    gateway.events = play
    return scripts, asked


def test_what_is_kept_is_shown_up_to_now_without_what_is_not_wanted(gateway, myx, plays):
    scripts, asked = plays
    scripts += [
        [{"type": "start", "id": "e-9"}],
        [
            {"type": "start", "id": "e-3"},
            event(4),
            event(5, type="job.finished", server_id=None),
            event(6, data={"counts": {"success": 1, "not_started": 2}, "fields": ["a", "b"], "x": {"y": "z"}}),
            event(7, server_id="other"),
            {"type": "ping", "id": "e-9"},
        ],
    ]
    done = myx("events", "--type", "agent", "--server", "local")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (
        b"2026-01-01T00:00:00Z\tagent.online\tlocal\tversion=1\n"
        b"2026-01-01T00:00:00Z\tagent.online\tlocal\tcounts=(1 success, 2 not started) fields=(a, b) x=(y: z)\n"
    )
    assert asked == [{}, {"after": ["0"]}]


def test_an_empty_trail_of_events_ends_at_once(gateway, myx, plays):
    plays[0].extend([[{"type": "start", "id": "e-0"}]] * 2)
    assert myx("events").stdout == b""


def test_events_are_followed_across_cuts_each_once(gateway, myx, plays):
    scripts, asked = plays
    scripts += [
        [{"type": "start", "id": "e-4"}, event(5), None],
        [{"type": "gap", "from": "e-5", "to": "e-20", "reason": "not_kept"}, {"type": "start", "id": "e-20"}, None],
        [{"type": "start", "id": "e-20"}, event(21)],
    ]
    process = myx.start("events", "-f", "--type", "agent.online", "--after", "e-1", "-o", "json")
    lines = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.terminate()
    assert process.wait(20) == 143
    assert [line.get("id", line["type"]) for line in lines] == ["e-5", "gap", "e-21"]
    assert asked == [{"after": [place], "type": ["agent.online"]} for place in ("e-1", "e-5", "e-20")]


def test_a_stream_that_is_declined_is_said(gateway, myx):
    gateway.answers.append(("GET /events", problem(400, "REQUEST_INVALID", "type must be …")))
    done = myx("events", "-f", "--type", "nope")
    assert (done.returncode, done.stderr) == (2, "myx: type must be …\n".encode())


def test_an_export_that_broke_off_is_no_file(gateway, myx, tmp_path):
    entry = json.dumps({"seq": 1}).encode() + b"\n"
    end = json.dumps({"head": {"seq": 1, "hash": "a" * 64}, "count": 1}).encode() + b"\n"
    target = tmp_path / "trail.jsonl"
    for content, whole in ((entry, False), (entry + end[:20], False), (b"", False), (entry + end, True)):
        gateway.answers.append(("GET /audit/export", (200, content)))
        done = myx("audit", "export", "--to", str(target))
        assert done.returncode == (0 if whole else 125), done.stderr
        assert target.exists() == whole
        assert not list(tmp_path.glob(".trail*"))
    assert target.stat().st_mode & 0o777 == 0o600
    before, count = target.read_bytes(), len(gateway.requests)
    done = myx("audit", "export", "--to", str(target))
    assert (done.returncode, b"exists already and is not overwritten" in done.stderr) == (2, True)
    assert (target.read_bytes(), len(gateway.requests)) == (before, count)
    gateway.answers.append(("GET /audit/export", (200, entry)))
    done = myx("audit", "export")
    assert (done.returncode, done.stdout) == (125, entry)
    gateway.answers.append(("GET /audit/export", problem(403, "FORBIDDEN", "the role admin is needed")))
    done = myx("audit", "export", "--after", "7")
    assert (done.returncode, done.stderr) == (125, b"myx: the role admin is needed\n")
    assert gateway.requests[-1].query == {"after_seq": ["7"]}


def test_the_trail_is_asked_for_by_what_was_done(gateway, myx):
    entry = {
        "seq": 7,
        "at": AT,
        "principal": "user:alice",
        "address": "192.0.2.1",
        "operation": "commands.run",
        "result": "refused",
        "reason": "FORBIDDEN",
        "targets": ["a", "b", "c", "d"],
        "resource": "c1",
    }
    gateway.answers.append(("GET /audit", (200, {"items": [entry], "next_page_token": None})))
    options = ("--principal", "user:alice", "--result", "refused", "--since", AT, "--until", "1h")
    done = myx("audit", "list", *options)
    assert done.stdout.decode() == (f"7\t{AT}\tuser:alice\t192.0.2.1\tcommands.run\trefused\tFORBIDDEN\ta b c … c1\n")
    query = gateway.requests[-1].query
    assert (query["principal"], query["result"], query["page_size"]) == (["user:alice"], ["refused"], ["50"])
    assert query["from"][0].startswith("20")
    assert query["to"][0] < "9"
    assert myx("audit", "list", "--since", "yesterday").returncode == 2
    assert myx("audit", "verify", "--expect", "1:zz").returncode == 2


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_list_of_the_trail_that_is_not_all_says_so(gateway, myx, form):
    for following, said in (("t1", b"there are older ones than the 1 shown: --limit N shows more"), (None, b"")):
        gateway.answers.append(("GET /audit", (200, {"items": [{"seq": 7}], "next_page_token": following})))
        done = myx("audit", "list", "--limit", "1", "-o", form)
        assert done.returncode == 0
        assert (said in done.stderr) if said else not done.stderr


@pytest.mark.parametrize("between", [":", " "])
def test_an_entry_that_is_expected_may_be_written_as_the_dashboard_shows_it(gateway, myx, between):
    gateway.answers.append(("POST /audit/verify", (200, {"ok": True, "count": 88})))
    assert myx("audit", "verify", "--expect", f"88{between}{'a' * 64}").returncode == 0
    assert gateway.requests[-1].json() == {"expected": {"seq": 88, "hash": "a" * 64}}
