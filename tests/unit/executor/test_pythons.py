"""Which build of Python is brought to a host, and when one is wanted at all."""

from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest

from myx_executor.adapters import preflight_script
from myx_executor.adapters.pythons import PythonFolder
from myx_executor.domain.deployment import StepFailed
from myx_executor.domain.ssh import HostFacts, PreflightResult, Problem
from myx_executor.usecases.deployments.kinds.interpreter import bring, is_all_that_lacks

X86 = "x86_64-unknown-linux-gnu-install_only"


@pytest.fixture
def builds(tmp_path):
    def put(*names):
        for name in names:
            (tmp_path / name).touch()
        return PythonFolder(tmp_path)

    return put


async def test_the_best_version_and_of_it_the_newest_is_brought(builds):
    folder = builds(
        f"cpython-3.14.0+20251010-{X86}.tar.gz",
        f"cpython-3.13.9+20251010-{X86}.tar.gz",
        f"cpython-3.13.10+20251205-{X86}_stripped.tar.gz",
        f"cpython-3.12.12+20251010-{X86}.tar.gz",
        "cpython-3.13.11+20251205-aarch64-unknown-linux-gnu-install_only.tar.gz",
    )
    found = await folder.build_for("x86_64")
    assert found is not None
    assert (found.name, found.path.name) == (
        "cpython-3.13.10+20251205-x86_64-unknown-linux-gnu",
        f"cpython-3.13.10+20251205-{X86}_stripped.tar.gz",
    )
    other = await folder.build_for("aarch64")
    assert other is not None
    assert other.name.startswith("cpython-3.13.11")


async def test_what_does_not_run_everywhere_or_with_the_agent_is_left_alone(builds):
    folder = builds(
        "cpython-3.13.9+20251010-x86_64_v3-unknown-linux-gnu-install_only.tar.gz",
        "cpython-3.13.9+20251010-x86_64-unknown-linux-musl-install_only.tar.gz",
        f"cpython-3.10.19+20251010-{X86}.tar.gz",
        f"cpython-3.15.0+20261010-{X86}.tar.gz",
        f"cpython-3.13.9+20251010-{X86}.tar.gz.part",
        "cpython-3.13.9+20251010-x86_64-unknown-linux-gnu-debug-full.tar.zst",
    )
    assert await folder.build_for("x86_64") is None


async def test_without_a_folder_there_is_none(tmp_path):
    assert await PythonFolder(None).build_for("x86_64") is None
    assert await PythonFolder(tmp_path / "missing").build_for("x86_64") is None


def problem(reason, *, fatal=True):
    return Problem(reason, "", "", fatal=fatal)


def test_nothing_is_brought_to_a_host_that_would_not_do_with_it():
    python, small = problem("PYTHON_MISSING"), problem("PORT_UNCHECKED", fatal=False)
    assert is_all_that_lacks(PreflightResult(HostFacts(), (python, small)))
    assert not is_all_that_lacks(PreflightResult(HostFacts(), (python, problem("DISK_FULL"))))
    assert not is_all_that_lacks(PreflightResult(HostFacts(), (small,)))


async def test_a_build_that_the_control_plane_cannot_read_is_told(builds):
    folder = builds(f"cpython-3.13.9+20251010-{X86}.tar.gz")
    unread = AsyncMock(side_effect=PermissionError(13, "Permission denied"))
    session = AsyncMock(return_value=SimpleNamespace(put=unread))
    run = SimpleNamespace(tools=SimpleNamespace(pythons=folder), session=session, say=AsyncMock())
    with pytest.raises(StepFailed, match="cannot read its Python: Permission denied") as refused:
        await bring(run, "x86_64")
    assert (refused.value.reason, refused.value.cure) == (
        "PYTHON_NOT_BROUGHT",
        "let the executor read that folder and what is in it",
    )


OURS = "/opt/myx-agent/python/current/bin/python3"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["3.11 whole /usr/bin/python3", f"3.13 whole {OURS}"], ("3.11", "/usr/bin/python3")),
        (["3.9 whole /usr/bin/python3", f"3.13 whole {OURS}"], ("3.13", OURS)),
        (["3.11 part /usr/bin/python3", f"3.13 whole {OURS}"], ("3.13", OURS)),
        (["3.14 whole /usr/bin/python3.14", "3.12 whole /usr/bin/python3.12"], ("3.12", "/usr/bin/python3.12")),
        (["3.12 whole /usr/bin/python3.12", "3.12 whole /usr/bin/python3"], ("3.12", "/usr/bin/python3.12")),
        (["3.9 whole /usr/bin/python3"], ("", "")),
    ],
)
def test_the_hosts_own_python_goes_before_one_that_was_brought(lines, expected):
    facts = preflight_script.facts({"python": lines}, 0.0)
    assert (facts.python_version, facts.python) == expected
