"""The table of the first document's names is true."""

import re
from pathlib import Path

from myx.executor.v1 import command_pb2
from myx.registry.v1 import agent_pb2
from myx_agent.openrpc import document
from myx_heartbeat.settings import HeartbeatSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/seed-names.md").read_text()


def rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    return cells[2:]


def test_settings_have_the_names_and_defaults_of_the_table() -> None:
    prefix = HeartbeatSettings.model_config["env_prefix"]
    for _, name, default in rows("Settings"):
        field = name.strip("`").removeprefix(prefix).lower()
        assert HeartbeatSettings.model_fields[field].default == float(default), name


def test_kept_fields_stand_on_the_wire() -> None:
    agent = set(agent_pb2.Agent.DESCRIPTOR.fields_by_name)
    command = set(command_pb2.Command.DESCRIPTOR.fields_by_name)
    assert {"status", "rpc_supported", "rpc_last_check", "rpc_last_success", "last_heartbeat", "rpc_port"} <= agent
    assert {"token", "secret_key", "rpc_path"} & agent == set()
    assert {"command", "args", "exit_code", "status", "result"} <= command


def test_files_of_the_table_exist() -> None:
    for _, here in rows("Files and functions"):
        if here.startswith("*later*"):
            continue
        for path in re.findall(r"`((?:agent|kit|services)/[^`]+)`", here):
            assert (ROOT / path).exists(), path


def test_the_agent_offers_the_methods_that_are_named() -> None:
    section = PAGE.split("## JSON-RPC methods\n")[1]
    later = set(re.findall(r"`(\w+)` comes \*later\*", section))
    named = set(re.findall(r"`([a-z_.]+)`", section)) - later
    offered = {method["name"] for method in document("0")["methods"]}
    assert named <= offered | {"rpc.discover"}
    assert later & offered == set()
