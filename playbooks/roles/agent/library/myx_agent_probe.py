"""Ansible module: ask the agent on its own host what the control plane will ask it."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.myx_agent_host import (
    CERTIFICATE,
    CONFIG,
    Agent,
    Failure,
    decode,
    last_words,
    process_release,
    read_file,
    read_release,
    unit_state,
)  # fmt: skip

DOCUMENTATION = """
module: myx_agent_probe
short_description: Waits until the MyX agent answers as it should
description: Pinned certificate, token, signature, version; then one command with its output and its exit code.
options:
  release: {description: name of the release that must answer, type: str, required: true}
  timeout_s: {description: how long to wait, type: int, default: 60}
  since: {description: unix time from which its journal counts, type: int, default: 0}
"""
_PAUSE_S = 0.3
_CRASHES = 3
_WORD = "myx-probe"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str", "required": True},
            "timeout_s": {"type": "int", "default": 60},
            "since": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        version = probe(module.params["release"], module.params["timeout_s"])
    except Failure as failure:
        words = last_words(module.params["since"] or None)
        module.fail_json(msg=str(failure) + (": " + words if words else ""))
    module.exit_json(changed=False, version=version)


def probe(release: str, timeout_s: int) -> str:
    """The version that answers. Failure: none does in time, with the last cause; at once when it keeps crashing."""
    deadline = time.monotonic() + timeout_s
    crashes = unit_state()["NRestarts"]
    while True:
        state = unit_state()
        try:
            return ask(release, state)
        except Failure as failure:
            cause = str(failure)
        except (OSError, ValueError, KeyError, TypeError) as error:
            cause = f"its configuration cannot be used: {error}"
        if state.get("ActiveState") == "failed" or state["NRestarts"] - crashes >= _CRASHES:
            raise Failure(f"the agent does not stay up ({state['NRestarts'] - crashes + 1} starts)")
        if time.monotonic() > deadline:
            raise Failure(f"the agent did not answer as it should within {timeout_s} s: {cause}")
        time.sleep(_PAUSE_S)


def ask(release: str, state: dict[str, Any]) -> str:
    config = json.loads(read_file(CONFIG))
    agent = Agent(config, read_file(CERTIFICATE).decode())
    wanted: str = (read_release(release) or {})["version"]
    version = agent.call("heartbeat", timestamp=time.time()).get("version")
    if version != wanted:
        raise Failure(f"version {version} answers instead of {wanted}")
    if process_release(state["MainPID"]) != release:
        raise Failure(f"the process of the unit is not of release {release}")
    run_command(agent)
    return wanted


def run_command(agent: Agent) -> None:
    """A command's way through the agent: start, output, exit code, release."""
    command_id = f"probe-{uuid.uuid4()}"
    agent.call("execute_command", command="/bin/echo", args=[_WORD], command_id=command_id, timeout=30)
    answer = agent.call("get_command_log", command_id=command_id, offset=0, wait=8)
    text, end = decode(answer.get("log_data")), answer
    for _ in range(3):
        if end.get("is_final"):
            break
        end = agent.call("get_command_log", command_id=command_id, offset=end.get("new_offset", len(text)), wait=8)
        text += decode(end.get("log_data"))
    result = end.get("result") or {}
    if (result.get("stdout") or {}).get("dropped"):
        raise Failure("it keeps no output of commands: the disk is nearly full")
    if text.strip() != _WORD or result.get("return_code") != 0:
        raise Failure(f"a command run by it gives {text[:40]!r} and exit code {result.get('return_code')}")
    agent.call("release_command", command_id=command_id)


if __name__ == "__main__":
    main()
