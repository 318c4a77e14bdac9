"""Looks at the executors' tables all the time: what is open has a live owner and a deadline."""

import asyncio
import os
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from myx_testkit.chaos.world import World

INTERVAL_S = 1.0
# Looks that lie further apart do not tell what was between them: the database was away.
TRUSTED_S = 4.0

OPEN = """
select 'command', id::text, status, owner, lease_until > now(), deadline_at, now() from executor.command
where status in ('pending', 'queued', 'running', 'cancelling')
union all
select 'job', id::text, status, owner, lease_until > now(), deadline_at, now() from executor.job
where status in ('pending', 'running', 'paused', 'stopping', 'cancelling')"""


@dataclass
class Watcher:
    """`task = create_task(watcher.run())`, until cancelled. `longest` is the longest time without a live owner."""

    world: World
    longest_s: float = 0.0
    longest: str = ""
    overdue: list[str] = field(default_factory=list)
    looks: int = 0
    _without: dict[str, float] = field(default_factory=dict)
    _looked_at: float = 0.0

    async def run(self) -> None:
        """Look every second."""
        while True:
            try:
                rows = await asyncio.to_thread(self._rows)
            except psycopg.Error:
                self._looked_at = 0.0
            else:
                self._look(rows)
            await asyncio.sleep(INTERVAL_S)

    def _rows(self) -> list[tuple[Any, ...]]:
        with self.world.sql() as connection:
            return connection.execute(OPEN).fetchall()

    def _look(self, rows: list[tuple[Any, ...]]) -> None:
        now = time.monotonic()
        passed_s = now - self._looked_at
        self._looked_at = now
        self.looks += 1
        without: dict[str, float] = {}
        for kind, key, status, owner, leased, deadline_at, at in rows:
            self._check_deadline(f"{kind} {key} {status}", deadline_at, at)
            # Rows that wait for something have no owner until it happens.
            if status == "queued" or (leased and owner and self._lives(owner)):
                continue
            seconds = self._without.get(key, 0.0) + (passed_s if passed_s < TRUSTED_S else 0.0)
            without[key] = seconds
            if seconds > self.longest_s:
                self.longest_s, self.longest = seconds, f"{kind} {key} {status}, owner {owner}"
        self._without = without

    def _check_deadline(self, what: str, deadline_at: datetime | None, at: datetime) -> None:
        if deadline_at is None:
            self.overdue.append(f"{what} has no deadline")
        elif (at - deadline_at).total_seconds() > 60:
            self.overdue.append(f"{what} is past its deadline {deadline_at} at {at}")

    @staticmethod
    def _lives(owner: str) -> bool:
        pid = owner.split("-")[-2]
        try:
            with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
                state = file.read().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state not in "TtZX" and os.path.exists(f"/proc/{pid}")  # noqa: PTH110
