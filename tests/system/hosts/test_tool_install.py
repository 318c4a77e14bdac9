"""Installing the agent on real hosts, again, after an accident, and taking it off again."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tool_agent import Machine


@pytest.fixture
def machine(host, tmp_path):
    return Machine(host, tmp_path / "packs")


async def test_install_again_and_uninstall(machine):
    before = machine.host.inventory()
    first = await machine.install()
    assert first.code == 0, first.text
    assert machine.version() == machine.bundle().version
    assert machine.run("echo out; echo err >&2; exit 3") == (3, "out\nerr\n")

    command = machine.start("echo begin; sleep 12; echo end; exit 7")
    again = await machine.install()
    assert again.code == 0, again.text
    assert again.recap["changed"] == 0
    machine.host.exec("systemctl restart myx-agent")
    assert machine.finish(command) == (7, "begin\nend\n")

    running = machine.start("sleep 1000")
    refused = await machine.uninstall()
    assert refused.code == 2
    assert running in refused.message
    done = await machine.uninstall(force=True)
    assert done.code == 0, done.text
    assert before.differences(machine.host.inventory()) == []
    assert not machine.host.exec("pgrep -f '[m]yx-agent'", check=False).stdout
    assert (await machine.uninstall()).recap["changed"] == 0
