"""The log's table in partitions by day beside one plain table: the same statements, the same data, in turns.

    python -m bench.log_table [--days 40] [--commands 1500] [--rounds 2000]

A PostgreSQL of its own with fsync. Both databases have the schema of the migrations; in one of them `command_log` is
put back into a plain table. Prints figures of each and their ratio (partitions : plain); below 1 partitions are better.
"""

import argparse
import asyncio
import itertools
import json
import random
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from bench.stats import summary_ms
from myx_executor.domain.retention import day_of, id_bound, partition_of
from myx_executor.models.base import MIGRATIONS, SCHEMA
from myx_executor.store.codec import StoredPiece
from myx_executor.store.commands import CommandStore
from myx_executor.store.logs import LogStore, Write
from myx_executor.store.pool import Pool
from myx_kit.db import migrate
from myx_kit.ids import new_id
from myx_standalone.postgres import STOP_SIGNAL, Cluster, accepts_logins
from myx_testkit.ports import free_port
from myx_testkit.wait import until_sync

PARTS, PLAIN = "parts", "plain"
# One command in so many writes much; the others one small piece.
LOUD_EVERY = 20
LOUD_PIECES, LOUD_BYTES, QUIET_BYTES = 4, 32 * 1024, 300
BATCH = 500
OLD_DAYS = 5

_COMMANDS: LiteralString = """
insert into executor.command (id, server_id, server_name, agent_id, command, args, env, secret_env_names, cwd,
  command_user, timeout_s, requested_by, status, log_size, log_completeness, created_at, ended_at, lease_until, owner,
  fence, deadline_at)
select id, 's', 's', 'a', 'true', '{}', '{}', '{}', '', '', 60, 'bench', %(status)s::text, 0, 'open', %(at)s, %(at)s,
  %(lease)s::timestamptz, 'bench', 1, now() + interval '1 hour'
from unnest(%(ids)s::uuid[]) as id"""

_PIECES: LiteralString = """
insert into executor.command_log (command_id, offset_bytes, length, kind, encoding, segments, data)
select id, n * %(length)s::bigint, %(length)s, 'bytes', 0, '\\x01', %(data)s
from unnest(%(ids)s::uuid[]) as id, generate_series(0, %(pieces)s - 1) as n"""

# What removal from one plain table would be: the logs of 500 commands at a time, by their ids.
_DELETE: LiteralString = """
delete from executor.command_log where command_id in (
  select id from executor.command where id > %(after)s and id < %(end)s order by id limit %(batch)s)"""

_LAST: LiteralString = """
select id from (select id from executor.command where id > %(after)s and id < %(end)s order by id
  limit %(batch)s) as batch order by id desc limit 1"""


class Table:
    """One of both databases."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url
        self.pool = Pool(url, 4)
        self.logs, self.commands = LogStore(self.pool), CommandStore(self.pool)
        self.ids: list[UUID] = []
        self.sizes: dict[UUID, int] = {}

    async def fill(self, days: int, commands: int) -> None:
        """Final commands of all days, the oldest first, then open ones that the bench writes to."""
        chance = random.Random(1)
        for number in range(days - 1, -1, -1):
            day = day_of(datetime.now(UTC)) - timedelta(days=number)
            ids = [UUID(int=id_bound(day).int + (n << 64) + chance.getrandbits(62)) for n in range(1, commands + 1)]
            self.ids += ids
            await self.pool.count(_COMMANDS, {"ids": ids, "status": "success", "at": day, "lease": None})
            for some, pieces, size in (
                (ids[::LOUD_EVERY], LOUD_PIECES, LOUD_BYTES),
                ([one for n, one in enumerate(ids) if n % LOUD_EVERY], 1, QUIET_BYTES),
            ):
                for start in range(0, len(some), 500):
                    values = {"ids": some[start : start + 500], "length": size, "pieces": pieces}
                    await self.pool.count(_PIECES, values | {"data": chance.randbytes(size)})
        now = datetime.now(UTC)
        self.sizes = {new_id(): 0 for _ in range(100)}
        values = {"ids": list(self.sizes), "status": "running", "at": now, "lease": now + timedelta(hours=1)}
        await self.pool.count(_COMMANDS, values)

    async def append(self) -> None:
        """One piece more of an open command."""
        one = random.choice(list(self.sizes))
        size, data = self.sizes[one], b"line of a log\n" * 20
        piece = StoredPiece(size, len(data), 0, b"\x01", data)
        assert await self.logs.append(Write(one, 1, size, [piece])) is not None
        self.sizes[one] = size + len(data)

    async def page(self) -> None:
        """The first page of any command."""
        assert await self.logs.page(random.choice(self.ids), 0, 1 << 20)

    async def claim(self) -> None:
        """A takeover of nothing: the look for commands that nobody works on."""
        assert not await self.commands.claim("other", 10, 50, [])

    async def remove_old(self, days: int) -> None:
        """Removes the logs of the oldest days."""
        today = day_of(datetime.now(UTC))
        first = today - timedelta(days=days - 1)
        old = [first + timedelta(days=n) for n in range(OLD_DAYS)]
        if self.name == PARTS:
            for day in old:
                await asyncio.to_thread(self.execute, f"drop table executor.{partition_of(day).name}")
            return
        after, end = UUID(int=0), id_bound(old[-1] + timedelta(days=1))
        while True:
            values = {"after": after, "end": end, "batch": BATCH}
            last = await self.pool.rows(_LAST, values)
            if not last:
                return
            await self.pool.count(_DELETE, values)
            after = last[0][0]

    def execute(self, statement: str) -> Any:
        """One statement outside the pool; its first value."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def size_mb(self) -> float:
        """Of the log with its indexes."""
        return float(
            self.execute(
                "select sum(pg_total_relation_size(relid)) / 1e6 from pg_partition_tree('executor.command_log')"
                if self.name == PARTS
                else "select pg_total_relation_size('executor.command_log') / 1e6"
            )
        )


@asynccontextmanager
async def tables(days: int) -> AsyncIterator[list[Table]]:
    """Both databases on a server of their own."""
    with tempfile.TemporaryDirectory(prefix="myx-bench-log-") as folder:
        Path(folder).chmod(0o711)
        cluster, port = Cluster(Path(folder) / "postgres"), free_port()
        cluster.initialise()
        with (Path(folder) / "log").open("wb") as log:
            server = subprocess.Popen(
                cluster.argv(port), env=cluster.environment(), cwd="/", stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        made: list[Table] = []
        try:
            until_sync(lambda: accepts_logins(port), 30)
            for name in (PARTS, PLAIN):
                with psycopg.connect(cluster.url(port), autocommit=True) as connection:
                    connection.execute(f"create database {name}".encode())
                url = cluster.url(port, name)
                migrate.upgrade(url, SCHEMA, MIGRATIONS)
                made.append(Table(name, url))
            today = day_of(datetime.now(UTC))
            for number in range(2, days):
                old = partition_of(today - timedelta(days=number))
                made[0].execute(
                    f"create table executor.{old.name} partition of executor.command_log"
                    f" for values from ('{old.lower}') to ('{old.upper}')"
                )
            made[1].execute(
                "alter table executor.command_log rename to parts;"
                "create table executor.command_log (like executor.parts including all);"
                "drop table executor.parts"
            )
            yield made
        finally:
            for table in made:
                await table.pool.close()
            server.send_signal(STOP_SIGNAL)
            server.wait(30)


async def in_turn(both: list[Table], rounds: int, act: Callable[[Table], Awaitable[None]]) -> dict[str, Any]:
    """Milliseconds of an action, the two databases by turns."""
    taken: dict[str, list[float]] = {table.name: [] for table in both}
    for table in itertools.islice(itertools.cycle(both), rounds * 2):
        begin = time.perf_counter()
        await act(table)
        taken[table.name].append(time.perf_counter() - begin)
    return {name: summary_ms(values[20:]) for name, values in taken.items()}


async def removal(table: Table, days: int) -> dict[str, float]:
    """Removal of the oldest days while others append."""
    stalls: list[float] = []
    stop = asyncio.Event()

    async def others() -> None:
        while not stop.is_set():
            begin = time.perf_counter()
            await table.append()
            stalls.append(time.perf_counter() - begin)

    writer = asyncio.create_task(others())
    await asyncio.sleep(0.5)
    before_mb, lsn = table.size_mb(), table.execute("select pg_current_wal_lsn()")
    stalls.clear()
    begin = time.perf_counter()
    await table.remove_old(days)
    taken = time.perf_counter() - begin
    wal = float(table.execute(f"select pg_current_wal_lsn() - '{lsn}'::pg_lsn"))
    stop.set()
    await writer
    freed_mb, begin = before_mb - table.size_mb(), time.perf_counter()
    # What deletes leave to be done until their room can be used again.
    await asyncio.to_thread(table.execute, "vacuum executor.command_log")
    return {
        "seconds": round(taken, 3),
        "wal_mb": round(wal / 1e6, 2),
        "longest_append_ms": round(max(stalls, default=0.0) * 1e3, 1),
        "freed_mb": round(freed_mb, 1),
        "vacuum_seconds": round(time.perf_counter() - begin, 3),
        "freed_after_vacuum_mb": round(before_mb - table.size_mb(), 1),
    }


async def measure(days: int, commands: int, rounds: int) -> dict[str, Any]:
    """All figures of one run."""
    async with tables(days) as both:
        for table in both:
            await table.fill(days, commands)
            table.execute("vacuum (analyze)")
        result: dict[str, Any] = {"days": days, "commands": days * commands, "size_mb": {}}
        for table in both:
            result["size_mb"][table.name] = round(table.size_mb(), 1)
        for name, act in (("append", Table.append), ("page", Table.page), ("claim", Table.claim)):
            result[name] = await in_turn(both, rounds, act)
        result["removal"] = {table.name: await removal(table, days) for table in both}
        return result


def report(result: dict[str, Any]) -> str:
    """The figures as text, with ratios of medians."""
    lines = [f"{result['days']} days, {result['commands']} commands, log {result['size_mb']} MB"]
    for name in ("append", "page", "claim"):
        parts, plain = result[name][PARTS], result[name][PLAIN]
        lines.append(f"{name:8} ms  parts {parts}  plain {plain}  ratio of p50 {parts['p50'] / plain['p50']:.2f}")
    for name, figures in result["removal"].items():
        lines.append(f"removal of {OLD_DAYS} days, {name}: {figures}")
    removed = result["removal"]
    lines.append(f"removal, ratio of seconds {removed[PARTS]['seconds'] / removed[PLAIN]['seconds']:.3f}")
    return "\n".join(lines)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=40)
    parser.add_argument("--commands", type=int, default=1500, help="a day")
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    result = asyncio.run(measure(options.days, options.commands, options.rounds))
    print(report(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
