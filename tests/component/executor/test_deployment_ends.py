"""How deployments over SSH are ended on a real host: shown as done only when the host has proved it."""

import pytest
from executor_deployments import Deployments, steps
from executor_hosts import enrol
from executor_tool import PLAYBOOKS, SHIPPED, project

from myx.executor.v1 import command_pb2 as pb
from myx_testkit.wait import until

pytestmark = pytest.mark.timeout(200)

# One task that polls, one command that has fled from it, and one that a task which has ended left behind.
FLEES = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.command: sleep 5321
      async: 3000
      poll: 0
    - ansible.builtin.shell: "setsid nohup sleep 5322 >/dev/null 2>&1 & sleep 5323"
      async: 3000
      poll: 1
"""


@pytest.fixture(scope="module")
def executor(start_executor):
    return start_executor(playbooks_dir=SHIPPED)


@pytest.fixture
def client(executor, tls_dir):
    return lambda: Deployments(f"127.0.0.1:{executor.port}", tls_dir)


def sleeping(host, seconds):
    return host.exec(f"pgrep -xf 'sleep {seconds}'", check=False).stdout


@pytest.mark.parametrize("user", ["root", "ops"])
async def test_a_cancel_ends_what_fled_from_its_task_too(client, registry, host, user):
    enrol(registry, host, f"flees-{user}", user=user)
    async with client() as one:
        await one.push_project("flees", project(flees=FLEES))
        made = await one.create(f"flees-{user}", project="flees", playbook="flees.yml")
        for seconds in (5321, 5322, 5323):
            await until(lambda seconds=seconds: sleeping(host, seconds), 60)
        await one.cancel_deployment(made.id)
        final = await one.ended(made.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_CANCELLED, "cancelled")
    assert not any(sleeping(host, seconds) for seconds in (5321, 5322, 5323))


async def test_a_cancel_during_a_cut_is_not_called_done(client, registry, host):
    enrol(registry, host, "cut-cancel")
    async with client() as one:
        await one.push_project("slow", project(slow=PLAYBOOKS["slow.yml"]))
        made = await one.create("cut-cancel", project="slow", playbook="slow.yml", vars={"seconds": 5324})
        await until(lambda: sleeping(host, 5324), 60)
        host.cut()
        cancelled = await one.cancel_deployment(made.id)
        assert cancelled.status == pb.COMMAND_STATUS_CANCELLING
        final = await one.ended(made.id, 120)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_LOST, "cancel_not_proved")
    assert "may still run on the host" in final.message
    assert "end there what still runs" in final.cure
    assert final.log_completeness == pb.LOG_COMPLETENESS_INCOMPLETE
    assert steps(final)["play"] == "failed"
    # Rightly so.
    assert sleeping(host, 5324)


@pytest.mark.long
async def test_a_time_limit_during_a_cut_is_not_called_kept(client, registry, host):
    enrol(registry, host, "cut-limit")
    async with client() as one:
        await one.push_project("slow", project(slow=PLAYBOOKS["slow.yml"]))
        request = {"project": "slow", "playbook": "slow.yml", "vars": {"seconds": 5325}}
        made = await one.create("cut-limit", timeout_s=20, **request)
        await until(lambda: sleeping(host, 5325), 18)
        host.cut()
        final = await one.ended(made.id, 120)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_LOST, "cancel_not_proved")
    assert final.message.startswith("the time limit was reached; ")
