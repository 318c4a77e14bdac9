"""Jobs and schedules of the fake gateway: kept in dictionaries, played by scripts."""

import asyncio
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

OPEN = {"waiting", "running"}


def job_frame(stream: int, number: int, offset: int, data: bytes) -> bytes:
    """A binary message of a job's stream."""
    return bytes([stream]) + number.to_bytes(4, "big") + offset.to_bytes(8, "big") + data


def problem(status: int, reason: str, detail: str) -> tuple[int, Any]:
    return status, {"type": "about:blank", "title": reason, "status": status, "reason": reason, "detail": detail}


@dataclass
class FakeJob:
    document: dict[str, Any]
    targets: dict[int, dict[str, Any]]
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    resumed: list[dict[str, int]] = field(default_factory=list)

    def change(self, **changes: Any) -> dict[str, Any]:
        self.document["revision"] += 1
        self.document.update(changes)
        told: dict[str, int] = {}
        for target in self.targets.values():
            told[target["status"]] = told.get(target["status"], 0) + 1
        self.document["counts"] = [{"status": status, "count": count} for status, count in told.items()]
        return self.document

    def change_target(self, number: int, **changes: Any) -> dict[str, Any]:
        target = self.targets[number]
        target.update(changes)
        target["revision"] = self.change()["revision"]
        return target


class JobStream:
    """The server's end of one stream of a job."""

    def __init__(self, stream: Any, job: FakeJob, jobs: "FakeJobs", offsets: dict[int, int]) -> None:
        self.stream = stream
        self.job = job
        self.jobs = jobs
        self.offsets = offsets
        self.lock = asyncio.Lock()

    async def tell_job(self, **changes: Any) -> None:
        async with self.lock:
            await self.stream.text({"type": "job", "job": self.job.change(**changes)})

    async def tell_targets(self, *numbers: int, **changes: Any) -> None:
        async with self.lock:
            targets = [self.job.change_target(number, **changes) for number in numbers]
            await self.stream.text({"type": "targets", "targets": targets})

    async def begin(self) -> None:
        """Everything runs."""
        async with self.lock:
            waiting = [number for number, target in self.job.targets.items() if target["status"] in OPEN]
            for number in waiting:
                self.job.change_target(number, status="running")
            await self.stream.text({"type": "job", "job": self.job.change(status="running")})
            await self.stream.text({"type": "targets", "targets": list(self.job.targets.values())})

    async def data(self, number: int, stream: int, data: bytes) -> None:
        async with self.lock:
            target = self.job.targets[number]
            offset = self.offsets.get(number, 0)
            log = self.jobs.logs[target["command_id"]]
            if offset >= sum(len(piece) for _, piece in log):
                log.append((stream, data))
            self.offsets[number] = offset + len(data)
            target["log_size_bytes"] = max(target["log_size_bytes"], self.offsets[number])
            await self.stream.message(2, job_frame(stream, number, offset, data))

    async def gap(self, number: int, size: int, reason: str) -> None:
        async with self.lock:
            offset = self.offsets.get(number, 0)
            end = self.offsets[number] = offset + size
            self.job.targets[number]["log_size_bytes"] = end
            await self.stream.text({"type": "gap", "number": number, "from": offset, "to": end, "reason": reason})

    async def finish(self, status: str | None = None, **changes: Any) -> None:
        states = {target["status"] for target in self.job.targets.values()}
        known = "success" if states == {"success"} else "partial" if "success" in states else "failed"
        if status is None and self.job.cancelled.is_set():
            status = "cancelled"
        ended = {"status": status or known, "ended_at": "2026-01-01T00:00:09Z", **changes}
        await self.tell_job(**ended)
        await self.stream.close(1000, "")

    def drop(self) -> None:
        self.stream.drop()


class TargetStream:
    """One target of a job's stream, for scripts that are written for a command's."""

    def __init__(self, whole: JobStream, number: int) -> None:
        self.whole = whole
        self.number = number
        self.command = whole.jobs.gateway.commands[whole.job.targets[number]["command_id"]]

    async def data(self, stream: int, data: bytes) -> None:
        await self.whole.data(self.number, stream, data)

    async def gap(self, size: int, reason: str) -> None:
        await self.whole.gap(self.number, size, reason)

    async def final(self, **changes: Any) -> None:
        facts = {"status": "success", "exit_code": 0, **changes}
        await self.whole.tell_targets(self.number, **facts)

    async def cancelled(self) -> None:
        await asyncio.wait_for(self.whole.job.cancelled.wait(), 20)

    def drop(self) -> None:
        self.whole.drop()


@dataclass
class FakeJobs:
    """`matching` are the servers of every selector; `script` plays streams, else `gateway.script` each target."""

    gateway: Any
    matching: list[str] = field(default_factory=lambda: ["local", "other", "third"])
    script: Any = None
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    logs: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    streams: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: set[str] = field(default_factory=lambda: {"local", "other", "third"})

    def answer(self, request: Any) -> tuple[int, Any] | None:
        match (request.method, *request.path.strip("/").split("/")):
            case ("POST", "jobs", "preview"):
                return self.preview(request.json())
            case ("POST", "jobs"):
                return self.create(request.json(), request.headers["idempotency-key"])
            case ("GET", "jobs"):
                return 200, {"items": [job.document for job in self.jobs.values()], "next_page_token": None}
            case (_, "jobs", id_, *_) if id_ not in self.jobs:
                return problem(404, "JOB_NOT_FOUND", "there is no such job")
            case ("GET", "jobs", id_):
                return 200, self.jobs[id_].document
            case ("GET", "jobs", id_, "targets"):
                wanted = request.query.get("status")
                targets = self.jobs[id_].targets.values()
                items = [target for target in targets if wanted is None or target["status"] in wanted]
                return 200, {"items": items, "next_page_token": None}
            case ("PATCH", "jobs", id_):
                job = self.jobs[id_]
                return 200, job.change(options={**job.document["options"], **request.json()})
            case ("POST", "jobs", id_, "cancel"):
                job = self.jobs[id_]
                job.cancelled.set()
                if job.document["ended_at"] is None:
                    job.change(status="cancelling", next="waits until the agents have proved the end")
                return 202, job.document
            case ("POST", "jobs", id_, "pause" | "resume" as verb):
                return 200, self.jobs[id_].change(status="paused" if verb == "pause" else "running")
            case ("POST", "jobs", id_, "retry"):
                old = self.jobs[id_]
                wanted = request.json().get("statuses") or ["failed", "unreachable", "timeout", "not_started"]
                names = [item["server_name"] for item in old.targets.values() if item["status"] in wanted]
                content = {"servers": names, "work": old.document["work"], "options": {}}
                return self.create(content, request.headers["idempotency-key"])
        return self.answer_schedules(request)

    def answer_schedules(self, request: Any) -> tuple[int, Any] | None:
        match (request.method, *request.path.strip("/").split("/")):
            case ("POST", "schedules", "preview"):
                times = [f"2026-03-{29 + day}T03:00:00+02:00" for day in range(request.json()["count"])]
                return 200, {"times": times}
            case ("POST", "schedules"):
                content = request.json()
                if content["name"] in self.schedules:
                    return problem(409, "SCHEDULE_NAME_TAKEN", f"there is a schedule {content['name']} already")
                return 201, self.add_schedule(**content)
            case ("GET", "schedules"):
                return 200, {"items": list(self.schedules.values()), "next_page_token": None}
            case (_, "schedules", name, *_) if name not in self.schedules:
                return problem(404, "SCHEDULE_NOT_FOUND", f"there is no schedule {name}")
            case ("GET", "schedules", name):
                return 200, self.schedules[name]
            case ("PATCH", "schedules", name):
                schedule = self.schedules[name]
                if request.headers["if-match"] != f'"{schedule["etag"]}"':
                    return problem(412, "ETAG_MISMATCH", "somebody has changed it meanwhile")
                schedule.update(request.json())
                return 200, schedule
            case ("DELETE", "schedules", name):
                del self.schedules[name]
                return 204, b""
            case ("GET", "schedules", name, "fires"):
                return 200, {"items": [self.schedules[name]["last_fire"]], "next_page_token": None}
        return None

    def add_schedule(self, **facts: Any) -> dict[str, Any]:
        fire = {
            "slot_at": "2026-01-01T03:00:00Z",
            "outcome": "denied",
            "reason": "owner_gone",
            "started_id": "",
            "message": "its owner may not do this any more",
            "started_kind": "",
            "decided_at": None,
        }
        schedule = {
            "id": f"0190-schedule-{len(self.schedules)}",
            "time_zone": "UTC",
            "missed": "skip",
            "overlap": "skip",
            "missed_within_s": 3600.0,
            "paused": False,
            "owner": "token:admin",
            "last_fire": fire,
            "etag": "e1",
            "next_times": ["2026-03-29T03:00:00+02:00"],
            "created_at": None,
            "updated_at": None,
            **facts,
        }
        return self.schedules.setdefault(schedule["name"], schedule)

    def names(self, content: dict[str, Any]) -> list[str]:
        return self.matching if content.get("selector") else content["servers"]

    def refused(self, content: dict[str, Any]) -> tuple[int, Any] | None:
        names = self.names(content)
        for name in names:
            if name not in self.known and not content.get("selector"):
                return problem(404, "SERVER_NOT_FOUND", f"there is no server {name}")
        if not names:
            return problem(409, "SELECTOR_MATCHES_NOTHING", f"no server matches {content['selector']}")
        return None

    def digest(self, content: dict[str, Any]) -> str:
        return sha256("\n".join(self.names(content)).encode()).hexdigest()

    def preview(self, content: dict[str, Any]) -> tuple[int, Any]:
        targets = [{"number": number, "server_name": name} for number, name in enumerate(self.names(content), 1)]
        batches = len(content.get("options", {}).get("batches", [])) or 1
        return self.refused(content) or (
            200,
            {"targets": targets, "targets_sha256": self.digest(content), "batch_count": batches},
        )

    def create(self, content: dict[str, Any], key: str) -> tuple[int, Any]:
        if key in self.keys:
            return 201, self.jobs[self.keys[key]].document
        refused = self.refused(content)
        if refused:
            return refused
        if content.get("expected_targets_sha256", self.digest(content)) != self.digest(content):
            return problem(409, "TARGETS_CHANGED", "other servers match by now")
        job = self.add_job(self.names(content), content["work"], options=content.get("options", {}))
        self.keys[key] = job.document["id"]
        return 201, job.document

    def add_job(self, names: list[str], work: dict[str, Any] | None = None, **facts: Any) -> FakeJob:
        work = work or {"command": {"command": "x", "args": []}}
        command = work.get("command", {"command": "", "args": []})
        id_ = f"0190-job-{len(self.jobs)}"
        targets = {}
        for number, name in enumerate(names, 1):
            made = self.gateway.add_command(server_name=name, command=command["command"], args=command["args"])
            self.logs[made["id"]] = []
            targets[number] = {
                "number": number,
                "server_id": f"s-{name}",
                "server_name": name,
                "batch": 1,
                "status": "waiting",
                "command_id": made["id"],
                "reason": "",
                "message": "",
                "exit_code": None,
                "log_size_bytes": 0,
                "output_sha256": "",
                "revision": 0,
                "started_at": None,
                "ended_at": None,
            }
        document = {
            "id": id_,
            "name": "",
            "selector": "",
            "work": work,
            "options": {},
            "status": "pending",
            "reason": "",
            "message": "",
            "status_since": "2026-01-01T00:00:00Z",
            "deadline_at": None,
            "owner": "",
            "next": "",
            "changes": [],
            "target_count": len(targets),
            "targets_sha256": "00",
            "counts": [],
            "batch": 1,
            "batch_count": 1,
            "created_at": "2026-01-01T00:00:00Z",
            "started_at": None,
            "ended_at": None,
            "requested_by": "token:admin",
            "retry_of": "",
            "schedule_id": "",
            "revision": 1,
            **facts,
        }
        job = self.jobs[id_] = FakeJob(document, targets)
        job.change()
        return job

    async def play(self, request: Any, stream: Any, reader: asyncio.StreamReader) -> None:
        job = self.jobs[request.path.split("/")[2]]
        offsets: dict[str, int] = {}
        if request.query.get("resume") == ["true"]:
            offsets = json.loads(await client_message(reader))["offsets"]
        self.streams.append((int(request.query["after_revision"][0]), offsets))
        whole = JobStream(stream, job, self, {int(number): offset for number, offset in offsets.items()})
        if self.script is not None:
            await self.script(whole)
            return
        await whole.begin()
        await asyncio.gather(*(self.gateway.script(TargetStream(whole, number)) for number in job.targets))
        await whole.finish()

    async def replay(self, command_id: str, stream: Any) -> None:
        """The stored log of a target, from the stream's offset on."""
        at = 0
        for number, data in self.logs[command_id]:
            if at + len(data) > stream.offset:
                await stream.data(number, data[max(0, stream.offset - at) :])
            at += len(data)
        ended = {"log_completeness": "complete", **self.gateway.commands[command_id], "status": "success"}
        await stream.text({"type": "final", "offset": stream.offset, "command": ended, "deployment": ended})
        await stream.close(1000, "")


async def client_message(reader: asyncio.StreamReader) -> bytes:
    """The payload of one masked frame."""
    first, size = await reader.readexactly(2)
    assert first == 0x81
    assert size & 0x80
    size &= 0x7F
    if size > 125:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
