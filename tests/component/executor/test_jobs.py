"""Jobs on real agents: what is matched, how they go over their targets, and how they end."""

import asyncio
import hashlib
import uuid

import psycopg
import pytest
import pytest_asyncio
from executor_jobs import RUNNING, WAITING, Fleet, JobClient, counts, options, shell, status

from myx.executor.v1 import command_pb2, job_pb2
from myx.executor.v1.job_service_pb2 import ListJobsRequest
from myx_kit.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from myx_testkit.wait import until

T = job_pb2
SUCCESS = T.TARGET_STATUS_SUCCESS


@pytest_asyncio.fixture
async def jobs(module_executor):
    async with JobClient(module_executor) as client:
        yield client


@pytest.fixture
def marks(tmp_path):
    """A folder in which each run leaves a file; the script that does it."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def mark(folder):
    return f"mktemp {folder}/XXXXXXXX >/dev/null"


async def test_a_job_runs_once_on_each_server_that_the_selector_matches(jobs, registry, agents, marks):
    fleet = Fleet(registry, agents, 7)
    preview = await jobs.preview(fleet.selector)
    assert [target.server_name for target in preview.targets] == fleet.names
    assert (
        preview.targets_sha256 == hashlib.sha256("".join(f"{one}\n" for one in sorted(fleet.ids)).encode()).hexdigest()
    )
    job = await jobs.create(
        fleet.selector,
        shell(f"{mark(marks)}; echo hello"),
        expected_targets_sha256=preview.targets_sha256,
        name="hello",
    )
    assert job.target_count == 7
    final = await jobs.final(job.id)
    assert (status(final), counts(final)) == ("success", {"success": 7})
    assert len(list(marks.iterdir())) == 7
    assert final.targets_sha256 == preview.targets_sha256
    assert [change.to for change in final.changes] == ["pending", "running", "success"]
    assert not final.HasField("deadline_at")
    assert not final.next
    targets = await jobs.targets(job.id)
    assert [target.server_id for target in targets] == fleet.ids
    assert {target.exit_code for target in targets} == {0}
    assert {target.log_size_bytes for target in targets} == {6}
    assert len({target.output_sha256 for target in targets}) == 1
    assert targets[0].output_sha256
    assert len({target.command_id for target in targets}) == 7


async def test_servers_can_be_named(jobs, registry, agents):
    fleet = Fleet(registry, agents, 3)
    job = await jobs.create("", shell("true"), servers=[fleet.names[2], fleet.ids[0]])
    assert job.target_count == 2
    assert status(await jobs.final(job.id)) == "success"


@pytest.mark.parametrize(
    ("error", "reason", "fields"),
    [
        (FailedPrecondition, "SELECTOR_MATCHES_NOTHING", {"selector": "fleet=none"}),
        (InvalidArgument, "SELECTOR_INVALID", {"selector": ""}),
        (InvalidArgument, "SELECTOR_INVALID", {"selector": "fleet ~~ (("}),
        (InvalidArgument, "SELECTOR_INVALID", {"selector": "all", "servers": ["a"]}),
        (NotFound, "SERVER_NOT_FOUND", {"selector": "", "servers": ["no-such-server"]}),
        (FailedPrecondition, "TARGETS_CHANGED", {"selector": "all", "expected_targets_sha256": "0" * 64}),
        (InvalidArgument, "ARGUMENT_INVALID", {"selector": "all", "expected_targets_sha256": "x"}),
        (InvalidArgument, "JOB_OPTIONS_INVALID", {"selector": "all", "opts": options(concurrency=0)}),
        (InvalidArgument, "COMMAND_EMPTY", {"selector": "all", "work": T.JobWork(command={"command": " "})}),
        (InvalidArgument, "ARGUMENT_INVALID", {"selector": "all", "work": T.JobWork()}),
        (InvalidArgument, "ARGUMENT_INVALID", {"selector": "all", "work": shell("true", server="a")}),
        (InvalidArgument, "KIND_INVALID", {"selector": "all", "work": T.JobWork(deployment={"kind": "no"})}),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_stored(jobs, agents, registry, error, reason, fields):
    Fleet(registry, agents, 1)
    before = await jobs.stub.ListJobs(ListJobsRequest())
    with pytest.raises(error) as caught:
        await jobs.create(**{"work": shell("true"), **fields})
    assert caught.value.reason == reason
    after = await jobs.stub.ListJobs(ListJobsRequest())
    assert [job.id for job in after.jobs] == [job.id for job in before.jobs]


async def test_a_job_that_nobody_has_is_not_found(jobs):
    for call in (jobs.get, jobs.targets, jobs.watch):
        with pytest.raises(NotFound) as caught:
            await call("0197c1f0-0000-7000-8000-000000000000")
        assert caught.value.reason == "JOB_NOT_FOUND"


async def test_the_same_request_twice_is_one_job(jobs, registry, agents, marks):
    fleet = Fleet(registry, agents, 3)
    work = shell(mark(marks))
    made = await asyncio.gather(*(jobs.create(fleet.selector, work, request_id="r1") for _ in range(5)))
    assert len({job.id for job in made}) == 1
    final = await jobs.final(made[0].id)
    again = await jobs.create(fleet.selector, work, request_id="r1")
    assert (again.id, again.status) == (final.id, final.status)
    assert len(list(marks.iterdir())) == 3
    with pytest.raises(Aborted) as caught:
        await jobs.create(fleet.selector, shell("false"), request_id="r1")
    assert caught.value.reason == "REQUEST_ID_REUSED"


async def test_never_more_are_under_way_than_the_concurrency_and_it_can_be_changed(jobs, registry, agents, tmp_path):
    fleet = Fleet(registry, agents, 8)
    gate = tmp_path / "gate"
    job = await jobs.create(fleet.selector, shell(wait_for(gate)), opts=options(concurrency=2))

    async def two_run():
        return await jobs.count(job.id, RUNNING) == 2

    await until(two_run)
    changed = await jobs.ask("UpdateJob", job.id, concurrency=T.Share(count=5))
    assert changed.options.concurrency.count == 5

    async def five_run():
        return await jobs.count(job.id, RUNNING) == 5

    await until(five_run)
    assert await jobs.count(job.id, WAITING) == 3
    gate.touch()
    assert status(await jobs.final(job.id)) == "success"
    with pytest.raises(FailedPrecondition) as caught:
        await jobs.ask("UpdateJob", job.id, concurrency=T.Share(count=5))
    assert caught.value.reason == "JOB_NOT_OPEN"


async def test_a_failing_target_is_told_and_the_end_is_graded(jobs, registry, agents):
    fleet = Fleet(registry, agents, 4)
    job = await jobs.create(fleet.selector, shell("exit 3"))
    final = await jobs.final(job.id)
    assert (status(final), final.reason, counts(final)) == ("failed", "targets_failed", {"failed": 4})
    assert final.message == "0 of 4 succeeded; 4 failed"
    assert {(target.reason, target.exit_code) for target in await jobs.targets(job.id)} == {("exit_code", 3)}


async def test_a_target_without_an_agent_says_what_to_do(jobs, registry, agents):
    fleet = Fleet(registry, agents, 1)
    bare = {"server_id": str(uuid.uuid4()), "server_name": f"{fleet.label}-bare", "address": "192.0.2.1"}
    registry.put(bare | {"_": {"labels": {"fleet": fleet.label}}})
    job = await jobs.create(fleet.selector, shell("true"))
    assert counts(await jobs.final(job.id)) == {"success": 1, "unreachable": 1}
    told = {target.server_name: target.message for target in await jobs.targets(job.id)}
    assert told[bare["server_name"]] == "the server has no agent: enrol it first"


async def test_past_the_threshold_nothing_is_started(jobs, registry, agents, marks):
    fleet = Fleet(registry, agents, 12)
    job = await jobs.create(fleet.selector, shell(f"{mark(marks)}; exit 1"), opts=options(concurrency=2, max_failed=2))
    final = await jobs.final(job.id)
    assert (status(final), final.reason) == ("stopped", "max_failed")
    ran = counts(final)["failed"]
    assert 3 <= ran <= 4
    assert counts(final) == {"failed": ran, "not_started": 12 - ran}
    assert len(list(marks.iterdir())) == ran
    not_started = await jobs.targets(job.id, T.TARGET_STATUS_NOT_STARTED)
    assert {(one.reason, one.command_id) for one in not_started} == {("max_failed", "")}


async def test_a_failed_canary_stops_the_job(jobs, registry, agents, marks):
    fleet = Fleet(registry, agents, 6)
    job = await jobs.create(fleet.selector, shell(f"{mark(marks)}; exit 1"), opts=options(canary=1))
    final = await jobs.final(job.id)
    assert (status(final), final.reason) == ("stopped", "canary_failed")
    assert counts(final) == {"failed": 1, "not_started": 5}
    assert len(list(marks.iterdir())) == 1


async def test_batches_follow_each_other_with_a_pause(jobs, registry, agents, tmp_path):
    fleet = Fleet(registry, agents, 6, labels=lambda number: {"rack": "ba"[number % 2]})
    log = tmp_path / "log"
    script = f"echo start >> {log}; sleep 0.2; echo end >> {log}"
    job = await jobs.create(fleet.selector, shell(script), opts=options(batch_label="rack", batch_pause=0.5))
    assert job.batch_count == 2
    assert status(await jobs.final(job.id)) == "success"
    assert log.read_text().split() == (["start"] * 3 + ["end"] * 3) * 2
    targets = await jobs.targets(job.id)
    assert [target.batch for target in targets] == [1, 1, 1, 2, 2, 2]
    first_ended = max(target.ended_at.ToNanoseconds() for target in targets[:3])
    then_began = min(target.started_at.ToNanoseconds() for target in targets[3:])
    assert then_began - first_ended >= 0.4e9


async def test_a_paused_job_starts_nothing_until_it_is_resumed(jobs, registry, agents, marks, tmp_path):
    fleet = Fleet(registry, agents, 6)
    gate = tmp_path / "gate"
    job = await jobs.create(fleet.selector, shell(f"{mark(marks)}; {wait_for(gate)}"), opts=options(concurrency=2))

    async def two_run():
        return len(list(marks.iterdir())) == 2

    await until(two_run)
    paused = await jobs.ask("PauseJob", job.id)
    assert status(paused) == "paused"
    assert paused.HasField("deadline_at")
    assert paused.next
    assert status(await jobs.ask("PauseJob", job.id)) == "paused"
    gate.touch()

    async def both_ended():
        return await jobs.count(job.id, SUCCESS) == 2

    await until(both_ended)
    assert await jobs.count(job.id, WAITING) == 4
    assert len(list(marks.iterdir())) == 2
    assert status(await jobs.ask("ResumeJob", job.id)) == "running"
    assert status(await jobs.final(job.id)) == "success"
    assert len(list(marks.iterdir())) == 6
    with pytest.raises(FailedPrecondition) as caught:
        await jobs.ask("ResumeJob", job.id)
    assert caught.value.reason == "JOB_NOT_OPEN"
    assert caught.value.message == "the job is over (success)"


async def test_a_cancelled_job_leaves_nothing_pending_and_ends_when_every_end_is_proved(
    jobs, registry, agents, marks, client
):
    fleet = Fleet(registry, agents, 6)
    job = await jobs.create(fleet.selector, shell(f"{mark(marks)}; sleep 600"), opts=options(concurrency=3))

    async def three_run():
        return len(list(marks.iterdir())) == 3

    await until(three_run)
    asked = await jobs.ask("CancelJob", job.id)
    assert status(asked) == "cancelling"
    assert counts(asked).get("waiting", 0) == 0
    assert counts(asked)["not_started"] == 3
    final = await jobs.final(job.id)
    assert (status(final), final.reason) == ("cancelled", "cancelled")
    assert counts(final) == {"cancelled": 3, "not_started": 3}
    for target in await jobs.targets(job.id, T.TARGET_STATUS_CANCELLED):
        command = await client.get(target.command_id)
        assert (command.status, command.reason) == (command_pb2.COMMAND_STATUS_CANCELLED, "cancelled")
    assert status(await jobs.ask("CancelJob", job.id)) == "cancelled"
    assert len(list(marks.iterdir())) == 3


async def test_only_what_did_not_go_well_is_retried(jobs, registry, agents, marks):
    fleet = Fleet(registry, agents, 5)
    script = f"mkdir {marks}/one-fails 2>/dev/null && exit 7; {mark(marks)}"
    job = await jobs.create(fleet.selector, shell(script), opts=options(concurrency=1))
    first = await jobs.final(job.id)
    assert (status(first), counts(first)) == ("partial", {"success": 4, "failed": 1})
    again = await jobs.ask("RetryJob", job.id, request_id="again")
    assert (again.retry_of, again.target_count) == (job.id, 1)
    assert (await jobs.ask("RetryJob", job.id, request_id="again")).id == again.id
    assert status(await jobs.final(again.id)) == "success"
    (failed,) = await jobs.targets(job.id, T.TARGET_STATUS_FAILED)
    (retried,) = await jobs.targets(again.id)
    assert retried.server_id == failed.server_id
    with pytest.raises(FailedPrecondition) as caught:
        await jobs.ask("RetryJob", again.id)
    assert caught.value.reason == "NO_SUCH_TARGETS"


async def test_secrets_are_never_shown_and_are_gone_at_the_end(jobs, registry, agents, module_postgres, tmp_path):
    fleet = Fleet(registry, agents, 2)
    out = tmp_path / "out"
    work = shell(
        f'echo "$PASSWORD" >> {out}; test "$FAILS" = no', secret_env={"PASSWORD": "hunter2"}, env={"FAILS": "yes"}
    )
    job = await jobs.create(fleet.selector, work)
    assert dict(job.work.command.secret_env) == {"PASSWORD": ""}
    final = await jobs.final(job.id)
    assert out.read_text() == "hunter2\n" * 2
    with pytest.raises(FailedPrecondition) as caught:
        await jobs.ask("RetryJob", job.id)
    assert caught.value.reason == "SECRETS_GONE"
    again = await jobs.ask("RetryJob", job.id, secrets={"PASSWORD": "hunter3"})
    await jobs.final(again.id)
    assert out.read_text() == "hunter2\n" * 2 + "hunter3\n" * 2
    with psycopg.connect(module_postgres.url) as db:
        rows = db.execute("select j::text from executor.job j").fetchall()
        assert not any("hunter" in text for (text,) in rows)
        (sealed,) = db.execute("select sealed from executor.job where id = %s", (final.id,)).fetchone()
        assert sealed is None


async def test_jobs_are_listed_newest_first_by_pages(jobs, registry, agents):
    fleet = Fleet(registry, agents, 1)
    made = [(await jobs.create(fleet.selector, shell("true"))).id for _ in range(3)]
    for job_id in made:
        await jobs.final(job_id)
    seen, token = [], ""
    while len(seen) < 3:
        page = await jobs.stub.ListJobs(ListJobsRequest(page_size=2, page_token=token, statuses=[T.JOB_STATUS_SUCCESS]))
        seen += [job.id for job in page.jobs]
        token = page.next_page_token
    assert seen[:3] == made[::-1]


async def test_jobs_within_servers_have_no_target_outside_of_them(jobs, registry, agents):
    fleet = Fleet(registry, agents, 2)
    one = await jobs.create("", shell("true"), servers=[fleet.names[0]])
    both = await jobs.create(fleet.selector, shell("true"))
    for job in (one, both):
        await jobs.final(job.id)

    async def listed(*ids):
        within = command_pb2.ServerSet(ids=ids)
        return [job.id for job in (await jobs.stub.ListJobs(ListJobsRequest(within=within))).jobs]

    assert await listed(fleet.ids[0]) == [one.id]
    assert await listed(*fleet.ids) == [both.id, one.id]
    assert await listed(fleet.ids[1]) == []
    assert await listed() == []


async def test_its_commands_name_their_job(jobs, registry, agents, client):
    fleet = Fleet(registry, agents, 2)
    job = await jobs.create(fleet.selector, shell("true"))
    await jobs.final(job.id)
    for target in await jobs.targets(job.id):
        command = await client.get(target.command_id)
        assert (command.job_id, command.server_id) == (job.id, target.server_id)


def wait_for(gate):
    return f"while ! test -e {gate}; do sleep 0.05; done"
