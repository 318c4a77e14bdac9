"""examples/grpc_client against a whole MyX: what docs/grpc.md promises to other teams' programs."""

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from myx_executor.app import READS as EXECUTOR_READS
from myx_executor.app import RUNS as EXECUTOR_RUNS
from myx_kit.tls import ensure_tls
from myx_registry.rpc import READS as REGISTRY_READS
from myx_testkit.standalone import Standalone

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "examples/grpc_client/run.py"
PAGE = ROOT / "docs/grpc.md"
BOTH = "echo out; echo err >&2; exit 7"
LINES = 80
SLOW = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); sleep 0.05; done"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A MyX that lets in `ci` and `reports`, whose certificates are there, and not `stranger`."""
    environment = {"MYX_EXECUTOR_RPC_CLIENTS": "ci=run reports=read"}
    myx = Standalone(tmp_path_factory.mktemp("grpc") / "home", environment=environment)
    myx.start()
    ensure_tls(myx.home.tls, ["ci", "reports", "stranger"])
    yield myx
    myx.stop()


def command_line(myx, name, *words):
    (pid, *_) = myx.pids("executor")
    target = "ipv4:" + psutil.Process(pid).environ()["MYX_EXECUTOR_LISTEN"]
    return [sys.executable, str(PROGRAM), "--executor", target, "--tls", str(myx.home.tls), "--name", name, *words]


def run(myx, name, *words):
    argv = command_line(myx, name, *words)
    return subprocess.run(argv, capture_output=True, text=True, timeout=100, check=False)


def test_a_command_is_run_and_followed_to_its_exit_code(whole):
    done = run(whole, "ci", "local", "--", "sh", "-c", BOTH)
    assert (done.returncode, done.stdout) == (7, "out\n"), done.stderr
    assert done.stderr.startswith("err\nexit_code: ")
    (newest, *_) = whole.api().request("GET", "/commands?page_size=1")["items"]
    assert newest["requested_by"] == "client:ci"


def test_who_may_only_read_or_is_not_named_runs_nothing(whole):
    for name in ("reports", "stranger"):
        done = run(whole, name, "local", "--", "true")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("PERMISSION_DENIED CALLER_NOT_ALLOWED: "), done.stderr


def test_a_mistake_is_told_with_its_reason(whole):
    done = run(whole, "ci", "nowhere", "--", "true")
    assert done.stderr.startswith("NOT_FOUND SERVER_NOT_FOUND: "), done.stderr


def test_an_executor_that_dies_costs_a_follower_no_byte(whole):
    argv = command_line(whole, "ci", "local", "--", "sh", "-c", SLOW)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        first = program.stdout.readline()
        whole.kill9("executor")
        rest, errors = program.communicate(timeout=100)
    assert program.returncode == 0, errors
    assert (first + rest).splitlines() == [f"line {number}" for number in range(LINES)]


def test_the_page_names_what_each_may_use():
    told = {}
    for service, read, more in re.findall(
        r"^\| (\w+) `MYX_\w+_RPC_CLIENTS` \| (.+) \| (.+) \|$", PAGE.read_text(), re.M
    ):
        told[service] = {word for word in re.split(r"[, ]+", f"{read} {more}") if word[0].isupper()}
    assert told["registry"] == {method.rpartition("/")[2] for method in REGISTRY_READS}
    assert told["executor"] == {method.rpartition("/")[2] for method in (*EXECUTOR_READS, *EXECUTOR_RUNS)}
    assert told["heartbeat"] == {"GetStatus"}
