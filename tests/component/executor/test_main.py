"""`python -m myx_executor`."""

import subprocess
import sys

import pytest
from executor_world import Executor


@pytest.fixture
def unstarted(tmp_path, tls_dir, postgres, registry):
    return Executor(tmp_path / "one", tls_dir, postgres, "tls://127.0.0.1:1", registry, database_wait_s=0.2)


def call(environment, *arguments):
    argv = [sys.executable, "-m", "myx_executor", *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_usage_and_settings_that_are_wrong_are_one_line_each(unstarted):
    assert call(unstarted.environment, "dance").returncode == 2
    wrong = unstarted.environment | {"MYX_EXECUTOR_LEASE_S": "soon", "MYX_EXECUTOR_NO_SUCH": "1"}
    done = call(wrong, "check-config")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2


def test_a_schema_that_is_not_there_is_said(unstarted):
    done = call(unstarted.environment, "serve")
    assert done.returncode == 1
    assert "SCHEMA_MISSING" in done.stderr
    assert "Traceback" not in done.stderr
    assert call(unstarted.environment, "check-config").returncode == 0
    assert call(unstarted.environment, "migrate").returncode == 0
