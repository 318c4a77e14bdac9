"""Wire messages to schemas."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myx.executor.v1 import command_pb2
from myx.registry.v1 import agent_pb2, server_pb2
from myx_gateway import convert
from myx_gateway.schemas.commands import CommandStatus, LogCompleteness
from myx_gateway.schemas.common import MAX_SECONDS
from myx_kit.wire_time import duration


@pytest.mark.parametrize("number", command_pb2.CommandStatus.values()[1:])
def test_every_status_of_a_command_has_its_name(number: command_pb2.CommandStatus.ValueType) -> None:
    name = command_pb2.CommandStatus.Name(number).removeprefix("COMMAND_STATUS_").lower()
    assert convert.command(command_pb2.Command(status=number)).status == name
    assert convert.wire_status(CommandStatus(name)) == number


@pytest.mark.parametrize("number", agent_pb2.AgentStatus.values()[1:])
def test_every_status_of_an_agent_has_its_name(number: agent_pb2.AgentStatus.ValueType) -> None:
    assert convert.agent_status(number) == agent_pb2.AgentStatus.Name(number).removeprefix("AGENT_STATUS_").lower()


@pytest.mark.parametrize("number", command_pb2.LogCompleteness.values()[1:])
def test_every_completeness_has_its_name(number: command_pb2.LogCompleteness.ValueType) -> None:
    name = command_pb2.LogCompleteness.Name(number).removeprefix("LOG_COMPLETENESS_").lower()
    assert convert.command(command_pb2.Command(log_completeness=number)).log_completeness == LogCompleteness(name)


def test_a_status_of_a_newer_service_is_unknown() -> None:
    assert convert.command(command_pb2.Command(status=99)).status is CommandStatus.UNKNOWN  # type: ignore[arg-type]
    assert convert.agent_status(99) == "unknown"  # type: ignore[arg-type]


def test_what_is_not_set_is_null_and_what_is_zero_is_zero() -> None:
    empty = convert.command(command_pb2.Command())
    assert (empty.exit_code, empty.timeout_s, empty.started_at, empty.result) == (None, None, None, None)
    message = command_pb2.Command(exit_code=0)
    message.timeout.SetInParent()
    full = convert.command(message)
    assert (full.exit_code, full.timeout_s) == (0, 0)


def test_times_are_rfc_3339_in_utc() -> None:
    server = server_pb2.Server()
    server.created_at.FromJsonString("2026-11-22T10:00:00.123456Z")
    assert json.loads(convert.server(server).model_dump_json())["created_at"] == "2026-11-22T10:00:00.123456Z"


@given(st.floats(0, MAX_SECONDS))
def test_a_duration_goes_over_the_wire_and_back(value: float) -> None:
    message = duration(value)
    assert 0 <= message.nanos < 1_000_000_000
    assert convert.seconds(message, present=True) == pytest.approx(value, abs=1e-6)
