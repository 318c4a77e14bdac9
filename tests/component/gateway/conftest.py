"""A real gateway process between a real HTTP client and fake services over real mutual-TLS gRPC."""

import asyncio
import hashlib
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio
from google.protobuf.message import Message

from myx.executor.v1 import (
    command_pb2,
    command_service_pb2,
    command_service_pb2_grpc,
    deployment_pb2,
    deployment_service_pb2,
    deployment_service_pb2_grpc,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    playbook_service_pb2,
    playbook_service_pb2_grpc,
    schedule_service_pb2,
    schedule_service_pb2_grpc,
)
from myx.heartbeat.v1 import heartbeat_service_pb2, heartbeat_service_pb2_grpc
from myx.registry.v1 import (
    agent_pb2,
    agent_service_pb2,
    agent_service_pb2_grpc,
    credential_pb2,
    credential_service_pb2,
    credential_service_pb2_grpc,
    server_pb2,
    server_service_pb2,
    server_service_pb2_grpc,
)
from myx_gateway import migrations
from myx_kit.errors import MyxError, NotFound, OutOfRange
from myx_kit.files import write_private
from myx_kit.ids import new_id
from myx_kit.rpc.server import RpcServer
from myx_testkit.ports import free_port
from myx_testkit.postgres import Database, PostgresServer
from myx_testkit.process import Program
from myx_testkit.wait import until

sys.path.insert(0, str(Path(__file__).parent))
from gateway_jobs import FakeJob

STDOUT, STDERR = command_pb2.LOG_STREAM_STDOUT, command_pb2.LOG_STREAM_STDERR
CHUNK = 256 * 1024
# The id of the one server that every selector matches.
MATCHED = "0192e4a0-0000-7000-8000-0000000000a1"
ADMIN_PASSWORD = "the-first-password-of-tests"


class FakeLog:
    """A log that grows by `write` and ends by `finish`; `fail` ends the stream that reads it with an error."""

    def __init__(self, *, says_accepted: bool = True) -> None:
        self.frames: list[command_pb2.LogFrame] = []
        self.gaps: list[command_pb2.LogGap] = []
        self.size = 0
        self.final: command_pb2.Command | None = None
        self.says_accepted = says_accepted
        self.always_fails = False
        self.purged = False
        self.asked: list[tuple[int, bool]] = []
        self.given_bytes = 0
        self.readers = 0
        self._failure: MyxError | None = None
        self._fail_at = -1
        self._end_at = -1
        self._changed = asyncio.Event()

    def write(self, data: bytes, stream: int = STDOUT) -> None:
        """Append one frame."""
        self.frames.append(command_pb2.LogFrame(stream=stream, offset=self.size, data=data))
        self.size += len(data)
        self._wake()

    def gap(self, size: int, reason: str) -> None:
        """Leave a hole."""
        self.gaps.append(command_pb2.LogGap(from_offset=self.size, to_offset=self.size + size, reason=reason))
        self.size += size
        self._wake()

    def finish(self, **fields: Any) -> None:
        """End it."""
        status = fields.pop("status", command_pb2.COMMAND_STATUS_SUCCESS)
        self.final = command_pb2.Command(status=status, log_size_bytes=self.size, **fields)
        self._wake()

    def fail(self, error: MyxError, *, at: int = -1) -> None:
        """Raise `error` once in a reader (when it comes to offset `at`)."""
        self._failure, self._fail_at = error, at
        self._wake()

    def end_early(self, *, at: int) -> None:
        """End a reader's stream once at offset `at`, as if all were said."""
        self._end_at = at

    def command(self, command_id: str) -> command_pb2.Command:
        """What GetCommand answers."""
        status = command_pb2.COMMAND_STATUS_RUNNING if self.final is None else self.final.status
        command = command_pb2.Command(
            id=command_id,
            server_name="web-1",
            status=status,
            log_size_bytes=self.size,
            log_completeness=self.completeness(),
        )
        if self.final is not None:
            sizes = {number: sum(len(f.data) for f in self.frames if f.stream == number) for number in (STDOUT, STDERR)}
            if self.purged:
                command.log_purged_at.seconds = 1_700_000_000
            command.result.stdout.bytes, command.result.stderr.bytes = sizes[STDOUT], sizes[STDERR]
        return command

    def completeness(self) -> command_pb2.LogCompleteness.ValueType:
        """Open, complete, or incomplete with gaps."""
        if self.final is None:
            return command_pb2.LOG_COMPLETENESS_OPEN
        return command_pb2.LOG_COMPLETENESS_INCOMPLETE if self.gaps else command_pb2.LOG_COMPLETENESS_COMPLETE

    async def follow(self, offset: int, follow: bool) -> AsyncIterator[command_service_pb2.FollowLogResponse]:
        """What FollowLog answers."""
        response = command_service_pb2.FollowLogResponse
        self.readers += 1
        try:
            while True:
                changed = self._changed
                for step in self._steps(offset):
                    if step.frames:
                        start = step.frames[0].offset
                        if self._failure is not None and start >= self._fail_at >= 0:
                            break
                        if start >= self._end_at >= 0:
                            self._end_at = -1
                            return
                    yield step
                    offset = step.gap.to_offset or step.frames[-1].offset + len(step.frames[-1].data)
                    self.given_bytes += sum(len(frame.data) for frame in step.frames)
                if self._failure is not None and (self._fail_at < 0 or offset >= self._fail_at):
                    failure = self._failure
                    self._failure = failure if self.always_fails else None
                    raise failure
                if offset >= self.size:
                    if self.final is not None:
                        yield response(final=command_service_pb2.LogFinal(offset=self.size, command=self.final))
                        return
                    if not follow:
                        return
                    await changed.wait()
        finally:
            self.readers -= 1

    def _steps(self, offset: int) -> list[command_service_pb2.FollowLogResponse]:
        response = command_service_pb2.FollowLogResponse
        steps = [(gap.from_offset, response(gap=gap)) for gap in self.gaps if gap.to_offset > offset]
        for frame in self.frames:
            if frame.offset + len(frame.data) > offset:
                start = max(frame.offset, offset)
                cut = command_pb2.LogFrame(stream=frame.stream, offset=start, data=frame.data[start - frame.offset :])
                steps.append((start, response(frames=[cut])))
        return [step for _, step in sorted(steps, key=lambda item: item[0])]

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class BigLog(FakeLog):
    """`size` bytes of one repeated block, without holding them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.block = secrets.token_bytes(CHUNK)
        self.size = size
        self.final = command_pb2.Command(status=command_pb2.COMMAND_STATUS_SUCCESS, log_size_bytes=size)

    async def follow(self, offset: int, follow: bool) -> AsyncIterator[command_service_pb2.FollowLogResponse]:
        response = command_service_pb2.FollowLogResponse
        while offset < self.size:
            data = self.block[offset % CHUNK :]
            yield response(frames=[command_pb2.LogFrame(stream=STDOUT, offset=offset, data=data)])
            offset += len(data)
            self.given_bytes += len(data)
        yield response(final=command_service_pb2.LogFinal(offset=self.size, command=self.final))


class Upload:
    """What came by a client stream. `digest` once it was complete; `broken` when it ended early."""

    def __init__(self, head: Any) -> None:
        self.head = head
        self.size = 0
        self.largest = 0
        self.digest = ""
        self.broken = False


class Backend:
    """The services behind the gateway, made of scripts, and the gateway's own real database.

    `errors[method]` is raised by that method while it is there, `holds[method]` delays its answer, `answers[method]` is
    another one than in all tests; `requests[method]` collects what came.
    """

    def __init__(self, tls_dir: Path, database: Database) -> None:
        self.tls_dir = tls_dir
        self.database = database
        self.errors: dict[str, Exception] = {}
        self.requests: dict[str, list[Any]] = {}
        self.answers: dict[str, Message] = {}
        self.holds: dict[str, asyncio.Event] = {}
        self.logs: dict[str, FakeLog] = {}
        self.jobs: dict[str, FakeJob] = {}
        self.uploads: list[Upload] = []
        self.addresses: dict[str, str] = {name: f"127.0.0.1:{free_port()}" for name in self._services()}
        self.servers: dict[str, RpcServer] = {}

    def forget(self) -> None:
        """Be as new, for the next test."""
        self.errors.clear()
        self.requests.clear()
        self.answers.clear()
        self.holds.clear()
        self.uploads.clear()

    def last(self, method: str) -> Any:
        """The last request of a method."""
        return self.requests[method][-1]

    def new_log(self, log: FakeLog | None = None) -> tuple[str, FakeLog]:
        """A command id and its log."""
        command_id, log = str(new_id()), log or FakeLog()
        self.logs[command_id] = log
        return command_id, log

    def new_job(self, targets: int) -> FakeJob:
        """A job that runs on `targets` servers."""
        job = FakeJob(str(new_id()), targets)
        self.jobs[job.job.id] = job
        return job

    def new_big_log(self, size: int) -> tuple[str, "BigLog"]:
        """A command id and its log of `size` bytes, a multiple of 256 KiB."""
        log = BigLog(size)
        return self.new_log(log)[0], log

    async def start(self, *names: str) -> None:
        """Start services (all of them by default) at their addresses."""
        for name in names or self.addresses:
            server = RpcServer(self.addresses[name], self.tls_dir, name)
            for add, service in self._services()[name]:
                servicer = {"executor": FakeExecutor, "registry": FakeRegistry}.get(name, Fake)(self)
                server.add(add, servicer, service)  # type: ignore[arg-type]
            self.addresses[name] = await server.start()
            self.servers[name] = server

    async def stop(self, *names: str) -> None:
        """Stop services (all of them by default)."""
        for name in names or list(self.servers):
            await self.servers.pop(name).stop(0)

    def answer(self, method: str, request: Message) -> None:
        """Note a request, and fail if that is the script."""
        self.requests.setdefault(method, []).append(request)
        if method in self.errors:
            raise self.errors[method]

    @staticmethod
    def _services() -> dict[str, list[tuple[Callable[..., None], str]]]:
        return {
            "registry": [
                (server_service_pb2_grpc.add_ServerServiceServicer_to_server, "myx.registry.v1.ServerService"),
                (agent_service_pb2_grpc.add_AgentServiceServicer_to_server, "myx.registry.v1.AgentService"),
                (
                    credential_service_pb2_grpc.add_CredentialServiceServicer_to_server,
                    "myx.registry.v1.CredentialService",
                ),
            ],
            "heartbeat": [
                (heartbeat_service_pb2_grpc.add_HeartbeatServiceServicer_to_server, "myx.heartbeat.v1.HeartbeatService")
            ],
            "executor": [
                (command_service_pb2_grpc.add_CommandServiceServicer_to_server, "myx.executor.v1.CommandService"),
                (
                    deployment_service_pb2_grpc.add_DeploymentServiceServicer_to_server,
                    "myx.executor.v1.DeploymentService",
                ),
                (job_service_pb2_grpc.add_JobServiceServicer_to_server, "myx.executor.v1.JobService"),
                (schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server, "myx.executor.v1.ScheduleService"),
                (playbook_service_pb2_grpc.add_PlaybookServiceServicer_to_server, "myx.executor.v1.PlaybookService"),
            ],
        }


class Fake:
    """Answers every method with a plausible message."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __getattr__(self, method: str) -> Any:
        async def handle(request: Message, _context: Any) -> Message:
            self._backend.answer(method, request)
            if method in self._backend.holds:
                await self._backend.holds[method].wait()
            return self._backend.answers.get(method, ANSWERS[method])

        return handle


class FakeRegistry(Fake):
    """The same, with one server that every selector matches, and one, whose id is its name, for each other name."""

    async def ResolveServers(
        self, request: server_service_pb2.ResolveServersRequest, _context: Any
    ) -> AsyncIterator[server_service_pb2.ResolveServersResponse]:
        self._backend.answer("ResolveServers", request)
        ids = {name: name for name in re.findall(r"'([^']+)'", request.selector)} | {SERVER.name: MATCHED}
        found = [server_service_pb2.ResolvedServer(id=id_, name=name) for name, id_ in ids.items()]
        yield server_service_pb2.ResolveServersResponse(servers=found)


class FakeExecutor(Fake):
    """The same, with logs and jobs."""

    async def GetCommand(self, request: command_service_pb2.GetCommandRequest, _context: Any) -> Message:
        answer = await self.__getattr__("GetCommand")(request, _context)
        log = self._backend.logs.get(request.command_id)
        return (
            answer if log is None else command_service_pb2.GetCommandResponse(command=log.command(request.command_id))
        )

    async def GetDeployment(self, request: deployment_service_pb2.GetDeploymentRequest, _context: Any) -> Message:
        answer = deployment_service_pb2.GetDeploymentResponse()
        answer.CopyFrom(await self.__getattr__("GetDeployment")(request, _context))
        log = self._backend.logs.get(request.deployment_id)
        if log is not None:
            answer.deployment.log_size_bytes = log.size
            answer.deployment.log_completeness = log.completeness()
        return answer

    async def GetJob(self, request: job_service_pb2.GetJobRequest, _context: Any) -> Message:
        answer = await self.__getattr__("GetJob")(request, _context)
        job = self._backend.jobs.get(request.job_id)
        return answer if job is None else job_service_pb2.GetJobResponse(job=job.job)

    async def FollowJob(
        self, request: job_service_pb2.FollowJobRequest, _context: Any
    ) -> AsyncIterator[job_service_pb2.FollowJobResponse]:
        self._backend.answer("FollowJob", request)
        async for step in self._backend.jobs[request.job_id].follow(request):
            yield step

    async def FollowLog(
        self, request: command_service_pb2.FollowLogRequest, context: Any
    ) -> AsyncIterator[command_service_pb2.FollowLogResponse]:
        self._backend.answer("FollowLog", request)
        log = self._backend.logs.get(request.command_id)
        if log is None:
            raise NotFound("COMMAND_NOT_FOUND", "no such command", command=request.command_id)
        log.asked.append((request.offset, request.follow))
        if log.final is not None and request.offset > log.size:
            raise OutOfRange("OFFSET_BEYOND_END", "offset beyond the end", end=str(log.size))
        if log.says_accepted:
            await context.send_initial_metadata(())
        async for step in log.follow(request.offset, request.follow):
            yield step

    async def PushProject(self, requests: AsyncIterator[Any], _context: Any) -> Message:
        await self._take("PushProject", requests)
        return ANSWERS["PushProject"]

    async def PushArtifact(self, requests: AsyncIterator[Any], _context: Any) -> Message:
        await self._take("PushArtifact", requests)
        return ANSWERS["PushArtifact"]

    async def _take(self, method: str, requests: AsyncIterator[Any]) -> None:
        """Read all of it (unless told to fail at once), as slowly as the hold says."""
        seen = hashlib.sha256()
        upload: Upload | None = None
        try:
            async for request in requests:
                if upload is None:
                    upload = Upload(request)
                    self._backend.uploads.append(upload)
                    self._backend.answer(method, request)
                if method in self._backend.holds:
                    await self._backend.holds[method].wait()
                seen.update(request.data)
                upload.size += len(request.data)
                upload.largest = max(upload.largest, len(request.data))
        except BaseException:
            if upload is not None:
                upload.broken = True
            raise
        assert upload is not None
        upload.digest = seen.hexdigest()


AGENT = agent_pb2.Agent(id="a1", server_id="s1", status=agent_pb2.AGENT_STATUS_ONLINE, version="1.2.3", rpc_port=8123)
AGENT.facts.hostname = "web-1"
AGENT.latency.nanos = 2_500_000
SERVER = server_pb2.Server(id="s1", name="web-1", address="10.0.0.1", labels={"tier": "web"}, etag="e7", agent=AGENT)
SERVER.created_at.FromJsonString("2026-11-22T10:00:00.5Z")
SERVER.ssh.user = "deploy"
SERVER.ssh.has_credential = True
SERVER.ssh.sudo = server_pb2.SUDO_MODE_AUTO
SERVER.host_key.fingerprint = "SHA256:abc"
SERVER.host_key.how = "accepted"
SERVER.repair_policy = server_pb2.REPAIR_POLICY_ASK
SERVER.maintenance.holder = "d1"
SERVER.maintenance.kind = "install_agent"
CREDENTIAL = credential_pb2.Credential(
    id="c1",
    name="ops",
    type=credential_pb2.CREDENTIAL_TYPE_PRIVATE_KEY,
    has_passphrase=True,
    public_key_fingerprint="SHA256:key",
    used_by=["web-1"],
    used_by_count=1,
    etag="k3",
)
STEP = deployment_pb2.DeploymentStep(
    name="preflight",
    title="Check the host",
    status=deployment_pb2.STEP_STATUS_FAILED,
    reason="PORT_BLOCKED",
    message="port 8123 cannot be reached from here",
    cure="open it in the firewall",
)
DEPLOYMENT = deployment_pb2.Deployment(
    id="d1",
    server_id="s1",
    server_name="web-1",
    kind="caddy",
    method=deployment_pb2.DEPLOYMENT_METHOD_AUTO,
    method_used=deployment_pb2.DEPLOYMENT_METHOD_SSH,
    status=command_pb2.COMMAND_STATUS_FAILED,
    steps=[STEP],
    secret_var_names=["token"],
    details={"previous_version": "1"},
)
DEPLOYMENT.extra_vars.update({"port": 8080, "names": ["a"]})
DEPLOYMENT.recap.changed = 2
DEPLOYMENT.recap.duration.seconds = 3
EVENT = deployment_pb2.PlayEvent(seq=4)
EVENT.event.update({"type": "task_result", "status": "ok", "duration_s": 0.5})
PROJECT = playbook_service_pb2.Project(name="site", version="2", digest="ab", playbooks=["up.yml"], size_bytes=7)
ARTIFACT = playbook_service_pb2.Artifact(sha256="a" * 64, name="caddy", size_bytes=7)
COMMAND = command_pb2.Command(
    id="0192-command",
    server_id="s1",
    server_name="web-1",
    command="sh",
    args=["-c", "exit 7"],
    secret_env_names=["PASSWORD"],
    status=command_pb2.COMMAND_STATUS_FAILED,
    reason="exit_code",
    exit_code=7,
    log_completeness=command_pb2.LOG_COMPLETENESS_COMPLETE,
    requested_by="token:admin",
)
COMMAND.timeout.seconds = 86_400
COMMAND.result.return_code = 7
COMMAND.result.stdout.bytes = 12
COMMAND.changes.add(**{"from": "pending"}, to="running", actor="executor:a", cause="sent", evidence="the agent said so")
COMMAND.status_since.seconds = 1_700_000_000
COMMAND.offline = command_pb2.OFFLINE_POLICY_QUEUE
COMMAND.lock = command_pb2.LOCK_MODE_SHARED
COMMAND.queue_timeout.seconds = 60
JOB = job_pb2.Job(
    id="j1",
    name="patch",
    selector="env=prod",
    status=job_pb2.JOB_STATUS_PAUSED,
    owner="executor-1",
    next="goes on when it is resumed",
    target_count=12,
    targets_sha256="b" * 64,
    batch=1,
    batch_count=2,
    requested_by="token:admin",
    revision=9,
    counts=[
        job_pb2.TargetCount(status=job_pb2.TARGET_STATUS_SUCCESS, count=10),
        job_pb2.TargetCount(status=job_pb2.TARGET_STATUS_NOT_STARTED, count=2),
    ],
    changes=[command_pb2.StatusChange(to="pending", actor="token:admin", cause="accepted")],
)
JOB.work.command.command = "uptime"
JOB.work.command.secret_env["PASSWORD"] = ""
JOB.options.concurrency.percent = 12.5
JOB.options.max_failed.count = 0
JOB.options.batches.add(count=1)
JOB.options.deadline.seconds = 60
TARGET = job_pb2.JobTarget(
    number=1, server_id="s1", server_name="web-1", batch=1, status=job_pb2.TARGET_STATUS_UNREACHABLE, exit_code=0
)
FIRE = schedule_service_pb2.ScheduleFire(
    outcome=schedule_service_pb2.FIRE_OUTCOME_STARTED, started_kind="job", started_id="j1"
)
FIRE.slot_at.FromJsonString("2026-11-22T10:00:00Z")
SCHEDULE = schedule_service_pb2.Schedule(
    id="k1",
    name="nightly",
    cron="0 3 * * *",
    time_zone="Europe/Berlin",
    missed=schedule_service_pb2.MISSED_POLICY_RUN_ONCE,
    overlap=schedule_service_pb2.OVERLAP_POLICY_WAIT,
    owner="token:admin",
    last_fire=FIRE,
    next_times=[FIRE.slot_at],
    etag="n1",
)
SCHEDULE.work.job.selector = "all"
SCHEDULE.work.job.work.deployment.kind = "caddy"
SCHEDULE.work.job.work.deployment.secret_vars["token"] = ""
MATCH = command_service_pb2.LogMatch(
    offset=40, stream=STDERR, line="größe: ".encode() + b"\xff error", match_start=11, match_end=16
)
ANSWERS: dict[str, Message] = {
    **{
        f"{verb}Job": getattr(job_service_pb2, f"{verb}JobResponse")(job=JOB)
        for verb in ("Create", "Get", "Update", "Pause", "Resume", "Cancel", "Retry")
    },
    "ListJobs": job_service_pb2.ListJobsResponse(jobs=[JOB], next_page_token="older"),
    "ListJobTargets": job_service_pb2.ListJobTargetsResponse(targets=[TARGET], next_page_token="more"),
    "PreviewJob": job_service_pb2.PreviewJobResponse(targets=[TARGET], targets_sha256="b" * 64, batch_count=1),
    "CreateSchedule": schedule_service_pb2.CreateScheduleResponse(schedule=SCHEDULE),
    "GetSchedule": schedule_service_pb2.GetScheduleResponse(schedule=SCHEDULE),
    "ListSchedules": schedule_service_pb2.ListSchedulesResponse(schedules=[SCHEDULE]),
    "UpdateSchedule": schedule_service_pb2.UpdateScheduleResponse(schedule=SCHEDULE),
    "DeleteSchedule": schedule_service_pb2.DeleteScheduleResponse(),
    "ListScheduleFires": schedule_service_pb2.ListScheduleFiresResponse(fires=[FIRE], next_page_token="older"),
    "PreviewSchedule": schedule_service_pb2.PreviewScheduleResponse(times=[FIRE.slot_at]),
    "SearchLog": command_service_pb2.SearchLogResponse(matches=[MATCH], next_offset=99, log_size_bytes=200),
    "ListServers": server_service_pb2.ListServersResponse(servers=[SERVER], next_page_token="more"),
    "CountServers": server_service_pb2.CountServersResponse(
        total=4,
        by_status=[
            {"status": agent_pb2.AGENT_STATUS_ONLINE, "servers": 2},
            {"status": 99, "servers": 1},
        ],
        without_agent=1,
        paused=1,
    ),
    "CreateServer": server_service_pb2.CreateServerResponse(server=SERVER),
    "GetServer": server_service_pb2.GetServerResponse(server=SERVER),
    "UpdateServer": server_service_pb2.UpdateServerResponse(server=SERVER),
    "DeleteServer": server_service_pb2.DeleteServerResponse(),
    "ListAgents": agent_service_pb2.ListAgentsResponse(agents=[AGENT]),
    "GetAgent": agent_service_pb2.GetAgentResponse(agent=AGENT),
    "PauseChecks": agent_service_pb2.PauseChecksResponse(servers=1),
    "ResumeChecks": agent_service_pb2.ResumeChecksResponse(servers=1),
    "CheckNow": heartbeat_service_pb2.CheckNowResponse(
        status=agent_pb2.AGENT_STATUS_OFFLINE,
        cause="refused",
        message="nothing listens there",
        attempts=[agent_pb2.CallAttempt(cause="refused", message="nothing listens there")],
    ),
    "RunCommand": command_service_pb2.RunCommandResponse(command=COMMAND),
    "GetCommand": command_service_pb2.GetCommandResponse(command=COMMAND),
    "ListCommands": command_service_pb2.ListCommandsResponse(commands=[COMMAND], next_page_token="older"),
    "CancelCommand": command_service_pb2.CancelCommandResponse(command=COMMAND),
    "TrustHostKey": server_service_pb2.TrustHostKeyResponse(server=SERVER),
    "ListCredentials": credential_service_pb2.ListCredentialsResponse(credentials=[CREDENTIAL], next_page_token="more"),
    "CreateCredential": credential_service_pb2.CreateCredentialResponse(credential=CREDENTIAL),
    "GetCredential": credential_service_pb2.GetCredentialResponse(credential=CREDENTIAL),
    "UpdateCredential": credential_service_pb2.UpdateCredentialResponse(credential=CREDENTIAL),
    "DeleteCredential": credential_service_pb2.DeleteCredentialResponse(),
    "CreateDeployment": deployment_service_pb2.CreateDeploymentResponse(deployment=DEPLOYMENT),
    "GetDeployment": deployment_service_pb2.GetDeploymentResponse(deployment=DEPLOYMENT),
    "ListDeployments": deployment_service_pb2.ListDeploymentsResponse(deployments=[DEPLOYMENT]),
    "CancelDeployment": deployment_service_pb2.CancelDeploymentResponse(deployment=DEPLOYMENT),
    "RetryDeployment": deployment_service_pb2.RetryDeploymentResponse(deployment=DEPLOYMENT),
    "ListPlayEvents": deployment_service_pb2.ListPlayEventsResponse(events=[EVENT], is_final=True),
    "ScanHostKey": deployment_service_pb2.ScanHostKeyResponse(
        public_key="ssh-ed25519 AAAA", fingerprint="SHA256:other", trusted_fingerprint="SHA256:abc"
    ),
    "ListProjects": playbook_service_pb2.ListProjectsResponse(projects=[PROJECT]),
    "PushProject": playbook_service_pb2.PushProjectResponse(project=PROJECT, changed=True),
    "DeleteProject": playbook_service_pb2.DeleteProjectResponse(),
    "ListArtifacts": playbook_service_pb2.ListArtifactsResponse(artifacts=[ARTIFACT]),
    "PushArtifact": playbook_service_pb2.PushArtifactResponse(artifact=ARTIFACT),
    "DeleteArtifact": playbook_service_pb2.DeleteArtifactResponse(),
}


class Gateway:
    """A running gateway process and an HTTP client of it. `http` sends the token, `stranger` does not.

    There is the user `admin` with `password`; `database` is the gateway's own.
    """

    def __init__(self, program: Program, port: int, token: str, http: Any, stranger: Any, database: Database) -> None:
        self.program, self.port, self.token, self.http, self.stranger = program, port, token, http, stranger
        self.database, self.password = database, ADMIN_PASSWORD
        self.url = str(stranger._base_url).rstrip("/")

    def socket(self, id_: str, offset: int | str = 0, noun: str = "commands") -> Any:
        """A WebSocket on a log (async context manager)."""
        path = f"/api/v1/{noun}/{id_}/log/stream?offset={offset}"
        return self.http.ws_connect(path, max_msg_size=1 << 20)

    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        return psutil.Process(self.program.pid).memory_info().rss

    async def problem(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """The problem that a request is answered with."""
        async with self.http.request(method, path, **arguments) as answer:
            assert answer.content_type == "application/problem+json", await answer.text()
            problem: dict[str, Any] = await answer.json()
            assert problem["status"] == answer.status
            return problem


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_backend(
    tls_dir: Path, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Backend]:
    """The fake services and the database, for all tests of a module."""
    database = Database(postgres_server, tmp_path_factory.mktemp("database"))
    await asyncio.to_thread(migrations.upgrade, database.url)
    backend = Backend(tls_dir, database)
    await backend.start()
    yield backend
    await backend.stop()
    await asyncio.to_thread(database.drop)


@pytest.fixture
def backend(running_backend: Backend) -> Backend:
    """The fake services without the scripts of the test before."""
    running_backend.forget()
    return running_backend


@asynccontextmanager
async def started(backend: Backend, folder: Path, scheme: str = "http", **settings: object) -> AsyncIterator[Gateway]:
    """A gateway process with these settings. `https`: clients say themselves how they check its certificate."""
    token, port = secrets.token_urlsafe(32), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    token_file, password_file = folder / "token", folder / "password"
    write_private(token_file, token + "\n")
    write_private(password_file, ADMIN_PASSWORD + "\n")
    env = {
        "PATH": os.environ["PATH"],
        "MYX_GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "MYX_GATEWAY_TLS_DIR": str(backend.tls_dir),
        "MYX_GATEWAY_ADMIN_TOKEN_FILE": str(token_file),
        "MYX_GATEWAY_FIRST_ADMIN_PASSWORD_FILE": str(password_file),
        "MYX_GATEWAY_DATABASE_URL_FILE": str(backend.database.url_file),
        **{f"MYX_GATEWAY_{name.upper()}_TARGET": address for name, address in backend.addresses.items()},
        **{f"MYX_GATEWAY_{name.upper()}": str(value) for name, value in settings.items()},
    }
    program = Program("gateway", [sys.executable, "-m", "myx_gateway", "serve"], folder / "gateway.log", env)
    program.start()
    async with AsyncExitStack() as stack:
        stack.callback(lambda: program.kill9() if program.is_running() else None)
        bearer = {"Authorization": f"Bearer {token}"}
        url = f"{scheme}://127.0.0.1:{port}"
        http = await stack.enter_async_context(aiohttp.ClientSession(url, headers=bearer))
        stranger = await stack.enter_async_context(aiohttp.ClientSession(url))
        gateway = Gateway(program, port, token, http, stranger, backend.database)

        async def serves() -> bool:
            try:
                async with stranger.get("/healthz", ssl=False) as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                assert program.is_running(), program.output()
                return False

        await until(serves, 30)
        yield gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(running_backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One gateway for all tests of a module, with default settings."""
    async with started(running_backend, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxied(running_backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """One gateway for all tests of a module that believes this machine what it says in X-Forwarded-For."""
    async with started(running_backend, tmp_path_factory.mktemp("gateway"), trusted_proxies="127.0.0.0/8") as running:
        yield running


@pytest.fixture
def start_gateway(backend: Backend, tmp_path: Path) -> Callable[..., Any]:
    """`async with start_gateway(setting=value) as gateway`: one for this test alone."""
    return lambda **settings: started(backend, tmp_path / "gateway", **settings)
