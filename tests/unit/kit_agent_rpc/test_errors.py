"""What an operator reads of an agent's answer."""

from myx_kit.agent_rpc.errors import JsonRpcError


def test_a_refused_parameter_is_told_without_a_number() -> None:
    error = JsonRpcError(-32602, "Invalid params: user is not a user of this host")
    assert error.sentence == "the agent refused: user is not a user of this host"


def test_other_errors_keep_their_number() -> None:
    assert JsonRpcError(-32004, "stopping").sentence == "the agent answered -32004: stopping"
