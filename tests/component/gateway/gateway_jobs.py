"""A scripted job for the fake executor."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from myx.executor.v1 import command_pb2, job_pb2, job_service_pb2
from myx_kit.errors import MyxError


class FakeJob:
    """A job whose targets `change` and `write`, and that ends by `finish`; `fail` breaks a stream of it."""

    def __init__(self, job_id: str, targets: int) -> None:
        self.job = job_pb2.Job(id=job_id, status=job_pb2.JOB_STATUS_RUNNING, target_count=targets, revision=1)
        self.targets = {
            number: job_pb2.JobTarget(
                number=number, server_name=f"web-{number}", status=job_pb2.TARGET_STATUS_WAITING, revision=1
            )
            for number in range(1, targets + 1)
        }
        self.output: dict[int, list[command_pb2.LogFrame | command_pb2.LogGap]] = {}
        self.ends: dict[int, int] = {}
        self.asked: list[job_service_pb2.FollowJobRequest] = []
        self.readers = 0
        self.given_bytes = 0
        self._failure: MyxError | None = None
        self._changed = asyncio.Event()

    def change(self, number: int, **fields: Any) -> None:
        """Change a target, and so the job's revision."""
        self.job.revision += 1
        for name, value in {**fields, "revision": self.job.revision}.items():
            setattr(self.targets[number], name, value)
        self._wake()

    def write(self, number: int, data: bytes, stream: int = 1) -> None:
        """Append to the output of a target."""
        offset = self.ends.get(number, 0)
        self.output.setdefault(number, []).append(command_pb2.LogFrame(stream=stream, offset=offset, data=data))
        self.ends[number] = offset + len(data)
        self._wake()

    def gap(self, number: int, size: int, reason: str) -> None:
        """Leave a hole in it."""
        offset = self.ends.get(number, 0)
        gap = command_pb2.LogGap(from_offset=offset, to_offset=offset + size, reason=reason)
        self.output.setdefault(number, []).append(gap)
        self.ends[number] = offset + size
        self._wake()

    def finish(self, status: job_pb2.JobStatus.ValueType = job_pb2.JOB_STATUS_SUCCESS) -> None:
        """End it."""
        self.job.revision += 1
        self.job.status = status
        self._wake()

    def fail(self, error: MyxError) -> None:
        """Raise `error` once in a reader that waits."""
        self._failure = error
        self._wake()

    async def follow(self, request: job_service_pb2.FollowJobRequest) -> AsyncIterator[Any]:
        """What FollowJob answers."""
        self.asked.append(request)
        revision, told, offsets = request.after_revision, 0, dict(request.offsets)
        self.readers += 1
        try:
            while True:
                changed = self._changed
                step = job_service_pb2.FollowJobResponse()
                if told < self.job.revision:
                    step.job.CopyFrom(self.job)
                    told = self.job.revision
                step.targets.extend(target for target in self.targets.values() if target.revision > revision)
                revision = self.job.revision
                if request.output:
                    step.output.extend(self._output(offsets))
                if step.ByteSize():
                    yield step
                    self.given_bytes += sum(len(frame.data) for output in step.output for frame in output.frames)
                if step.HasField("job") and step.job.status >= job_pb2.JOB_STATUS_SUCCESS:
                    return
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
                await changed.wait()
        finally:
            self.readers -= 1

    def _output(self, offsets: dict[int, int]) -> list[job_service_pb2.TargetOutput]:
        outputs = []
        for number, items in self.output.items():
            offset = offsets.get(number, 0)
            for item in items:
                output = job_service_pb2.TargetOutput(number=number)
                if isinstance(item, command_pb2.LogGap):
                    if item.to_offset > offset:
                        output.gap.CopyFrom(item)
                        offset = item.to_offset
                        outputs.append(output)
                elif item.offset + len(item.data) > offset:
                    skip = max(0, offset - item.offset)
                    frame = output.frames.add(stream=item.stream, offset=item.offset + skip, data=item.data[skip:])
                    offset = frame.offset + len(frame.data)
                    outputs.append(output)
            offsets[number] = offset
        return outputs

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
