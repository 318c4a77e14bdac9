"""The module that puts an agent into its place, as Ansible runs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ansible.module_utils
import pytest

ROLE = Path(__file__).resolve().parents[3] / "playbooks/roles/agent"
ansible.module_utils.__path__.append(str(ROLE / "module_utils"))
sys.path.insert(0, str(ROLE / "library"))

import myx_agent_place  # noqa: E402 - found by the lines above

RUN = """
import sys, time
import ansible.module_utils
ansible.module_utils.__path__.append(sys.argv[1] + "/module_utils")
sys.path.insert(0, sys.argv[1] + "/library")
from ansible.module_utils.testing import patch_module_args
import myx_agent_place
time.time = lambda: float(sys.argv[2])
key = "-----BEGIN PRIVATE KEY-----\\nMIG\\n-----END PRIVATE KEY-----\\n"
files = {"/etc/myx-agent/ssl/agent.key": key, "/etc/systemd/system/myx-agent.service": "[Unit]\\nDescription=x\\n"}
arguments = {"release": "0.1.0-600644755000", "guard": "#!/bin/sh\\n", "files": files, "_ansible_check_mode": True}
with patch_module_args(arguments):
    myx_agent_place.main()
"""


@pytest.mark.parametrize("now", [1795722644, 1795600123, 1796440755])
def test_what_is_told_back_is_never_blackened(now: int) -> None:
    argv = [sys.executable, "-c", RUN, str(ROLE), str(now)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    result = json.loads(done.stdout)
    assert (result["since"], result["changed"]) == (now, True), done.stderr
    assert "PRIVATE KEY" not in done.stdout
    assert "/etc/systemd/system/myx-agent.service" in json.dumps(result["diff"])


GIVEN = {
    "agent_token": "token-of-16-chars",
    "secret_key": "key-of-16-characters",
    "rpc_port": 24351,
    "rpc_path": "abcdefghijkl",
    "require_signature": True,
}
OWN = {"bind_address": "10.0.0.1", "spool_dir": "/srv/spool", "max_running": 7, "ignorable": ["later"], "later": [1]}
OPEN_ROTATION = {
    "rotation_id": "r1",
    "certificate_path": "/etc/myx-agent/ssl/agent.rotated-1.crt",
    "key_path": "/etc/myx-agent/ssl/agent.rotated-1.key",
    "previous": {"agent_token": GIVEN["agent_token"]},
}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.json"
    monkeypatch.setattr(myx_agent_place, "CONFIG", str(path))
    return path


def kept() -> Any:
    return json.loads(myx_agent_place.kept(json.dumps(GIVEN)))


@pytest.mark.parametrize("finished", [{}, {"rotation_id": "r1"}])
def test_an_installation_again_leaves_the_file_as_it_is(config: Path, finished: dict[str, Any]) -> None:
    config.write_text(json.dumps(there := OWN | GIVEN | finished))
    assert kept() == there


def test_what_is_given_wins_and_an_operators_settings_stay(config: Path) -> None:
    before = {"agent_token": "token-from-before", "rpc_port": 1, "rpc_path": "mnopqrstuvwx", "require_signature": False}
    config.write_text(json.dumps(OWN | before | {"rotation_id": "r0"}))
    assert kept() == OWN | GIVEN


def test_a_rotation_that_is_open_ends(config: Path) -> None:
    config.write_text(json.dumps(OWN | GIVEN | OPEN_ROTATION | {"agent_token": "token-of-the-new-pair"}))
    assert kept() == OWN | GIVEN
    config.write_text(json.dumps(OWN | GIVEN | OPEN_ROTATION))
    assert kept() == OWN | GIVEN | {"rotation_id": "r1"}


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "\x00"])
def test_a_file_that_is_no_configuration_is_replaced(config: Path, text: str) -> None:
    assert kept() == GIVEN
    config.write_text(text)
    assert kept() == GIVEN
