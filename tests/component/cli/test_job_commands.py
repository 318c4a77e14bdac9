"""`myx job …`, `myx schedule …`, and search and download of logs."""

import json

import pytest


def partial_job(gateway, **facts):
    job = gateway.jobs.add_job(
        ["web-1", "web-2", "db-1"],
        {"command": {"command": "apt", "args": ["update"]}, "deployment": None},
        **{"status": "partial", "started_at": "2026-01-01T00:00:01Z", "ended_at": "2026-01-01T00:01:01Z", **facts},
    )
    job.change_target(1, status="success", exit_code=0, log_size_bytes=1234)
    job.change_target(2, status="failed", exit_code=100, reason="exit_code")
    job.change_target(3, status="unreachable", reason="agent_unreachable", message="connection refused")
    return job


def test_a_list_of_jobs(gateway, myx):
    partial_job(gateway, name="patches")
    done = myx("job", "list", "--status", "partial", "--limit", "5")
    assert done.stdout.decode().rstrip("\n").split("\t") == [
        *(
            "0190-job-0",
            "partial",
            "2026-01-01T00:00:00Z",
            "60 s",
            "3",
            "1 success, 1 unreachable, 1 failed",
            "patches",
        ),
        "apt update",
    ]
    assert gateway.requests[-1].query == {"status": ["partial"], "page_size": ["5"]}
    assert len(json.loads(myx("job", "list", "-o", "json").stdout)["items"]) == 1


def test_a_job_shows_where_it_stands_and_why(gateway, myx):
    changes = [
        {"at": "T1", "from": "", "to": "pending", "actor": "token:admin", "cause": "accepted", "evidence": ""},
        {
            "at": "T2",
            "from": "running",
            "to": "stopping",
            "actor": "executor:b",
            "cause": "max_failed",
            "evidence": "4",
        },
    ]
    partial_job(
        gateway,
        status="stopping",
        reason="max_failed",
        message="4 failed",
        next="waits for 2 servers",
        deadline_at="2026-01-02T00:00:00Z",
        owner="executor-b",
        batch=2,
        batch_count=5,
        options={"concurrency": "5%", "batches": ["1", "10%"], "canary": None},
        changes=changes,
        selector="env=prod",
    )
    shown = dict(line.split("\t", 1) for line in myx("job", "show", "0190-job-0").stdout.decode().splitlines())
    assert shown["status"] == "stopping"
    assert shown["since"] == "2026-01-01T00:00:00Z"
    assert (shown["reason"], shown["message"], shown["next"]) == ("max_failed", "4 failed", "waits for 2 servers")
    assert (shown["deadline"], shown["owner"], shown["batch"]) == ("2026-01-02T00:00:00Z", "executor-b", "2 of 5")
    assert (shown["batches"], shown["concurrency"], shown["selector"]) == ("1, 10%", "5%", "env=prod")
    assert shown["by state"] == "1 success, 1 unreachable, 1 failed"
    assert shown["history"] == "T2  running → stopping  max_failed: 4  (executor:b)"
    lines = myx("job", "show", "0190-job-0").stdout.decode().splitlines()
    assert "trouble\tweb-2: exit code 100" in lines
    assert "trouble\tdb-1: the agent could not be reached: connection refused" in lines


def test_targets_of_a_job(gateway, myx):
    partial_job(gateway)
    done = myx("job", "targets", "0190-job-0", "--status", "failed", "--status", "unreachable")
    rows = [line.split("\t") for line in done.stdout.decode().splitlines()]
    assert [row[:5] for row in rows] == [
        ["2", "web-2", "1", "failed", "100"],
        ["3", "db-1", "1", "unreachable", ""],
    ]
    assert len(myx("job", "targets", "0190-job-0").stdout.splitlines()) == 3
    assert myx("job", "targets", "nope").stderr == b"myx: there is no such job\n"


def test_a_job_is_paused_resumed_changed_and_cancelled(gateway, myx):
    gateway.jobs.add_job(["a", "b"], status="running")
    assert myx("job", "pause", "0190-job-0").stdout == b"0190-job-0\tpaused\t2 waiting\t\n"
    assert myx("job", "resume", "0190-job-0").stdout == b"0190-job-0\trunning\t2 waiting\t\n"
    assert myx("job", "set", "0190-job-0", "--concurrency", "10%").returncode == 0
    assert (gateway.requests[-1].method, gateway.requests[-1].json()) == ("PATCH", {"concurrency": "10%"})
    done = myx("job", "cancel", "0190-job-0", "nope", "--grace", "5s")
    assert done.returncode == 125
    assert b"0190-job-0\tcancelling\t2 waiting\twaits until the agents have proved the end\n" in done.stdout
    assert done.stderr == b"myx: nope: there is no such job\n"
    assert gateway.posts(".*/cancel")[0].json() == {"grace_s": 5.0}
    partial_job(gateway)
    assert b"0190-job-1 had ended already (partial)" in myx("job", "cancel", "0190-job-1").stderr


def test_a_retry_takes_up_what_did_not_succeed(gateway, myx):
    async def script(job):
        await job.begin()
        await job.data(1, 1, b"again\n")
        await job.tell_targets(*job.job.targets, status="success", exit_code=0)
        await job.finish()

    gateway.jobs.script = script
    partial_job(gateway)
    gateway.jobs.known |= {"web-2", "db-1"}
    done = myx("job", "retry", "0190-job-0", "--secret-env", "PASS", env={"PASS": "s3cr3t"})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"web-2 | again\n", b"")
    assert gateway.posts(".*/retry")[0].json() == {"secrets": {"PASS": "s3cr3t"}}
    assert myx("job", "retry", "0190-job-0", "-d", "--status", "unreachable").stdout == b"0190-job-2\n"
    assert gateway.posts(".*/retry")[1].json() == {"statuses": ["unreachable"]}


def test_a_command_shows_since_owner_deadline_and_history(gateway, myx):
    change = {"at": "T1", "from": "pending", "to": "queued", "actor": "executor:a", "cause": "agent_offline"}
    command = gateway.add_command(
        status="queued",
        status_since="2026-01-01T00:00:05Z",
        deadline_at="2026-01-01T01:00:00Z",
        next="waits for its agent",
        owner="",
        changes=[change],
        offline="queue",
        lock="exclusive",
        job_id="0190-job-7",
        schedule_id="0190-schedule-1",
    )
    shown = dict(line.split("\t", 1) for line in myx("command", "show", command["id"]).stdout.decode().splitlines())
    assert shown["since"] == "2026-01-01T00:00:05Z"
    assert shown["deadline"] == "2026-01-01T01:00:00Z"
    assert shown["next"] == "waits for its agent"
    assert (shown["when offline"], shown["lock"]) == ("queue", "exclusive")
    assert (shown["job"], shown["schedule"]) == ("0190-job-7", "0190-schedule-1")
    assert shown["history"] == "T1  pending → queued  agent_offline  (executor:a)"
    myx("command", "list", "--job", "0190-job-7")
    assert gateway.requests[-1].query["job_id"] == ["0190-job-7"]


def test_servers_by_selector(gateway, myx):
    assert myx("server", "list", "-l", "env=test and os=debian").returncode == 0
    assert gateway.requests[-1].query["selector"] == ["env=test and os=debian"]


WHEN = ("--cron", "0 3 * * *")


@pytest.mark.parametrize(
    ("options", "work"),
    [
        (["local", "--", "true", "-x"], {"command": {"server": "local", "command": "true", "args": ["-x"]}}),
        (
            ["-l", "env=prod", "--batch", "10%", "--job-name", "n", "--", "true"],
            {
                "job": {
                    "selector": "env=prod",
                    "work": {"command": {"command": "true", "args": []}},
                    "name": "n",
                    "options": {"batches": ["10%"]},
                }
            },
        ),
        (
            ["local", "other", "--", "true"],
            {
                "job": {
                    "servers": ["local", "other"],
                    "work": {"command": {"command": "true", "args": []}},
                    "options": {},
                }
            },
        ),
        (["local", "--deploy", "caddy"], {"deployment": {"server": "local", "kind": "caddy"}}),
        (
            [
                *("-l", "all", "--playbook", "web/site", "--extra-vars", "a=1", "--offline", "skip"),
                *("--no-output-timeout", "10m"),
            ],
            {
                "job": {
                    "selector": "all",
                    "options": {},
                    "work": {
                        "deployment": {
                            "kind": "playbook",
                            "project": "web",
                            "playbook": "site.yml",
                            "extra_vars": {"a": "1"},
                            "offline": "skip",
                            "no_output_timeout_s": 600.0,
                        }
                    },
                }
            },
        ),
    ],
)
def test_a_schedule_starts_commands_deployments_and_jobs(gateway, myx, options, work):
    when = (*WHEN, "--tz", "Europe/Berlin", "--missed", "run-once", "--missed-within", "1h", "--overlap", "wait")
    done = myx("schedule", "add", "nightly", *when, *options)
    assert done.returncode == 0, done.stderr
    (post,) = gateway.posts("/schedules")
    assert post.headers["idempotency-key"]
    assert post.json() == {
        "name": "nightly",
        "cron": "0 3 * * *",
        "time_zone": "Europe/Berlin",
        "missed": "run_once",
        "missed_within_s": 3600.0,
        "overlap": "wait",
        "work": work,
    }
    assert b"next\t2026-03-29T03:00:00+02:00\n" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add"], b"required: NAME (see"),
        (["add", "n", "local", "--", "x"], b"when? --cron"),
        (["add", "n", *WHEN, "local"], b"start what?"),
        (["add", "n", *WHEN, "--", "x"], b"on which servers?"),
        (["add", "n", *WHEN, "local", "--"], b"which command?"),
        (["add", "n", *WHEN, "local", "--deploy", "caddy", "--", "x"], b"not both"),
        (["add", "n", *WHEN, "local", "--deploy", "caddy", "--cwd", "/x"], b"--cwd is an option of commands"),
        (["add", "n", *WHEN, "local", "--check", "--", "x"], b"--check is an option of --deploy and --playbook"),
        (["add", "n", *WHEN, "local", "--missed", "skip", "--missed-within", "1h", "--", "x"], b"--missed run-once"),
        (["set", "n"], b"change what?"),
        (["set", "n", "-l", "all"], b"changed as a whole"),
        (["set", "n", "--cron", "0 4 * * *", "--concurrency", "5"], b"changed as a whole"),
        (["set", "n", "--cron", "0 4 * * *", "--job-name", "x"], b"changed as a whole"),
        (["set", "n", "--cron", "0 4 * * *", "--lock", "none"], b"changed as a whole"),
        (["set", "n", "--cron", "0 4 * * *", "--timeout", "0"], b"changed as a whole"),
        (["next"], b"of what?"),
    ],
)
def test_a_schedule_that_is_none_is_refused_here(gateway, myx, arguments, said):
    done = myx("schedule", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said in done.stderr
    assert not gateway.posts(".*")


def test_a_schedule_on_a_server_that_is_none_says_where_the_names_are(gateway, myx):
    unknown = {"reason": "SERVER_NOT_FOUND", "detail": "There is no server of this name.", "fields": {"server": "nope"}}
    gateway.answers.append(("POST /schedules", (404, unknown)))
    done = myx("schedule", "add", "n", *WHEN, "nope", "--", "x")
    assert done.returncode == 125
    assert b"server: nope); nothing was stored; the names are shown by: myx server list" in done.stderr


def test_schedules_are_listed_shown_changed_and_removed(gateway, myx):
    work = {"command": None, "deployment": None}
    job = {"selector": "env=prod", "servers": [], "work": {"command": {"command": "true", "args": []}}, "options": {}}
    gateway.jobs.add_schedule(name="nightly", time_zone="Europe/Berlin", cron="0 3 * * *", work={**work, "job": job})
    assert myx("schedule", "list").stdout.decode().rstrip("\n").split("\t") == [
        *(
            "nightly",
            "active",
            "0 3 * * *",
            "Europe/Berlin",
            "2026-03-29T03:00:00+02:00",
            "2026-01-01T03:00:00Z",
            "denied",
        ),
        "true on env=prod",
    ]
    shown = myx("schedule", "show", "nightly").stdout.decode()
    assert "owner\ttoken:admin\n" in shown
    assert "message\tits owner may not do this any more\n" in shown
    assert b"state\tpaused\n" in myx("schedule", "pause", "nightly").stdout
    assert (gateway.requests[-1].json(), gateway.requests[-1].headers["if-match"]) == ({"paused": True}, '"e1"')
    assert b"state\tactive\n" in myx("schedule", "resume", "nightly").stdout
    assert b"cron\t5 4 * * *\n" in myx("schedule", "set", "nightly", "--cron", "5 4 * * *").stdout
    assert myx("schedule", "next", "nightly", "-n", "2").stdout.splitlines() == [
        *(b"2026-03-29T03:00:00+02:00", b"2026-03-30T03:00:00+02:00"),
    ]
    assert gateway.posts("/schedules/preview")[-1].json() == {
        "cron": "5 4 * * *",
        "time_zone": "Europe/Berlin",
        "count": 2,
    }
    assert myx("schedule", "next", "--cron", "* * * * *", "--tz", "Asia/Tokyo").returncode == 0
    assert myx("schedule", "fires", "nightly").stdout.split(b"\t")[:2] == [b"2026-01-01T03:00:00Z", b"denied"]
    done = myx("schedule", "remove", "nightly", "nope")
    assert (done.returncode, done.stderr) == (125, b"myx: nope: there is no schedule nope\n")
    assert not gateway.jobs.schedules


def matches(*lines, **facts):
    items = [
        {"offset": offset, "stream": "stdout", "line": line, "match_start": 0, "match_end": 3} for offset, line in lines
    ]
    return 200, {"items": items, "is_end": False, "log_size_bytes": 1000, **facts}


def test_a_log_is_searched_by_the_server_piece_by_piece(gateway, myx):
    gateway.answers += [
        ("GET .*/log/search", matches((0, "err one"), (90, "err two"), next_offset=500)),
        ("GET .*/log/search", matches(next_offset=800)),
        ("GET .*/log/search", matches((900, "err \x1b[2Jthree"), next_offset=1000, is_end=True)),
    ]
    done = myx("logs", "0190", "--grep", "ERR", "--regex", "-i")
    assert (done.returncode, done.stdout) == (0, b"0:err one\n90:err two\n900:err \x1b[2Jthree\n")
    queries = [request.query for request in gateway.requests]
    assert [query["from_offset"] for query in queries] == [["0"], ["500"], ["800"]]
    assert queries[0]["pattern"] == ["ERR"]
    assert (queries[0]["regex"], queries[0]["ignore_case"]) == (["true"], ["true"])


def test_a_search_without_a_match_is_a_1_and_one_that_was_cut_says_so(gateway, myx):
    gateway.answers.append(("GET .*/log/search", matches(next_offset=1000, is_end=True)))
    assert myx("deployment", "logs", "0190", "--grep", "x").returncode == 1
    assert gateway.requests[-1].path == "/deployments/0190/log/search"
    gateway.answers.append(("GET .*/log/search", matches((5, "x"), next_offset=7)))
    done = myx("logs", "0190", "--grep", "x", "--limit", "1", "-o", "json")
    assert json.loads(done.stdout)["type"] == "match"
    assert done.stderr == b"myx: there may be more: --offset 7 goes on there\n"
    gateway.answers += [("GET .*/log/search", matches(next_offset=7))] * 3
    done = myx("logs", "0190", "--grep", "x")
    assert done.returncode == 125
    assert b"does not get beyond offset 7" in done.stderr


LOG = bytes(range(256)) * 400


def final_command(gateway, **facts):
    return gateway.add_command(status="success", exit_code=0, log_size_bytes=len(LOG), **facts)


def test_a_download_goes_on_where_it_was_broken_off(gateway, myx, tmp_path):
    command = final_command(gateway)

    async def script(stream):
        part = LOG[stream.offset :][: 30_000 if len(gateway.streams) == 1 else None]
        for start in range(0, len(part), 1000):
            await stream.data(1 + start // 1000 % 2, part[start : start + 1000])
        if len(gateway.streams) == 1:
            await stream.close(1008, "nothing was read")
        else:
            await stream.final()

    gateway.script = script
    target = tmp_path / "log.txt"
    broken = myx("logs", command["id"], "--download", str(target), "--reconnect-timeout", "0")
    assert broken.returncode == 125
    assert not target.exists()
    done = myx("logs", command["id"], "--download", str(target))
    assert done.returncode == 0, done.stderr
    assert gateway.streams == [0, 30_000]
    assert target.read_bytes() == LOG
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]
    assert f"{target}: {len(LOG)} bytes".encode() in done.stderr


def test_a_download_with_gaps_knows_its_place_again(gateway, myx, tmp_path):
    command = final_command(gateway)

    async def script(stream):
        first = len(gateway.streams) == 1
        if first:
            await stream.data(1, b"a" * 100)
            await stream.gap(50, "limit reached")
            await stream.data(1, b"b" * 10)
            await stream.close(1008, "nothing was read")
        else:
            await stream.data(1, b"c" * 5)
            await stream.final(log_completeness="incomplete")

    gateway.script = script
    target = tmp_path / "log"
    assert myx("logs", command["id"], "--download", str(target), "--reconnect-timeout", "0").returncode == 125
    done = myx("logs", command["id"], "--download", str(target))
    assert done.returncode == 0, done.stderr
    assert gateway.streams == [0, 160]
    assert target.read_bytes() == b"a" * 100 + b"b" * 10 + b"c" * 5
    assert b"50 bytes of the log are missing in it" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_download_of_what_runs_is_kept_and_goes_on(gateway, myx, tmp_path):
    command = gateway.add_command(log_size_bytes=10)

    async def script(stream):
        if stream.offset < 10:
            await stream.data(1, b"0123456789"[stream.offset :])
        if len(gateway.streams) > 1:
            await stream.data(1, b"abc")
            await stream.final()
        else:
            await stream.cancelled()

    gateway.script = script
    target = tmp_path / "log"
    done = myx("logs", command["id"], "--download", str(target))
    assert done.returncode == 0
    assert b"has not ended; " in done.stderr
    assert not target.exists()
    assert myx("logs", command["id"], "--download", str(target), "-f").returncode == 0
    assert target.read_bytes() == b"0123456789abc"


def test_a_download_that_cannot_be_written_says_so(gateway, myx, tmp_path):
    command = final_command(gateway)
    done = myx("logs", command["id"], "--download", "/nosuch/folder/log")
    assert done.returncode == 125
    assert b"cannot be written: No such file" in done.stderr
    assert myx("logs", command["id"], "--download", str(tmp_path)).returncode == 2
