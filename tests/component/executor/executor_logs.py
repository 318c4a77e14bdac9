"""Rows of commands and logs as if they had been made at some time, straight in the database."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg

from myx_executor.domain.retention import Policy, id_bound, missing_days
from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_executor.store.commands import CommandStore
from myx_executor.store.log_partitions import LogPartitions
from myx_executor.store.logs import LogStore
from myx_executor.store.pool import Pool
from myx_executor.store.retention import RetentionStore
from myx_executor.usecases.follow_log import FollowLog
from myx_executor.usecases.retention import Retention
from myx_kit.db import migrate

# Of this day, for which the migration makes partitions; at noon, so that "three hours ago" is never another day.
NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)

_COMMAND = """
insert into executor.command (id, server_id, server_name, agent_id, command, args, env, secret_env_names, cwd,
  command_user, timeout_s, requested_by, status, log_size, log_completeness, created_at, ended_at, deadline_at, kind,
  release_pending, job_id)
values (%s, 's', 's', 'a', 'true', '{}', '{}', '{}', '', '', 60, 'test', %s, %s, 'complete', %s, %s, %s, %s, %s, %s)"""

_DEPLOYMENT = """
insert into executor.deployment (id, server_id, kind, method, project, playbook, extra_vars, secret_var_names,
  check_mode, diff, tags, skip_tags, host_limit, force, new_port, new_path, artifact_sha256)
values (%s, 's', 'playbook', 'auto', 'p', 'p', '{}', '{}', false, false, '{}', '{}', '', false, false, false, '')"""

_JOB = """
insert into executor.job (id, name, selector, kind, spec, secret_names, has_stdin, options, requested_by, status,
  target_count, targets_sha256, batch_count, created_at, ended_at, deadline_at)
values (%s, 'j', 'all', 'command', '{}', '{}', false, '{}', 'test', %s, 1, '', 1, %s, %s, %s)"""

_SCHEDULE = """
insert into executor.schedule (id, name, cron, time_zone, missed, missed_within_s, overlap, paused, work_kind, work,
  owner, requested_by)
values (%s, %s, '* * * * *', 'UTC', 'skip', 3600, 'skip', true, 'command', '{}', 'test', 'test')"""

_FIRE = """
insert into executor.schedule_fire (schedule_id, slot_at, outcome, principal, work_kind, work, deadline_at, started_id)
values (%s, %s, %s, 'test', 'command', %s, %s, %s)"""


def id_at(at):
    """An id as of a command that was accepted then."""
    return UUID(int=id_bound(at).int + secrets.randbits(70) + 1)


class World:
    """A migrated database, its stores, and a clock."""

    def __init__(self, database):
        migrate.upgrade(database.url, SCHEMA, MIGRATIONS)
        self.url = database.url
        self.pool = Pool(database.url, 4)
        self.partitions = LogPartitions(self.pool)
        self.store = RetentionStore(self.pool)
        self.now = NOW

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.pool.close()

    async def as_new(self):
        """As after the migration, without making it again."""
        tables = "command, command_log, deployment, play_event, job, job_target, schedule, schedule_fire, chore"
        self.execute("truncate " + ", ".join(f"executor.{table}" for table in tables.split(", ")))
        wanted = list(missing_days(NOW, []))
        for one in await self.partitions.all():
            if one.name not in [day.name for day in wanted]:
                await self.partitions.drop(one)
            elif one.is_partial:
                self.execute(f"comment on table executor.{one.name} is null")
        for day in missing_days(NOW, await self.partitions.all()):
            assert await self.partitions.add(day)
        return self

    def retention(self, owner="a", **policy):
        """Keeps everything unless told."""
        defaults = {"command_log_days": 0, "deployment_log_days": 0, "log_bytes": 0}
        nothing = dict.fromkeys(("commands", "deployments", "jobs", "fires"), NOTHING)
        return Retention(
            self.store, self.partitions, Policy(**defaults | nothing | policy), owner, now=lambda: self.now
        )

    def execute(self, statement, values=()):
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement, values=()):
        return self.execute(statement, values)[0][0]

    def days_back(self, days):
        """Partitions of days that the migration did not make."""
        for number in range(days + 1):
            day = (self.now - number * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
            self.execute(
                f"create table if not exists executor.command_log_p{day:%Y%m%d} partition of executor.command_log"
                f" for values from ('{id_bound(day)}') to ('{id_bound(day + DAY)}')"
            )

    def command(self, at, *pieces, ended=None, status="success", kind="command", release_pending=False, job=None):
        """A command accepted `at` whose log is those pieces; `ended` after a second unless said."""
        command_id, size = id_at(at), sum(len(piece) for piece in pieces)
        is_open = status in ("pending", "queued", "running", "cancelling")
        ended = None if is_open else ended or at + timedelta(seconds=1)
        deadline = at + 365 * DAY if is_open else None
        values = (command_id, status, size, at, ended, deadline, kind, release_pending, job)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(_COMMAND, values)
            if kind == "deployment":
                connection.execute(_DEPLOYMENT, (command_id,))
            offset = 0
            for piece in pieces:
                connection.execute(
                    "insert into executor.command_log (command_id, offset_bytes, length, kind, encoding, segments,"
                    " data) values (%s, %s, %s, 'bytes', 0, %s, %s)",
                    (command_id, offset, len(piece), segments(len(piece)), piece),
                )
                offset += len(piece)
        return command_id

    def job(self, at, status="success"):
        job_id = id_at(at)
        ended, deadline = (None, at + 365 * DAY) if status == "running" else (at + timedelta(seconds=1), None)
        self.execute(_JOB, (job_id, status, at, ended, deadline))
        return job_id

    def play_event(self, deployment_id, seq):
        values = (deployment_id, seq, json.dumps({"type": "recap"}))
        self.execute("insert into executor.play_event (deployment_id, seq, event) values (%s, %s, %s)", values)

    def schedule(self, name):
        schedule_id = id_at(NOW)
        self.execute(_SCHEDULE, (schedule_id, name))
        return schedule_id

    def fire(self, schedule_id, at, outcome="started"):
        waits = outcome == "waiting"
        started = None if waits else id_at(at)
        values = (schedule_id, at, outcome, "{}" if waits else None, at if waits else None, started)
        self.execute(_FIRE, values)

    def fires(self, schedule_id):
        rows = self.execute(
            "select slot_at from executor.schedule_fire where schedule_id = %s order by 1", (schedule_id,)
        )
        return [row[0] for row in rows]

    def rows_of(self, command_id):
        return self.value("select count(*) from executor.command_log where command_id = %s", (command_id,))

    def exists(self, command_id):
        return self.value("select count(*) from executor.command where id = %s", (command_id,)) == 1

    def is_purged(self, command_id):
        return self.value("select log_purged_at is not null from executor.command where id = %s", (command_id,))

    async def names(self):
        return [one.name for one in await self.partitions.all()]

    async def follow(self, command_id, offset=0, *, follow=True):
        """What FollowLog gives: (bytes, gaps, final command)."""
        data, gaps, final = b"", [], None
        log = FollowLog(CommandStore(self.pool), LogStore(self.pool), NoHub())
        async for step in log.stream(command_id, offset, follow=follow):
            if isinstance(step, list):
                data += b"".join(piece.data for piece in step)
                gaps += [(p.offset, p.end, p.gap_reason) for p in step if p.gap_reason is not None]
            elif step is not None:
                final = step
        return data, gaps, final


class NoHub:
    """Nothing is live."""

    def is_local(self, command_id):
        return False


def segments(length):
    """One run of stdout."""
    out, number = bytearray(), length << 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


NOTHING = Policy().commands.__class__(0, 0)
