import subprocess
from pathlib import Path

from myx_standalone import leftovers
from myx_standalone.home import Home


def test_only_processes_of_this_home_are_ended(tmp_path: Path) -> None:
    home, other = Home(tmp_path / "one"), Home(tmp_path / "two")
    home.prepare()
    (home.postgres / "data").mkdir()
    sleep = ["/bin/sleep", "1000"]
    postgres = tmp_path / "postgres"
    postgres.symlink_to("/bin/sleep")
    agent = ["/bin/sh", "-c", "read line", "myx-agent", "--config", str(home.agent_config)]
    ours = [
        subprocess.Popen(sleep, env={leftovers.TAG: f"executor:{home.path}"}),
        subprocess.Popen(sleep, executable=postgres, env={}, cwd=home.postgres / "data"),
        subprocess.Popen(agent, env={}, stdin=subprocess.PIPE),
    ]
    theirs = [
        subprocess.Popen(sleep, env={leftovers.TAG: f"executor:{other.path}"}),
        subprocess.Popen(sleep, env={}, cwd=home.postgres / "data"),  # an operator's shell that stands there
    ]
    try:
        assert sorted(leftovers.of_home(home).values()) == ["agent", "executor", "postgres"]
        assert set(leftovers.postgres_of(home)) == {ours[1].pid}
        leftovers.kill(leftovers.of_home(home))
        assert [process.wait(5) for process in ours] == [-9, -9, -9]
        assert leftovers.end(home) == []
        assert [process.poll() for process in theirs] == [None, None]
    finally:
        for process in (*ours, *theirs):
            process.kill()
            process.wait()
            if process.stdin:
                process.stdin.close()
