"""Jobs as the gateway asks for them, and fleets of many servers on few agents."""

import secrets
import uuid
from contextlib import aclosing

from myx.executor.v1 import command_service_pb2, job_pb2, job_service_pb2, job_service_pb2_grpc
from myx_kit.rpc.client import open_channel, translate_errors
from myx_testkit.ports import free_port
from myx_testkit.wait import until

FINAL = job_pb2.JOB_STATUS_SUCCESS
WAITING, RUNNING = job_pb2.TARGET_STATUS_WAITING, job_pb2.TARGET_STATUS_RUNNING


class Fleet:
    """`count` servers with a label of their own, spread over the agents; the last `dead` of them do not answer."""

    def __init__(self, registry, agents, count, dead=0, labels=None):
        self.label = f"f{secrets.token_hex(4)}"
        self.selector = f"fleet={self.label}"
        self.names = [f"{self.label}-{number:02}" for number in range(count)]
        for number, name in enumerate(self.names):
            endpoint = agents[number % len(agents)].endpoint(
                server_id=str(uuid.uuid4()), server_name=name, agent_id=str(uuid.uuid4())
            )
            if number >= count - dead:
                endpoint["rpc_port"] = free_port()
            more = labels(number) if labels else {}
            registry.put(endpoint | {"_": {"labels": {"fleet": self.label, **more}}})
        self.ids = [registry.servers[name]["server_id"] for name in self.names]


def share(value):
    """`10` or `"10%"`."""
    if isinstance(value, str):
        return job_pb2.Share(percent=float(value.rstrip("%")))
    return job_pb2.Share(count=value)


def options(*, batches=(), **given):
    message = job_pb2.JobOptions(batches=[share(size) for size in batches])
    for name, value in given.items():
        if name in ("concurrency", "canary", "max_failed", "max_unreachable"):
            getattr(message, name).CopyFrom(share(value))
        elif name == "batch_label":
            message.batch_label = value
        else:
            getattr(message, name).FromNanoseconds(int(value * 1e9))
    return message


def shell(script, **fields):
    """Work: a script of the shell."""
    request = command_service_pb2.RunCommandRequest(command="/bin/sh", args=["-c", script], **fields)
    return job_pb2.JobWork(command=request)


class JobClient:
    """JobService as the gateway calls it."""

    def __init__(self, executor, own_name="gateway"):
        self.channel = open_channel(f"127.0.0.1:{executor.port}", executor.tls_dir, own_name, "executor")
        self.stub = job_service_pb2_grpc.JobServiceStub(self.channel)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.channel.close()

    async def create(self, selector, work, *, servers=(), requested_by="token:test", opts=None, **fields):
        request = job_service_pb2.CreateJobRequest(
            selector=selector, servers=servers, work=work, options=opts, requested_by=requested_by, **fields
        )
        with translate_errors("executor"):
            return (await self.stub.CreateJob(request, timeout=20)).job

    async def preview(self, selector="", servers=(), opts=None):
        request = job_service_pb2.PreviewJobRequest(selector=selector, servers=servers, options=opts)
        with translate_errors("executor"):
            return await self.stub.PreviewJob(request, timeout=20)

    async def get(self, job_id):
        with translate_errors("executor"):
            return (await self.stub.GetJob(job_service_pb2.GetJobRequest(job_id=job_id), timeout=20)).job

    async def targets(self, job_id, *statuses):
        found, token = [], ""
        while True:
            request = job_service_pb2.ListJobTargetsRequest(
                job_id=job_id, page_size=7, page_token=token, statuses=statuses
            )
            with translate_errors("executor"):
                page = await self.stub.ListJobTargets(request, timeout=20)
            found += page.targets
            token = page.next_page_token
            if not token:
                return found

    async def ask(self, method, job_id, **fields):
        """PauseJob, ResumeJob, CancelJob, RetryJob, UpdateJob."""
        request = getattr(job_service_pb2, f"{method}Request")(job_id=job_id, requested_by="token:test", **fields)
        with translate_errors("executor"):
            return (await getattr(self.stub, method)(request, timeout=20)).job

    async def final(self, job_id, timeout_s=90):
        async def ended():
            job = await self.get(job_id)
            return job if job.status >= FINAL else None

        return await until(ended, timeout_s, interval_s=0.05)

    async def count(self, job_id, *statuses):
        return sum(one.count for one in (await self.get(job_id)).counts if one.status in statuses)

    async def follow(self, job_id, *, after=0, output=False, offsets=None, timeout_s=90):
        """Yields the responses of FollowJob."""
        request = job_service_pb2.FollowJobRequest(
            job_id=job_id, after_revision=after, output=output, offsets=offsets or {}
        )
        with translate_errors("executor"):
            call = self.stub.FollowJob(request, timeout=timeout_s)
            try:
                async for response in call:
                    yield response
            finally:
                call.cancel()

    async def watch(self, job_id, **how):
        """All that a follower sees, to the end."""
        seen = Seen(how.get("offsets"))
        async with aclosing(self.follow(job_id, **how)) as responses:
            async for response in responses:
                seen.take(response)
        return seen


class Seen:
    """What a follower of a job has seen."""

    def __init__(self, offsets=None):
        self.job = None
        self.targets = {}
        self.output = {}
        self.offsets = dict(offsets or {})

    def take(self, response):
        assert self.job is None or self.job.status < FINAL, "something came after the final job"
        for target in response.targets:
            self.targets[target.number] = target
        for output in response.output:
            position = self.offsets.get(output.number, 0)
            for frame in output.frames:
                assert frame.offset == position, (output.number, frame.offset, position)
                self.output[output.number] = self.output.get(output.number, b"") + frame.data
                position += len(frame.data)
            assert not output.HasField("gap")
            self.offsets[output.number] = position
        if response.HasField("job"):
            assert self.job is None or response.job.revision >= self.job.revision
            self.job = response.job


def counts(job):
    """Targets by lower-case state."""
    names = job_pb2.TargetStatus
    return {names.Name(one.status).removeprefix("TARGET_STATUS_").lower(): one.count for one in job.counts}


def status(job):
    return job_pb2.JobStatus.Name(job.status).removeprefix("JOB_STATUS_").lower()
