"""Wire messages to schemas."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myx.executor.v1 import command_pb2, deployment_pb2
from myx.registry.v1 import agent_pb2, server_pb2
from myx_gateway.convert import agents, commands, deployments, servers, values, wire
from myx_gateway.schemas.commands import CommandStatus, LogCompleteness
from myx_gateway.schemas.common import MAX_SECONDS
from myx_gateway.schemas.deployments import DeploymentWork, Method
from myx_gateway.schemas.servers import RepairPolicy
from myx_gateway.schemas.ssh import NewSsh, SudoMode
from myx_kit.wire_time import duration


@pytest.mark.parametrize("number", command_pb2.CommandStatus.values()[1:])
def test_every_status_of_a_command_has_its_name(number: command_pb2.CommandStatus.ValueType) -> None:
    name = command_pb2.CommandStatus.Name(number).removeprefix("COMMAND_STATUS_").lower()
    assert commands.command(command_pb2.Command(status=number)).status == name
    assert commands.wire_status(CommandStatus(name)) == number


@pytest.mark.parametrize("number", agent_pb2.AgentStatus.values()[1:])
def test_every_status_of_an_agent_has_its_name(number: agent_pb2.AgentStatus.ValueType) -> None:
    assert agents.agent_status(number) == agent_pb2.AgentStatus.Name(number).removeprefix("AGENT_STATUS_").lower()


@pytest.mark.parametrize("number", command_pb2.LogCompleteness.values()[1:])
def test_every_completeness_has_its_name(number: command_pb2.LogCompleteness.ValueType) -> None:
    name = command_pb2.LogCompleteness.Name(number).removeprefix("LOG_COMPLETENESS_").lower()
    assert commands.command(command_pb2.Command(log_completeness=number)).log_completeness == LogCompleteness(name)


def test_a_status_of_a_newer_service_is_unknown() -> None:
    assert commands.command(command_pb2.Command(status=99)).status is CommandStatus.UNKNOWN  # type: ignore[arg-type]
    assert agents.agent_status(99) == "unknown"  # type: ignore[arg-type]


def test_what_is_not_set_is_null_and_what_is_zero_is_zero() -> None:
    empty = commands.command(command_pb2.Command())
    assert (empty.exit_code, empty.timeout_s, empty.started_at, empty.result) == (None, None, None, None)
    message = command_pb2.Command(exit_code=0)
    message.timeout.SetInParent()
    full = commands.command(message)
    assert (full.exit_code, full.timeout_s) == (0, 0)


def test_times_are_rfc_3339_in_utc() -> None:
    server = server_pb2.Server()
    server.created_at.FromJsonString("2026-11-22T10:00:00.123456Z")
    assert json.loads(servers.server(server).model_dump_json())["created_at"] == "2026-11-22T10:00:00.123456Z"


@given(st.floats(0, MAX_SECONDS))
def test_a_duration_goes_over_the_wire_and_back(value: float) -> None:
    message = duration(value)
    assert 0 <= message.nanos < 1_000_000_000
    assert wire.seconds(message, present=True) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("number", deployment_pb2.StepStatus.values()[1:])
def test_every_status_of_a_step_has_its_name(number: deployment_pb2.StepStatus.ValueType) -> None:
    name = deployment_pb2.StepStatus.Name(number).removeprefix("STEP_STATUS_").lower()
    assert deployments.step(deployment_pb2.DeploymentStep(status=number)).status == name


@pytest.mark.parametrize("number", deployment_pb2.DeploymentMethod.values()[1:])
def test_every_method_has_its_name(number: deployment_pb2.DeploymentMethod.ValueType) -> None:
    name = deployment_pb2.DeploymentMethod.Name(number).removeprefix("DEPLOYMENT_METHOD_").lower()
    assert deployments.deployment(deployment_pb2.Deployment(method=number)).method == name
    assert deployments.wire_deployment(DeploymentWork(kind="caddy", method=Method(name))).method == number


@pytest.mark.parametrize("number", server_pb2.RepairPolicy.values()[1:])
def test_every_repair_policy_has_its_name(number: server_pb2.RepairPolicy.ValueType) -> None:
    name = server_pb2.RepairPolicy.Name(number).removeprefix("REPAIR_POLICY_").lower()
    assert servers.server(server_pb2.Server(repair_policy=number)).repair_policy == name
    assert servers.wire_repair(RepairPolicy(name)) == number


@pytest.mark.parametrize("number", server_pb2.SudoMode.values()[1:])
def test_every_way_of_sudo_has_its_name(number: server_pb2.SudoMode.ValueType) -> None:
    name = server_pb2.SudoMode.Name(number).removeprefix("SUDO_MODE_").lower()
    assert servers.server(server_pb2.Server(ssh=server_pb2.SshSettings(sudo=number))).ssh.sudo == name
    assert servers.wire_ssh(NewSsh(sudo=SudoMode(name))).sudo == number


_SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_NESTED = st.recursive(_SCALARS | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(st.dictionaries(st.text(), _NESTED))
def test_variables_go_over_the_wire_and_back(given_values: dict[str, object]) -> None:
    message = values.to_struct(given_values)
    again = values.from_struct(type(message).FromString(message.SerializeToString()))
    assert again == given_values


def test_whole_numbers_stay_whole() -> None:
    again = values.from_struct(values.to_struct({"port": 8080, "on": True, "ratio": 0.5}))
    assert json.dumps(again, sort_keys=True) == '{"on": true, "port": 8080, "ratio": 0.5}'
