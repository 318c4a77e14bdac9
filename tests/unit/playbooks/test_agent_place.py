"""The module that puts an agent into its place, as Ansible runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROLE = Path(__file__).resolve().parents[3] / "playbooks/roles/agent"
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
