"""FollowJob: changes and output of many targets, from anywhere, resumed, beside slow readers."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest_asyncio
from executor_jobs import FINAL, RUNNING, Fleet, JobClient, Seen, counts, options, shell, status
from executor_world import Client

from myx_kit.errors import MyxError
from myx_testkit.wait import until

FAST = {"lease_s": 2, "lease_renew_s": 0.5, "sweep_interval_s": 0.2}
LINES = "i=0; while test $i -lt {n}; do echo line-$i; i=$((i+1)); {pause}; done"


@pytest_asyncio.fixture
async def jobs(module_executor):
    async with JobClient(module_executor) as client:
        yield client


def lines(n):
    return b"".join(b"line-%d\n" % number for number in range(n))


async def test_a_follower_sees_every_target_to_its_end_and_the_final_job_last(jobs, registry, agents):
    fleet = Fleet(registry, agents, 9)
    job = await jobs.create(fleet.selector, shell(LINES.format(n=20, pause="sleep 0.02")), opts=options(concurrency=3))
    seen = await jobs.watch(job.id, output=True)
    assert (status(seen.job), counts(seen.job)) == ("success", {"success": 9})
    assert sorted(seen.targets) == list(range(1, 10))
    assert seen.output == dict.fromkeys(range(1, 10), lines(20))
    # Of a job that is over all is seen as well.
    again = await jobs.watch(job.id, output=True)
    assert (again.output, again.job, again.targets) == (seen.output, seen.job, seen.targets)
    without = await jobs.watch(job.id)
    assert (without.output, without.job) == ({}, seen.job)


async def test_from_a_revision_on_only_what_changed_is_sent(jobs, registry, agents):
    fleet = Fleet(registry, agents, 3)
    job = await jobs.create(fleet.selector, shell("echo x"))
    final = await jobs.final(job.id)
    seen = await jobs.watch(job.id, after=final.revision, output=True)
    assert not seen.targets
    assert seen.output == dict.fromkeys((1, 2, 3), b"x\n")
    assert seen.job == final
    rest = await jobs.watch(job.id, after=final.revision, output=True, offsets={1: 1, 2: 2, 3: 2})
    assert rest.output == {1: b"\n"}


async def test_a_follower_that_comes_back_misses_nothing_and_sees_nothing_twice(replica, registry, agents):
    one, other = replica("one", "other", **FAST)
    fleet = Fleet(registry, agents, 6)
    script = LINES.format(n=60, pause="sleep 0.05")
    async with JobClient(one) as first, JobClient(other) as second:
        job = await first.create(fleet.selector, shell(script), opts=options(concurrency=6))
        seen, clients = Seen(), [first, second]
        kill = asyncio.get_running_loop().call_later(1.5, one.program.kill9)
        tries = 0
        while seen.job is None or seen.job.status < FINAL:
            tries += 1
            client = clients[tries % 2]
            after = seen.job.revision if seen.job is not None else 0
            try:
                async with aclosing(
                    client.follow(job.id, after=after, output=True, offsets=seen.offsets, timeout_s=20)
                ) as responses:
                    number = 0
                    async for response in responses:
                        seen.take(response)
                        number += 1
                        if number >= 10:
                            break
            except MyxError:
                await asyncio.sleep(0.1)
        kill.cancel()
        assert counts(seen.job) == {"success": 6}
        assert seen.output == dict.fromkeys(range(1, 7), lines(60))
        assert {target.exit_code for target in seen.targets.values()} == {0}


async def test_a_reader_that_takes_nothing_holds_up_nobody(replica, registry, agents):
    one = replica("one", **FAST)
    fleet = Fleet(registry, agents, 6)
    size = 8 * 1024 * 1024
    script = f"head -c {size} /dev/zero | tr '\\0' 'x'"
    async with JobClient(one) as lazy, JobClient(one) as keen, Client(f"127.0.0.1:{one.port}", one.tls_dir) as client:
        job = await keen.create(fleet.selector, shell(script), opts=options(concurrency=6))
        async with aclosing(lazy.follow(job.id, output=True)) as idle:
            await anext(idle)
            seen = await keen.watch(job.id, output=True)
            assert counts(seen.job) == {"success": 6}
            assert {len(data) for data in seen.output.values()} == {size}
            assert memory_mb(one) < 400
            assert (await client.get(seen.targets[1].command_id)).log_size_bytes == size


async def test_output_is_seen_while_it_is_written_on_any_replica(replica, registry, agents, tmp_path):
    replicas = replica("one", "other", **FAST)
    fleet = Fleet(registry, agents, 6)
    gate = tmp_path / "gate"
    script = f"echo first; while ! test -e {gate}; do sleep 0.05; done; echo second"
    async with JobClient(replicas[0]) as first, JobClient(replicas[1]) as second:
        job = await first.create(fleet.selector, shell(script))

        async def read(client, firsts):
            seen = Seen()
            async with aclosing(client.follow(job.id, output=True)) as responses:
                async for response in responses:
                    seen.take(response)
                    if seen.output == dict.fromkeys(range(1, 7), b"first\n"):
                        firsts.set()
            return seen

        events = [asyncio.Event(), asyncio.Event()]
        readers = [asyncio.create_task(read(*pair)) for pair in zip((first, second), events, strict=True)]
        for event in events:
            await asyncio.wait_for(event.wait(), 30)
        assert await first.count(job.id, RUNNING) == 6
        gate.touch()
        for seen in await asyncio.gather(*readers):
            assert seen.output == dict.fromkeys(range(1, 7), b"first\nsecond\n")


async def test_a_paused_and_resumed_job_is_told(jobs, registry, agents, tmp_path):
    fleet = Fleet(registry, agents, 2)
    gate = tmp_path / "gate"
    script = f"while ! test -e {gate}; do sleep 0.05; done"
    job = await jobs.create(fleet.selector, shell(script), opts=options(concurrency=1))
    states = []

    async def read():
        async with aclosing(jobs.follow(job.id)) as responses:
            async for response in responses:
                if response.HasField("job") and (not states or states[-1] != status(response.job)):
                    states.append(status(response.job))

    reader = asyncio.create_task(read())

    async def saw(state):
        await until(lambda: asyncio.sleep(0, state in states), 20)

    await saw("running")
    await jobs.ask("PauseJob", job.id)
    await saw("paused")
    del states[:]
    await jobs.ask("ResumeJob", job.id)
    await saw("running")
    gate.touch()
    await reader
    assert states[-1] == "success"


def memory_mb(executor):
    text = Path(f"/proc/{executor.program.process.pid}/status").read_text(encoding="utf-8")
    return int(text.split("VmRSS:")[1].split()[0]) // 1024
