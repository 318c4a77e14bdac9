"""Commands of many kinds, jobs and a schedule, given through the public API; and what must have become of them."""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from myx_executor.domain.states import TRANSITIONS, Status
from myx_testkit.chaos import recorder
from myx_testkit.chaos.viewer import FINAL, Api, Viewer
from myx_testkit.chaos.world import World

KINDS = {
    "short": 8,
    "silent": 3,
    "long": 4,
    "much": 2,
    "binary": 3,
    "killed": 2,
    "timeout": 1,
    "cancel": 2,
    "stubborn": 1,
}
RECORDER = Path(recorder.__file__)
JOB_FINAL = frozenset({"success", "partial", "failed", "stopped", "cancelled"})
TIMEOUT_S = 4.0


@dataclass
class Given:
    """One command that was asked for. `key` names its records on the host."""

    key: str
    kind: str
    host: str
    policy: str
    command_id: str = ""
    watching: "asyncio.Task[Viewer] | None" = None


@dataclass
class Work:
    """Gives work until `stop`; then `settle`, and `verdict` says what is wrong."""

    world: World
    api: Api
    records: Path
    seed: int
    at_once: int = 40
    given: list[Given] = field(default_factory=list)
    jobs: dict[str, str] = field(default_factory=dict)
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)
    schedule_id: str = ""

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)
        self._open: set[str] = set()
        for host in self.world.hosts:
            (self.records / host.name).mkdir(parents=True)

    def argv(self, key: str, kind: str) -> list[str]:
        """The command line of a recorder."""
        return [sys.executable, "-S", str(RECORDER), str(self.records), key, kind, f"{self.seed} {key}"]

    async def give(self, seconds: float) -> None:
        """Give commands and jobs for that long."""
        until, number = time.monotonic() + seconds, 0
        await self._schedule()
        async with asyncio.TaskGroup() as group:
            slots = asyncio.Semaphore(self.at_once)
            while time.monotonic() < until:
                await slots.acquire()
                number += 1
                kind = self._dice.choices(list(KINDS), list(KINDS.values()))[0]
                given = Given(
                    f"c{number:05}",
                    kind,
                    self._dice.choice(self.world.hosts).name,
                    self._dice.choice(("fail", "queue")),
                )
                self.given.append(given)
                group.create_task(self._one(given, slots, self._dice.random()))
                if number % 20 == 0:
                    group.create_task(self._job(f"j{number:05}"))
                await asyncio.sleep(self._dice.uniform(0, 0.4))

    async def _one(self, given: Given, slots: asyncio.Semaphore, chance: float) -> None:
        argv = self.argv(given.key, given.kind)
        fields: dict[str, Any] = {"offline": given.policy, "queue_timeout_s": 600}
        if given.kind == "timeout":
            fields["timeout_s"] = TIMEOUT_S
        try:
            given.command_id = await self.api.run(given.key, given.host, *argv, **fields)
            if chance < 0.3:
                given.watching = asyncio.create_task(Viewer(self.api, given.command_id, 600).watch())
            if given.kind in ("cancel", "stubborn"):
                await asyncio.sleep(8 * chance)
                await self.api.cancel(given.command_id, 1.0)
            await self._ended(given.command_id)
        finally:
            slots.release()

    async def _ended(self, command_id: str) -> None:
        """Its end, or long enough that other work may be given."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            command = await self.api.get(command_id)
            if command["status"] in FINAL:
                return
            await asyncio.sleep(1)

    async def _job(self, key: str) -> None:
        kind = self._dice.choice(("short", "silent", "binary"))
        argv = self.argv(key, kind)
        work = {"command": argv[0], "args": argv[1:], "offline": "queue", "queue_timeout_s": 600}
        body = {"selector": "env=test", "work": {"command": work}, "options": {"concurrency": "2"}}
        self.jobs[key] = (await self.api.call("POST", "/jobs", body, key=key))["id"]

    async def _schedule(self) -> None:
        argv = self.argv("schedule", "short")
        command = {"server": self.world.hosts[0].name, "command": argv[0], "args": argv[1:], "offline": "queue"}
        body = {"name": "minutely", "cron": "* * * * *", "overlap": "allow", "work": {"command": command}}
        self.schedule_id = (await self.api.call("POST", "/schedules", body, key="schedule"))["id"]

    async def settle(self, within_s: float) -> None:
        """Until everything is final."""
        deadline = time.monotonic() + within_s
        for given in self.given:
            self.commands[given.key] = await self.api.final(given.command_id, max(deadline - time.monotonic(), 5))
            if given.watching is not None:
                await given.watching
        await self.api.call("PATCH", f"/schedules/{self.schedule_id}", {"paused": True})
        await self._fires_settle(deadline)
        for key, job_id in self.jobs.items():
            while (job := await self.api.call("GET", f"/jobs/{job_id}"))["status"] not in JOB_FINAL:
                assert time.monotonic() < deadline, f"job {key} is not final: {json.dumps(job)}"
                await asyncio.sleep(0.5)

    async def _fires_settle(self, deadline: float) -> None:
        open_fires = (
            "select count(*) from executor.schedule_fire f left join executor.command c on c.id = f.started_id"
            " where f.outcome in ('pending', 'waiting')"
            " or (f.outcome = 'started' and c.status in ('pending', 'queued', 'running', 'cancelling'))"
        )

        def count() -> int:
            with self.world.sql() as connection:
                found = connection.execute(open_fires).fetchone()
            return int(found[0]) if found else 0

        while await asyncio.to_thread(count):
            assert time.monotonic() < deadline, "what the schedule started is not final"
            await asyncio.sleep(0.5)

    async def verdict(self) -> list[str]:
        """A sentence for each thing that is wrong."""
        wrong: list[str] = []
        for given in self.given:
            command = self.commands[given.key]
            place = self.records / given.host / given.key
            found = [
                f"{given.key} ({given.kind} on {given.host}, {given.command_id}): {why}"
                for why in self._one_wrong(given, command, place)
            ]
            found += await self._log_wrong(given, command, place)
            wrong += found
            self.tally[f"{given.kind} {command['status']} {command['reason']}"] += 1
        wrong += await asyncio.to_thread(self._left_running)
        wrong += await asyncio.to_thread(self._histories_wrong)
        wrong += await asyncio.to_thread(self._jobs_wrong)
        wrong += await asyncio.to_thread(self._fires_wrong)
        return wrong

    def _one_wrong(self, given: Given, command: dict[str, Any], place: Path) -> list[str]:
        wrong = []
        marks, end = lines(place, "marks"), lines(place, "end")
        status, reason = command["status"], command["reason"]
        if len(marks) > 1:
            wrong.append(f"ran {len(marks)} times")
        never = (status, reason) == ("failed", "agent_unreachable") and given.policy == "fail"
        unsent = given.kind in ("cancel", "stubborn") and status == "cancelled"
        if not marks and not (never or unsent):
            wrong.append(f"never ran, and is {status} ({reason}): {command['message']}")
        if marks and never:
            wrong.append("ran, and is said never to have got there")
        if marks and not never:
            wrong += self._outcome_wrong(given, command, end)
        return wrong

    @staticmethod
    def _outcome_wrong(given: Given, command: dict[str, Any], end: list[str]) -> list[str]:
        shown = (
            f"{command['status']} ({command['reason']}), exit code {command['exit_code']}, signal {command['signal']}"
        )
        if not end:
            # Somebody else ended it: only who was asked to may.
            expected = {"timeout": "timeout", "cancel": "cancelled", "stubborn": "cancelled"}.get(given.kind)
            return [] if command["status"] == expected else [f"was ended on its host, and is {shown}"]
        how, _, number = end[0].partition(" ")
        if how == "signal":
            fits = (command["status"], command["exit_code"], command["signal"]) == (
                "failed",
                128 + int(number),
                "SIGKILL",
            )
        else:
            fits = command["exit_code"] == int(number) and command["status"] == (
                "success" if number == "0" else "failed"
            )
        return [] if fits else [f"its host recorded {end[0]}, and it is {shown}"]

    async def _log_wrong(self, given: Given, command: dict[str, Any], place: Path) -> list[str]:
        wrong = []
        name = f"{given.key} ({given.kind}, {given.command_id})"
        ended_itself = bool(lines(place, "end"))
        for number, stream in ((1, "stdout"), (2, "stderr")):
            stored = await self._download(given.command_id, stream)
            recorded = content(place, stream[3:])
            # One that was killed may have been killed between record and writing.
            cut = len(recorded) - len(stored) if not ended_itself and recorded.startswith(stored) else 0
            if not recorded.startswith(stored) or len(recorded) - len(stored) > (100 if not ended_itself else 0):
                wrong.append(
                    f"{name}: {stream} has {len(stored)} bytes {sha256(stored).hexdigest()[:12]},"
                    f" its host wrote {len(recorded)} {sha256(recorded).hexdigest()[:12]} ({cut} cut)"
                )
            if given.watching is not None:
                seen = given.watching.result()
                if bytes(seen.output[number]) != stored or seen.gaps:
                    wrong.append(
                        f"{name}: a viewer saw {len(seen.output[number])} of {len(stored)} bytes, gaps {seen.gaps}"
                    )
        if lines(place, "marks") and command["log_completeness"] != "complete":
            wrong.append(f"{name}: its log is said to be {command['log_completeness']}")
        return wrong

    async def _download(self, command_id: str, stream: str) -> bytes:
        async with self.api.session.get(
            f"{self.api.base()}/commands/{command_id}/log?stream={stream}", timeout=aiohttp.ClientTimeout(total=60)
        ) as response:
            assert response.status == 200, await response.text()
            return await response.read()

    def _left_running(self) -> list[str]:
        wrong = []
        for process in psutil.process_iter(["cmdline"]):
            arguments = process.info["cmdline"] or []
            if str(self.records) in arguments:
                wrong.append(f"{arguments[-3]} runs still, as process {process.pid}")
        return wrong

    def _histories_wrong(self) -> list[str]:
        wrong = []
        with self.world.sql() as connection:
            rows = connection.execute("select id::text, status, changes from executor.command").fetchall()
        for key, status, changes in rows:
            steps = [(change["from"], change["to"]) for change in changes]
            if not steps or steps[-1][1] != status:
                wrong.append(f"command {key} is {status}, and its history ends otherwise: {steps}")
            for number, (before, after) in enumerate(steps):
                if number and steps[number - 1][1] != before:
                    wrong.append(f"command {key}: its history has a hole: {steps}")
                if before and after not in {str(one) for one in TRANSITIONS[Status(before)]}:
                    wrong.append(f"command {key} went from {before} to {after}")
        return wrong

    def _fires_wrong(self) -> list[str]:
        with self.world.sql() as connection:
            fires = connection.execute(
                "select slot_at, outcome, reason, message, decided_at from executor.schedule_fire"
                " where reason <> 'paused' order by slot_at"
            ).fetchall()
            slots = connection.execute(
                "select slot from executor.schedule s, generate_series(date_trunc('minute', s.created_at)"
                " + interval '1 minute', s.updated_at, interval '1 minute') as slot"
            ).fetchall()
        started = [fire for fire in fires if fire[1] == "started"]
        ran = lines(self.records / self.world.hosts[0].name / "schedule", "marks")
        self.tally["times of the schedule, started"] += len(started)
        wrong = []
        if len(ran) != len(started):
            wrong.append(f"the schedule started {len(started)} and its host ran {len(ran)}")
        undecided = {slot for (slot,) in slots} - {fire[0] for fire in fires}
        wrong += [f"the time {slot} of the schedule was never decided" for slot in undecided]
        return wrong + [f"a time of the schedule was {fire}" for fire in fires if fire[1] not in ("started", "missed")]

    def _jobs_wrong(self) -> list[str]:
        wrong = []
        with self.world.sql() as connection:
            for key, job_id in self.jobs.items():
                found = connection.execute(
                    "select status, target_count, counts from executor.job where id = %s", [job_id]
                ).fetchone()
                targets = connection.execute(
                    "select t.server_name, t.status, c.status, t.exit_code, c.exit_code from executor.job_target t"
                    " left join executor.command c on c.id = t.command_id where t.job_id = %s",
                    [job_id],
                ).fetchall()
                assert found is not None
                wrong += [f"job {key} ({job_id}): {why}" for why in self._job_wrong(key, found, targets)]
        return wrong

    def _job_wrong(self, key: str, job: tuple[Any, ...], targets: list[tuple[Any, ...]]) -> list[str]:
        wrong = []
        status, target_count, counts = job
        states = Counter(row[1] for row in targets)
        if states.total() != target_count or target_count != len(self.world.hosts):
            wrong.append(f"{states} are not {target_count} targets")
        if {name: count for name, count in (counts or {}).items() if count} != dict(states):
            wrong.append(f"{status}: counted {counts}, has {states}")
        for server, target_status, command_status, target_code, command_code in targets:
            place = self.records / server / key
            marks, end = lines(place, "marks"), lines(place, "end")
            if len(marks) != 1:
                wrong.append(f"ran {len(marks)} times on {server}, which is {target_status} ({command_status})")
            elif end != [f"exit {target_code}"] or target_code != command_code:
                wrong.append(f"{server} recorded {end}, target {target_status} {target_code}, command {command_code}")
        return wrong


def lines(place: Path, kind: str) -> list[str]:
    """The lines of a record; none when it is not there."""
    return content(place, kind).decode(errors="replace").splitlines()


def content(place: Path, kind: str) -> bytes:
    """A record; empty when it is not there."""
    file = place.with_name(f"{place.name}.{kind}")
    return file.read_bytes() if file.exists() else b""
