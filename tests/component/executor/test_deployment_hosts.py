"""The agent's life on a real host, driven by the executor: over SSH and by the agent itself."""

from contextlib import contextmanager

import pytest
from executor_deployments import Deployments, steps
from executor_tool import PLAYBOOKS, SHIPPED, make_tool

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1 import deployment_pb2
from myx_executor.app import MIGRATIONS
from myx_executor.models import SCHEMA
from myx_kit.db import migrate
from myx_testkit.bundle import agent_bundle
from executor_world import Executor

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def bundle():
    return agent_bundle()


@pytest.fixture(scope="module")
def executor(tmp_path_factory, tls_dir, module_postgres, module_nats, registry, bundle):
    migrate.upgrade(module_postgres.url, SCHEMA, MIGRATIONS)
    executor = Executor(
        tmp_path_factory.mktemp("executor"),
        tls_dir,
        module_postgres,
        module_nats.url,
        registry,
        playbooks_dir=SHIPPED,
        agent_bundle_dir=bundle,
        upgrade_confirm_s=20,
    )
    executor.start()
    yield executor
    executor.stop()


@pytest.fixture
def client(executor, tls_dir):
    return lambda: Deployments(f"127.0.0.1:{executor.port}", tls_dir)


def enrol(registry, host, name, **hop):
    trusted = {"hostKey": {"fingerprint": host.fingerprint}, "user": "root"}
    password = {"secret": {"password": host.account(hop.get("user", "root")).password}}
    return registry.put_host(name, host.address, trusted | password | hop)


def demand(final, log):
    """The deployment went well; otherwise its log is shown."""
    if final.status != pb.COMMAND_STATUS_SUCCESS:
        pytest.fail(f"{final.reason}: {final.message}\n{log.data.decode()}")


async def test_install_run_upgrade_rotate_uninstall(client, registry, host):
    before = host.inventory()
    enrol(registry, host, "whole-life")
    async with client() as one:
        made = await one.create("whole-life", kind="install_agent")
        final = await one.ended(made.id, 120)
        log = await one.log(made.id)
        demand(final, log)
        assert set(steps(final).values()) <= {"success", "skipped"}

        again = await one.ended((await one.create("whole-life", kind="install_agent")).id, 120)
        assert again.status == pb.COMMAND_STATUS_SUCCESS, again
        assert again.recap.changed == 0

        assert (await one.log((await one.shell("whole-life", "id -un")).id)).data == b"root\n"
        running = await one.shell("whole-life", "sleep 60; echo through")
        nothing = await one.ended((await one.create("whole-life", kind="upgrade_agent")).id, 120)
        assert "nothing to do" in nothing.message
        upgrade = await one.create("whole-life", kind="upgrade_agent", force=True)
        final = await one.ended(upgrade.id, 200)
        log = await one.log(upgrade.id)
        demand(final, log)
        assert final.details["upgrade_state"] == "confirmed"

        rotated = await one.ended((await one.create("whole-life", kind="rotate_agent")).id, 60)
        assert rotated.status == pb.COMMAND_STATUS_SUCCESS, rotated
        assert (await one.log(running.id)).data == b"through\n"

        gone = await one.create("whole-life", kind="uninstall_agent")
        final = await one.ended(gone.id, 120)
        log = await one.log(gone.id)
        demand(final, log)
    assert host.inventory() == before
