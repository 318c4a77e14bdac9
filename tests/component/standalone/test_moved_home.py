"""A home that is moved or copied: what it left at the old place neither stays nor is made again."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from myx_standalone import supervisors
from myx_standalone.home import Home
from myx_testkit.agent import RealAgent
from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RealAgent]:
    """An agent whose spool lies where that of a home does."""
    home = Home(tmp_path / "old")
    home.prepare()
    agent = RealAgent(home.agent)
    agent.start()
    agent.kill9()
    yield agent
    agent.close()


def test_a_supervisor_is_astray_once_its_home_was_moved(agent: RealAgent, tmp_path: Path) -> None:
    old, new = Home(tmp_path / "old"), Home(tmp_path / "new")
    (supervisor,) = supervisors.remaining(old)
    assert supervisors.astray(old) == []
    old.path.rename(new.path)
    assert supervisors.astray(new) == [supervisor] == supervisors.remaining(new)
    assert supervisors.astray(old) == [supervisor]
    supervisors.end(supervisors.astray(new), new)
    assert supervisors.remaining(new) == supervisors.remaining(old) == []
    new.path.rename(old.path)


def test_others_are_not_astray(tmp_path: Path) -> None:
    home, other = Home(tmp_path / "home"), Home(tmp_path / "home2")
    home.prepare()
    arguments = ["/x/myx_agent/supervisor", json.dumps({"spool": str(other.agent / "spool")})]
    with subprocess.Popen(["/bin/sh", "-c", "read line", "x", *arguments], stdin=subprocess.PIPE) as process:
        until_sync(lambda: Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"/bin/sh"))
        assert supervisors.remaining(home) == []
        process.kill()


@pytest.mark.long
def test_commands_of_a_moved_home_go_on_and_nothing_is_made_at_the_old_place(tmp_path: Path) -> None:
    old = Standalone(tmp_path / "old" / "home")
    old.start()
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.5; done; exit 5"
    command = old.api().request("POST", "/commands", {"server": "local", "command": "sh", "args": ["-c", script]})["id"]
    assert old.follow_first_line(command) == b"1\n"
    old.program.kill9()
    (tmp_path / "old").rename(tmp_path / "new")
    new = Standalone(tmp_path / "new" / "home")
    new.start()
    try:
        assert "This folder was moved" in new.said()
        assert new.cli("run", "local", "--", "echo", "x").stdout == b"x\n"
        done = new.cli("logs", "-f", command)
        assert done.stdout == b"".join(b"%d\n" % number for number in range(1, 11))
        assert len(supervisors.remaining(new.home)) == 1
        assert supervisors.astray(new.home) == []
    finally:
        assert new.stop() == 0
    assert supervisors.remaining(new.home) == supervisors.remaining(old.home) == []
    assert not (tmp_path / "old").exists()
    assert "ERROR" not in (new.home.logs / "postgres.log").read_text()
