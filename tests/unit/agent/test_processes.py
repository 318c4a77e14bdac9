import os
import subprocess
import sys

from myx_agent.supervisor.processes import children_of_self, read_process, table, tag_of
from myx_agent.supervisor.tree import Tree
from myx_testkit.wait import until_sync


def test_a_process_with_a_name_that_looks_like_fields_is_read_right(tmp_path):
    program = tmp_path / ") R 1 2 3"
    program.symlink_to(sys.executable)
    child = subprocess.Popen([str(program), "-c", "input()"], stdin=subprocess.PIPE)
    try:
        process = read_process(child.pid)
        assert (process.parent, process.alive) == (os.getpid(), True)
        assert child.pid in table()
        assert child.pid in children_of_self()
    finally:
        child.communicate()
    assert read_process(child.pid) is None


def test_a_zombie_is_not_alive():
    child = subprocess.Popen(["true"])
    until_sync(lambda: read_process(child.pid).state == "Z")
    assert not read_process(child.pid).alive
    assert child.pid not in table()
    child.wait()


def test_a_tag_is_read_from_the_environment():
    env = {"MYX_COMMAND_ID": "it", "OTHER_MYX_COMMAND_ID": "no"}
    child = subprocess.Popen(["sleep", "60"], env={**env, "PATH": os.environ["PATH"]})
    bare = subprocess.Popen(["sleep", "60"], env={"XMYX_COMMAND_ID": "x", "PATH": os.environ["PATH"]})
    try:
        until_sync(lambda: tag_of(child.pid) == "it")
        assert tag_of(bare.pid) is None
    finally:
        for process in (child, bare):
            process.kill()
            process.wait()
    assert tag_of(child.pid) is None


def test_a_reused_pid_is_not_the_leader():
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        start = read_process(child.pid).start_ticks
        assert child.pid in Tree("id", child.pid, start, None, set).members()
        assert child.pid not in Tree("id", child.pid, start - 1, None, set).members()
    finally:
        child.kill()
        child.wait()
