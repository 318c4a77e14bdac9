"""Commands from request to end, on a real agent."""

import asyncio
import hashlib

import pytest

from myx.executor.v1 import command_pb2 as pb
from myx_kit.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound


async def test_a_short_command_ends_with_its_output_and_exit_code(client, agent):
    command = await client.shell(agent.name, "echo out; echo err >&2; exit 7")
    log = await client.log(command.id)

    assert log.of(pb.LOG_STREAM_STDOUT) == b"out\n"
    assert log.of(pb.LOG_STREAM_STDERR) == b"err\n"
    assert log.final.status == pb.COMMAND_STATUS_FAILED
    assert (log.final.exit_code, log.final.reason) == (7, "exit_code")
    assert log.final.log_completeness == pb.LOG_COMPLETENESS_COMPLETE
    assert log.final.log_size_bytes == 8
    assert log.final == await client.get(command.id)
