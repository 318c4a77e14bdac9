"""Jobs without a terminal: what is asked for, lines, resuming, exit codes."""

import asyncio
import json
import signal
import subprocess
import sys
from base64 import b64decode

import pytest


async def all_succeed(job):
    await job.begin()
    await job.tell_targets(*job.job.targets, status="success", exit_code=0)
    await job.finish()


def lines_of(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_option_reaches_the_request(gateway, myx):
    gateway.jobs.script = all_succeed
    done = myx(
        *("run", "-l", "env=prod and role in (web,api)", "--batch", "1,10%", "--batch", "50%", "--concurrency", "5%"),
        *("--batch-pause", "5s", "--canary", "1", "--soak", "1m", "--max-fail", "3", "--max-unreachable", "0"),
        *("--job-deadline", "2h", "--job-name", "patches", "--offline", "queue", "--queue-timeout", "10m"),
        *("--connect-timeout", "30", "--lock", "exclusive", "--timeout", "5m", "--yes", "--", "apt", "-y", "upgrade"),
    )
    assert done.returncode == 0, done.stderr
    (preview,) = gateway.posts("/jobs/preview")
    (post,) = gateway.posts("/jobs")
    content = post.json()
    options = {
        "concurrency": "5%",
        "batches": ["1", "10%", "50%"],
        "batch_pause_s": 5.0,
        "canary": "1",
        "canary_soak_s": 60.0,
        "max_failed": "3",
        "max_unreachable": "0",
        "deadline_s": 7200.0,
    }
    assert preview.json() == {"selector": "env=prod and role in (web,api)", "options": options}
    assert len(content.pop("expected_targets_sha256")) == 64
    assert content == {
        "name": "patches",
        "selector": "env=prod and role in (web,api)",
        "options": options,
        "work": {
            "command": {
                "command": "apt",
                "args": ["-y", "upgrade"],
                "timeout_s": 300.0,
                "offline": "queue",
                "queue_timeout_s": 600.0,
                "connect_timeout_s": 30.0,
                "lock": "exclusive",
            }
        },
    }
    assert b"myx: on 3 servers in 3 batches: local, other, third\n" in done.stderr


def test_queueing_goes_with_one_server_too(gateway, myx):
    async def script(stream):
        await stream.final()

    gateway.script = script
    options = ("--offline", "queue", "--queue-timeout", "2h", "--lock", "shared")
    assert myx("run", "local", *options, "--", "x").returncode == 0
    content = gateway.posts("/commands")[0].json()
    assert {name: content[name] for name in ("offline", "queue_timeout_s", "lock")} == {
        "offline": "queue",
        "queue_timeout_s": 7200.0,
        "lock": "shared",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "-l", "all", "local", "--", "x"], b"not both"),
        (["run", "-l", " ", "--", "x"], b"an empty selector is not everything"),
        (["server", "list", "-l", ""], b"an empty selector is not everything"),
        (["run", "-l", "all", "--", "x"], b"nobody can be asked here: --yes"),
        (["run", "-l", "all", "--batch", "0", "--", "x"], b"is not a share"),
        (["run", "-l", "all", "--batch", "101%", "--", "x"], b"is not a share"),
        (["run", "-l", "all", "--concurrency", "1.5", "--", "x"], b"is not a share"),
        (["run", "-l", "all", "--batch", "1", "--batch-label", "rack", "--", "x"], b"exclude each other"),
        (["run", "-l", "all", "--soak", "1m", "--", "x"], b"say --canary"),
        (["run", "local", "--queue-timeout", "1m", "--", "x"], b"say --offline queue"),
        (["deploy", "caddy"], b"on which servers? SERVER"),
        (["agent", "upgrade", "-l", "all"], b"nobody can be asked here"),
        (["job", "set", "0190"], b"--concurrency"),
        (["logs", "x", "--regex"], b"go with --grep"),
        (["logs", "x", "--grep", ""], b"an empty pattern"),
        (["logs", "x", "--grep", "a", "-f"], b"without --follow"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_a_2(gateway, myx, arguments, said):
    done = myx(*arguments, start_new_session=True)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert not gateway.posts(".*")


def test_nothing_that_matches_is_an_error_and_never_everything(gateway, myx):
    gateway.jobs.matching = []
    done = myx("run", "-l", "env=prodd", "--yes", "--", "x")
    assert done.returncode == 125
    assert done.stderr.startswith(b"myx: no server matches env=prodd; nothing was started: myx server list -l")
    assert not gateway.jobs.jobs


def test_a_list_that_changed_is_told_and_with_yes_taken(gateway, myx):
    gateway.jobs.script = all_succeed
    refused = {"reason": "TARGETS_CHANGED", "detail": "other servers match by now"}
    gateway.answers.append(("POST /jobs", (409, refused)))
    done = myx("run", "-l", "all", "--yes", "--", "x")
    assert done.returncode == 0
    assert b"the list has changed meanwhile" in done.stderr
    first, second = gateway.posts("/jobs")
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
    gateway.answers += [("POST /jobs", (409, refused))] * 10
    done = myx("run", "-l", "all", "--yes", "--", "x")
    assert done.returncode == 125
    assert b"the list of servers changes all the time; nothing was started" in done.stderr


def test_a_lost_answer_does_not_start_a_job_twice(gateway, myx):
    gateway.jobs.script = all_succeed
    gateway.answers += [("POST /jobs", "act and drop"), ("POST /jobs", (503, {"reason": "UNAVAILABLE"}))]
    assert myx("run", "local", "other", "--", "x").returncode == 0
    assert len(gateway.jobs.jobs) == 1
    assert len(gateway.posts("/jobs")) == 3


def test_a_list_that_cannot_be_had_for_a_moment_is_asked_for_again(gateway, myx):
    gateway.jobs.script = all_succeed
    gateway.answers += [("POST /jobs/preview", (503, {"reason": "UNAVAILABLE"})), ("POST /jobs/preview", "drop")]
    assert myx("run", "-l", "all", "--yes", "--", "x").returncode == 0
    gateway.answers += [("POST /jobs/preview", (503, {"reason": "UNAVAILABLE", "detail": "not now"}))] * 20
    done = myx("run", "-l", "all", "--yes", "--reconnect-timeout", "0.3", "--", "x")
    assert (done.returncode, done.stderr) == (125, b"myx: not now\n")


LINES = [f"line {number:04}\n".encode() for number in range(200)]
WHOLE = b"".join(LINES)


def test_every_byte_and_state_comes_once_across_lost_connections(gateway, myx):
    async def script(job):
        turn = len(gateway.jobs.streams)
        await job.begin()
        for number in (1, 2, 3):
            start = job.offsets.get(number, 0)
            for line in WHOLE[start : 450 * turn if turn < 4 else None].splitlines(keepends=True):
                await job.data(number, 1, line)
        if turn == 1:
            await job.tell_targets(3, status="failed", exit_code=4, reason="exit_code", log_size_bytes=450)
            await job.tell_job()
            job.drop()
        elif turn == 2:
            await job.stream.close(1012, "the gateway is restarting")
        elif turn == 3:
            job.stream.writer.write(b"\x82\x7e\x01\x00\x01partial")
            await job.stream.writer.drain()
        else:
            await job.tell_targets(1, 2, status="success", exit_code=0)
            await job.finish()

    gateway.jobs.script = script
    done = myx("run", "local", "other", "third", "--", "x")
    assert done.returncode == 4
    for name, size in ((b"local | ", len(WHOLE)), (b"other | ", len(WHOLE)), (b"third | ", len(WHOLE))):
        mine = [line.removeprefix(name) + b"\n" for line in done.stdout.splitlines() if line.startswith(name)]
        assert b"".join(mine) == WHOLE[:size]
    assert done.stderr == b"myx: third: exit code 4\n"
    revisions = [revision for revision, _ in gateway.jobs.streams]
    assert revisions[0] == 0
    assert revisions == sorted(revisions)
    assert revisions[1] > 0
    assert gateway.jobs.streams[1][1] == {"1": 450, "2": 450, "3": 450}
    assert len(gateway.posts("/jobs")) == 1


def test_what_the_stream_did_not_bring_is_fetched_at_the_end(gateway, myx):
    """A stream that ends before all output was sent, and that never told of one target's end."""

    async def script(job):
        await job.begin()
        await job.data(1, 1, b"one\n")
        await job.data(2, 1, b"two\n")
        for number in (1, 2):
            target = job.job.targets[number]
            gateway.jobs.logs[target["command_id"]].append((2, b"late %d\n" % number))
            target["log_size_bytes"] += 7
        await job.tell_targets(1, 2, status="success", exit_code=0)
        job.job.change_target(3, status="unreachable", reason="agent_unreachable", message="refused")
        await job.finish()

    gateway.jobs.script = script
    done = myx("run", "local", "other", "third", "--", "x")
    assert done.returncode == 125
    assert sorted(done.stdout.splitlines()) == [b"local | one", b"other | two"]
    assert sorted(done.stderr.splitlines()) == [
        *(b"local | late 1", b"myx: third: the agent could not be reached: refused", b"other | late 2"),
    ]


def test_bytes_and_targets_that_come_again_are_not_told_again(gateway, myx):
    async def script(job):
        await job.begin()
        await job.data(1, 1, b"abcdef")
        job.offsets[1] = 3
        await job.data(1, 1, b"defghi")
        await job.tell_targets(1, status="failed", exit_code=5, reason="exit_code")
        old = {**job.job.targets[1], "status": "running", "revision": 1}
        await job.stream.text({"type": "targets", "targets": [job.job.targets[1], old]})
        await job.stream.text({"type": "ping"})
        await job.tell_targets(2, 3, status="success", exit_code=0)
        await job.finish()

    gateway.jobs.script = script
    done = myx("run", "local", "other", "third", "--", "x")
    assert (done.returncode, done.stdout, done.stderr) == (5, b"local | abcdefghi\n", b"myx: local: exit code 5\n")


def test_a_gap_of_one_target_is_told(gateway, myx):
    async def script(job):
        await job.begin()
        await job.data(2, 1, b"a\n")
        await job.gap(2, 100, "limit reached")
        await job.data(2, 1, b"b\n")
        await job.tell_targets(1, 2, 3, status="success", exit_code=0)
        await job.finish()

    gateway.jobs.script = script
    done = myx("run", "local", "other", "third", "--", "x")
    assert done.stdout == b"other | a\nother | b\n"
    assert done.stderr == b"myx: other: 100 bytes of the output are missing here (limit reached)\n"


@pytest.mark.parametrize(
    ("targets", "status", "code", "said"),
    [
        ([{"status": "success"}] * 3, "success", 0, b""),
        ([{"status": "success"}, {"status": "skipped"}, {"status": "success"}], "partial", 0, b"other: skipped"),
        ([{"status": "skipped"}] * 3, "failed", 125, b"skipped"),
        ([{"status": "failed", "exit_code": 7}, {"status": "success"}, {"status": "success"}], "partial", 7, b"code 7"),
        ([{"status": "failed", "exit_code": 7}, {"status": "failed", "exit_code": 8}] * 2, "failed", 1, b"code 8"),
        ([{"status": "timeout"}, {"status": "success"}, {"status": "success"}], "partial", 124, b"time limit"),
        ([{"status": "lost"}, {"status": "success"}, {"status": "success"}], "partial", 125, b"outcome is lost"),
        ([{"status": "unknown"}, {"status": "unknown"}, {"status": "success"}], "partial", 125, b"cannot be known"),
        ([{"status": "cancelled"}, {"status": "not_started"}] * 2, "cancelled", 130, b"the job was cancelled"),
        (
            [{"status": "failed", "exit_code": 3}, {"status": "not_started"}, {"status": "not_started"}],
            *("stopped", 3, b"the job was stopped: more than 0 failed\nmyx: 2 servers were not started\n"),
        ),
    ],
)
def test_the_outcome_becomes_an_exit_code(gateway, myx, targets, status, code, said):
    async def script(job):
        await job.begin()
        for number, facts in enumerate(targets[:3], 1):
            await job.tell_targets(number, **{"reason": "exit_code" if "exit_code" in facts else "", **facts})
        change = {"to": "stopping", "cause": "max_failed", "evidence": "more than 0 failed"}
        reason = {"reason": "max_failed", "message": "0 of 3 succeeded", "changes": [change]}
        reason = reason if status == "stopped" else {"reason": "targets_failed", "message": "0 of 3 succeeded"}
        await job.finish(status, **reason)

    gateway.jobs.script = script
    done = myx("run", "local", "other", "third", "--", "x")
    assert (done.returncode, done.stdout) == (code, b"")
    assert said in done.stderr
    assert bool(done.stderr) == bool(said)


def test_json_lines_tell_all(gateway, myx):
    async def script(job):
        await job.begin()
        await job.data(1, 2, b"\xff\n")
        await job.tell_targets(1, status="failed", exit_code=3, reason="exit_code")
        await job.tell_targets(2, 3, status="success", exit_code=0)
        await job.finish()

    gateway.jobs.script = script
    done = myx("run", "-l", "all", "--yes", "-o", "json", "--", "x")
    assert (done.returncode, done.stderr) == (3, b"")
    lines = lines_of(done)
    assert [line["type"] for line in lines] == [
        *("started", "job", "target", "target", "target", "log", "target", "target", "target", "job", "result"),
    ]
    log = next(line for line in lines if line["type"] == "log")
    assert (log["server"], log["stream"], log["offset"], b64decode(log["data"])) == ("local", "stderr", 0, b"\xff\n")
    assert log["command_id"] == "0190-command-0"
    result = lines[-1]
    assert (result["exit_code"], result["job"]["status"]) == (3, "partial")
    assert [entry["exit_code"] for entry in result["targets"]] == [3, 0, 0]
    assert [entry["error"] for entry in result["targets"]] == ["exit code 3", None, None]


def test_json_lines_end_with_the_result_of_a_failure_too(gateway, myx):
    done = myx("run", "local", "nope", "-o", "json", "--", "x")
    assert done.returncode == 125
    (result,) = lines_of(done)
    assert (result["type"], result["exit_code"], result["job"], result["targets"]) == ("result", 125, None, [])
    assert result["error"].startswith("there is no server nope; nothing was started")


def test_one_server_needs_little_to_start(gateway, myx):
    """docs/adr/0003: what `myx run` imports is what it takes."""

    async def script(stream):
        await stream.final()

    gateway.script = script
    code = "import sys; from myx_cli.__main__ import main; main(); print(*sys.modules)"
    command = [sys.executable, "-c", code, "run", "local", "--", "x"]
    done = subprocess.run(command, env=myx.env, cwd=myx.cwd, capture_output=True, check=True)
    imported = set(done.stdout.decode().split())
    assert "myx_cli.commands.run" in imported
    heavy = {"rich", "yaml", "ssl", "email", "http.client", "asyncio", "subprocess", "dataclasses"}
    assert imported.isdisjoint(heavy)
    assert not {name for name in imported if name.startswith("myx_cli.jobs.")} - {
        *("myx_cli.jobs.request", "myx_cli.jobs.statuses"),
    }


def test_detached_it_prints_the_jobs_id(gateway, myx):
    done = myx("run", "-d", "-l", "all", "--yes", "--", "x")
    assert (done.returncode, done.stdout) == (0, b"0190-job-0\n")


def test_followed_by_others_it_is_only_left(gateway, myx):
    async def script(job):
        await job.begin()
        await job.data(1, 1, b"started\n")
        await asyncio.sleep(60)

    gateway.jobs.script = script
    gateway.jobs.add_job(["local", "other"])
    process = myx.start("job", "follow", "0190-job-0")
    assert process.stdout.readline() == b"local | started\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == b"myx: left; nothing was cancelled: myx job cancel 0190-job-0 would\n"
    assert not gateway.posts(".*/cancel")


def test_a_stream_that_stays_away_says_how_to_go_on(gateway, myx):
    async def script(job):
        await job.stream.text({"type": "job", "job": job.job.document})
        job.drop()

    gateway.jobs.script = script
    done = myx("run", "local", "other", "--reconnect-timeout", "0.4", "--", "x")
    assert done.returncode == 125
    assert b"the job goes on: myx job follow 0190-job-0" in done.stderr


def test_hundreds_of_targets_are_taken_up_again(gateway, myx):
    names = [f"server-{number:05}" for number in range(400)]

    async def script(job):
        await job.begin()
        if len(gateway.jobs.streams) == 1:
            for number in job.job.targets:
                await job.data(number, 1, b"x\n")
            job.drop()
            return
        async with job.lock:
            for number in job.job.targets:
                job.job.change_target(number, status="success", exit_code=0)
            await job.stream.text({"type": "targets", "targets": list(job.job.targets.values())})
        await job.finish()

    gateway.jobs.script = script
    gateway.jobs.matching = names
    done = myx("run", "-l", "all", "--yes", "--", "x")
    assert done.returncode == 0, done.stderr
    received = done.stdout.splitlines()
    assert len(received) == len(set(received))
    assert set(received) == {f"{name} | x".encode() for name in names}
    assert len(gateway.jobs.streams) == 2
    assert gateway.jobs.streams[1][1]
