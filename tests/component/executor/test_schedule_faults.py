"""Schedules whose owner lost the right, whose gateway is away, whose replicas die: once each time, or not at all."""

import asyncio
import os
import random
import signal

import pytest
from executor_schedules import QUICK, Schedules, command, commands_of, gateway

from myx.executor.v1 import schedule_service_pb2 as pb
from myx_testkit.ports import free_port
from myx_testkit.wait import until

STARTED, PENDING = pb.FIRE_OUTCOME_STARTED, pb.FIRE_OUTCOME_PENDING
ALLOW = pb.OVERLAP_POLICY_ALLOW
DENIED, FAILED = pb.FIRE_OUTCOME_DENIED, pb.FIRE_OUTCOME_FAILED


# ---- authority ----------------------------------------------------------------------------------------------


async def test_the_owner_is_asked_about_each_time(replica, postgres, tls_dir, agent):
    listen = f"127.0.0.1:{free_port()}"
    executor = replica("a", **(QUICK | {"gateway_target": listen, "schedules_unchecked": "false"}))
    async with gateway(listen, tls_dir) as access, Schedules(executor, postgres) as schedules:
        made = await schedules.create(command(agent.name), requested_by="token:somebody", overlap=ALLOW)
        schedules.due(made.id)
        assert (await schedules.decided(made.id))[0].outcome == STARTED
        asked = access.asked[0]
        assert (asked.principal, asked.operation) == ("token:somebody", "commands.run")
        assert list(asked.server_ids) == [agent.server_id]
        access.denied = "somebody left"
        schedules.due(made.id)
        fire = (await schedules.decided(made.id, 2))[0]
        assert (fire.outcome, fire.reason, fire.message) == (DENIED, "access_denied", "somebody left")
        assert len(await commands_of(executor, made.id)) == 1


@pytest.mark.timeout(300)
async def test_a_gateway_that_is_away_is_waited_for_within_the_bound(replica, postgres, tls_dir, agent):
    listen = f"127.0.0.1:{free_port()}"
    executor = replica("a", **(QUICK | {"gateway_target": listen, "schedules_unchecked": "false"}))
    async with Schedules(executor, postgres) as schedules:
        made = await schedules.create(command(agent.name), overlap=ALLOW)
        schedules.due(made.id)

        async def retried():
            fires = await schedules.fires(made.id)
            return fires and fires[0].outcome == PENDING and fires[0].reason

        assert await until(retried, 60)
        async with gateway(listen, tls_dir):
            assert (await schedules.decided(made.id))[0].outcome == STARTED
        schedules.due(made.id)
        await until(retried, 60)
        schedules.execute("update executor.schedule_fire set deadline_at = now() where outcome = 'pending'")
        fire = (await schedules.decided(made.id, 2))[0]
        assert (fire.outcome, fire.reason) == (FAILED, "not_in_time")
        assert fire.message
        assert len(await commands_of(executor, made.id)) == 1


async def test_without_a_gateway_to_ask_nothing_fires_unless_the_settings_say_so(replica, postgres, agent):
    executor = replica("a", **(QUICK | {"schedules_unchecked": "false"}))
    async with Schedules(executor, postgres) as schedules:
        made = await schedules.create(command(agent.name))
        schedules.due(made.id)
        fire = (await schedules.decided(made.id))[0]
        assert (fire.outcome, fire.reason) == (FAILED, "access_unknown")


# ---- exactly once -------------------------------------------------------------------------------------------


@pytest.mark.timeout(400)
async def test_three_replicas_that_are_killed_while_they_fire_start_each_time_once(replica, postgres, agent, tmp_path):
    rng = random.Random(4)
    quick = QUICK | {"lease_s": 2, "lease_renew_s": 0.5}
    replicas = dict(zip("abc", replica("a", "b", "c", **quick), strict=True))
    marks = tmp_path / "marks"
    async with Schedules(replicas["a"], postgres) as schedules:
        work = command(agent.name, "/bin/sh", "-c", f"echo ran >> {marks}")
        made = [await schedules.create(work, overlap=ALLOW) for _ in range(5)]
        rounds = 8
        for number in range(rounds):
            for one in made:
                schedules.due(one.id)
            victim = replicas[rng.choice("bc")]
            await asyncio.sleep(rng.random() * 0.3)  # anywhere between the look and the start
            victim.program.kill9()
            await _all_made(schedules, len(made) * (number + 1))
            victim.program.start()
        for one in replicas.values():
            one.wait()
        fires = {one.id: await schedules.decided(one.id, rounds, timeout_s=100) for one in made}

        async def all_ended():
            rows = schedules.execute("select count(*) from executor.command where status <> 'success'")
            return rows[0][0] == 0

        await until(all_ended, 100)
        for schedule_id, found in fires.items():
            assert [fire.outcome for fire in found] == [STARTED] * rounds
            started = schedules.execute("select id::text from executor.command where schedule_id = %s", schedule_id)
            assert sorted(row[0] for row in started) == sorted(fire.started_id for fire in found)
    assert marks.read_text().splitlines() == ["ran"] * rounds * len(made)


async def _all_made(schedules, count):
    async def made():
        rows = schedules.execute("select count(*) from executor.schedule_fire")
        assert rows[0][0] <= count
        return rows[0][0] == count

    await until(made, 60)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_a_replica_that_vanishes_in_the_middle_of_a_start_is_followed_by_another(
    replica, postgres, tls_dir, agent, how
):
    listen = f"127.0.0.1:{free_port()}"
    asking = {"gateway_target": listen, "schedules_unchecked": "false", "lease_s": 3, "lease_renew_s": 1}
    replicas = replica("a", "b", **(QUICK | asking))
    by_pid = {one.program.pid: one for one in replicas}
    async with gateway(listen, tls_dir) as access, Schedules(replicas[0], postgres) as schedules:
        access.hold.clear()
        made = await schedules.create(command(agent.name), overlap=ALLOW)
        schedules.due(made.id)
        await until(lambda: _truth(access.asked), 30)
        owner = schedules.execute("select owner from executor.schedule_fire")[0][0]
        first = by_pid[int(owner.split("-")[-2])]
        other = next(one for one in replicas if one is not first)
        os.kill(first.program.pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        access.hold.set()
        async with Schedules(other, postgres) as others:
            fire = (await others.decided(made.id))[0]
            assert fire.outcome == STARTED
            if how == "stopped":
                os.kill(first.program.pid, signal.SIGCONT)
                # The zombie has its answer now, and time to do something wrong.
                others.due(made.id)
                assert (await others.decided(made.id, 2))[1] == fire
            rows = others.execute("select request_id, count(*) from executor.command group by request_id")
            assert [count for _, count in rows] == [1] * len(rows)


async def _truth(value):
    return value


@pytest.mark.timeout(300)
async def test_the_database_and_nats_away_delay_and_lose_nothing(replica, postgres, nats, agent):
    executor = replica("a", **QUICK)
    async with Schedules(executor, postgres) as schedules:
        made = await schedules.create(command(agent.name), overlap=ALLOW)
        nats.kill9()
        schedules.due(made.id)
        assert (await schedules.decided(made.id))[0].outcome == STARTED
        statement = "select count(*) from executor.outbox where subject = 'myx.events.schedule.fired.' || %s"
        assert schedules.execute(statement, made.id) == [(1,)]
        schedules.due(made.id)
        postgres.kill9()
        postgres.restart()
        nats.restart()
        fires = await schedules.decided(made.id, 2, timeout_s=90)
        assert [fire.outcome for fire in fires] == [STARTED] * 2
        assert len(await commands_of(executor, made.id)) == 2
