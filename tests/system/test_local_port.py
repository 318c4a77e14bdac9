"""A port of this machine's agent that somebody else has taken while MyX was down."""

import json
import socket
from pathlib import Path

import pytest

from myx_testkit.standalone import Standalone


@pytest.mark.timeout(240)
def test_the_local_agent_moves_to_another_port_and_runs_commands(tmp_path: Path) -> None:
    myx = Standalone(tmp_path / "home")
    myx.start()
    myx.stop()
    port = json.loads(myx.home.agent_config.read_text())["rpc_port"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        myx.start()
        try:
            assert json.loads(myx.home.agent_config.read_text())["rpc_port"] != port
            done = myx.cli("run", "local", "--", "echo", "here", timeout_s=60)
            assert (done.returncode, done.stdout) == (0, b"here\n"), done.stderr
        finally:
            myx.stop()
