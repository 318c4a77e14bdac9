"""Methods of the agent that have more to them than a name and parameters. Failures are AgentCallErrors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from myx_kit.agent_rpc.client import AgentClient, AgentTarget
from myx_kit.agent_rpc.errors import AgentCallError, Cause
from myx_kit.agent_rpc.wire import LogEvent, clean_all

# Beside `wait_s`: what the way there and back may take.
_MARGIN_S = 10.0
# No play has so many events.
_MAX_SEQ = 1 << 31


@dataclass(frozen=True, slots=True)
class Play:
    """One run of a playbook that the agent has: of the shipped tool, or of a pushed `project`.

    `tool_digest` is that of the archive which must be the current one; the agent refuses with −32006 otherwise.
    Secrets are not in the repr.
    """

    playbook: str
    project: str = ""
    tool_digest: str = ""
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    secret_vars: Mapping[str, Any] = field(default_factory=dict, repr=False)
    trusted_vars: Mapping[str, Any] = field(default_factory=dict, repr=False)
    check: bool = False
    diff: bool = False
    tags: Sequence[str] = ()
    skip_tags: Sequence[str] = ()
    limit: str = ""
    timeout_s: float = 0.0
    no_output_timeout_s: float = 0.0

    def params(self, command_id: str) -> dict[str, Any]:
        """The parameters of `execute_ansible`; what is as by default is left out."""
        given = {
            "project": self.project,
            "tool_digest": self.tool_digest,
            "extra_vars": dict(self.extra_vars),
            "secret_vars": dict(self.secret_vars),
            "trusted_vars": dict(self.trusted_vars),
            "check": self.check,
            "diff": self.diff,
            "tags": list(self.tags),
            "skip_tags": list(self.skip_tags),
            "limit": self.limit,
            "timeout": self.timeout_s,
            "no_output_timeout": self.no_output_timeout_s,
        }
        wanted = {name: value for name, value in given.items() if value}
        return {"playbook": self.playbook, "command_id": command_id, **wanted}


@dataclass(frozen=True, slots=True)
class NewCredentials:
    """What an agent is to be known by from a rotation on. Only the id is in the repr."""

    rotation_id: str
    agent_token: str = field(repr=False)
    secret_key: str = field(repr=False)
    certificate_pem: str = field(repr=False)
    private_key_pem: str = field(repr=False)


async def execute_ansible(
    client: AgentClient, target: AgentTarget, command_id: str, play: Play, **options: Any
) -> dict[str, Any]:
    """Start a play, as `execute_command`: {status, command_id, existing}. `options` are those of `AgentClient.call`."""
    return await client.call(target, "execute_ansible", play.params(command_id), **options)


async def get_playbook_events(
    client: AgentClient, target: AgentTarget, command_id: str, seq: int, *, wait_s: float = 0.0, **options: Any
) -> tuple[list[LogEvent], bool]:
    """Events after `seq`, as many as fit into one answer, and whether none will follow them."""
    params = {"command_id": command_id, "seq": seq, "wait": wait_s}
    if wait_s:
        options.setdefault("timeout_s", wait_s + _MARGIN_S)
    answer = await client.call(target, "get_playbook_events", params, **options)
    try:
        events = [LogEvent(_seq(event["seq"]), clean_all(event)) for event in answer["events"]]
        return events, answer["is_final"] is True
    except (KeyError, TypeError, ValueError, RecursionError):
        raise AgentCallError(Cause.RPC_ERROR, "the agent's events cannot be understood") from None


def _seq(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MAX_SEQ:
        raise ValueError
    return value


async def rotate_credentials(
    client: AgentClient, target: AgentTarget, new: NewCredentials, **options: Any
) -> dict[str, Any]:
    """Have the agent take new credentials beside those of `target`: {rotation_id, certificate_sha256}."""
    params = {
        "rotation_id": new.rotation_id,
        "agent_token": new.agent_token,
        "secret_key": new.secret_key,
        "certificate_pem": new.certificate_pem,
        "private_key_pem": new.private_key_pem,
    }
    return await client.call(target, "rotate_credentials", params, **options)


async def finish_rotation(client: AgentClient, target: AgentTarget, rotation_id: str, **options: Any) -> None:
    """Have the agent forget the old credentials; `target` must be known by the new ones."""
    await client.call(target, "finish_rotation", {"rotation_id": rotation_id}, **options)


async def get_upgrade(client: AgentClient, target: AgentTarget, upgrade_id: str, **options: Any) -> dict[str, Any]:
    """The state file of an upgrade: {upgrade_id, state, from_release, to_release, …, reason}."""
    return await client.call(target, "get_upgrade", {"upgrade_id": upgrade_id}, **options)


async def confirm_upgrade(client: AgentClient, target: AgentTarget, upgrade_id: str, **options: Any) -> dict[str, Any]:
    """Say that the new release may stay; the state file as it is then."""
    return await client.call(target, "confirm_upgrade", {"upgrade_id": upgrade_id}, **options)
