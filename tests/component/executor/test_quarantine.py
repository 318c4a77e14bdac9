"""Nothing is deployed on a machine that is not the server's own, by whichever way."""

import secrets

import pytest
import pytest_asyncio
from executor_deployments import Deployments, steps
from executor_hosts import enrol
from executor_jobs import JobClient, counts
from executor_tool import PLAYBOOKS, SHIPPED, make_bundle, project

from myx.executor.v1 import command_pb2 as pb
from myx.executor.v1 import deployment_pb2, deployment_service_pb2, job_pb2
from myx.registry.v1 import agent_pb2
from myx_kit.errors import FailedPrecondition
from myx_testkit.ports import free_port

pytestmark = pytest.mark.timeout(120)

AUTO, SSH, AGENT = (
    deployment_pb2.DEPLOYMENT_METHOD_AUTO,
    deployment_pb2.DEPLOYMENT_METHOD_SSH,
    deployment_pb2.DEPLOYMENT_METHOD_AGENT,
)
TARGET = "/root/was-here"


@pytest.fixture
def executor(replica, tmp_path):
    make_bundle(tmp_path / "bundle")
    return replica("a", playbooks_dir=SHIPPED, agent_bundle_dir=tmp_path / "bundle", max_active_commands=1)


@pytest_asyncio.fixture
async def client(executor, tls_dir):
    async with Deployments(f"127.0.0.1:{executor.port}", tls_dir) as client:
        await client.push_project("greetings", project(hello=PLAYBOOKS["hello.yml"]))
        yield client


class Server:
    """A real host whose agent does not answer; SSH gets to it."""

    def __init__(self, registry, host):
        self.name = f"cloned-{secrets.token_hex(4)}"
        self._registry = registry
        self._id = enrol(registry, host, self.name)
        self.is_quarantined(False)
        registry.mark(self._id, status=agent_pb2.AGENT_STATUS_OFFLINE)

    def is_quarantined(self, quarantined):
        agent = {
            "agent_id": self._id,
            "rpc_port": free_port(),
            "rpc_path": secrets.token_hex(12),
            "agent_token": secrets.token_hex(16),
            "secret_key": secrets.token_hex(16),
            "certificate_sha256": "0" * 64,
            "quarantined": quarantined,
        }
        self._registry.put(self._registry.servers[self._id] | agent)

    def has_machine_id(self, machine_id):
        self._registry.mark(self._id, machine_id=machine_id)


@pytest.fixture
def server(registry, host):
    return Server(registry, host)


def hello(method):
    return {"project": "greetings", "playbook": "hello.yml", "vars": {"target": TARGET}, "method": method}


async def test_deployments_are_refused_where_another_machine_answers(client, executor, server, host):
    server.is_quarantined(True)
    agent_kinds = [{"kind": kind} for kind in ("upgrade_agent", "repair_agent", "rotate_agent", "uninstall_agent")]
    for request in (hello(AUTO), hello(SSH), hello(AGENT), *agent_kinds):
        with pytest.raises(FailedPrecondition) as refused:
            await client.create(server.name, **request)
        assert refused.value.reason == "AGENT_QUARANTINED"
        assert f"myx server accept-machine {server.name}" in refused.value.message
    # A new installation means the machine that is there.
    installed = await client.ended((await client.create(server.name, kind="install_agent")).id)
    assert steps(installed)["preflight"] == "success", installed

    play = deployment_service_pb2.CreateDeploymentRequest(kind="playbook", project="greetings", playbook="hello.yml")
    async with JobClient(executor) as jobs:
        job = await jobs.create(f"name={server.name}", job_pb2.JobWork(deployment=play))
        assert counts(await jobs.final(job.id)) == {"unreachable": 1}
    assert not (host.root / TARGET[1:]).exists()


@pytest.mark.parametrize("method", [AUTO, SSH])
async def test_a_deployment_that_waited_does_not_begin_on_another_machine(client, server, host, own_agent, method):
    control = await client.ended((await client.create(server.name, **hello(method))).id)
    assert (control.status, control.method_used) == (pb.COMMAND_STATUS_SUCCESS, SSH)
    (host.root / TARGET[1:]).unlink()

    blocker = await client.shell(own_agent.name, "sleep 60")
    await client.running(blocker.id)
    made = await client.create(server.name, **hello(method))
    server.is_quarantined(True)
    await client.cancel(blocker.id, grace_s=0)
    final = await client.ended(made.id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "agent_quarantined")
    assert f"myx server accept-machine {server.name}" in final.cure
    assert not (host.root / TARGET[1:]).exists()


@pytest.mark.parametrize("kind", ["repair_agent", "upgrade_agent"])
async def test_an_agent_is_not_given_to_another_machine_that_ssh_reaches(client, server, host, kind):
    # The check of the agent has not found it out yet: it does not answer.
    server.has_machine_id("0" * 32)
    final = await client.ended((await client.create(server.name, kind=kind, force=True)).id)
    assert (final.status, final.reason) == (pb.COMMAND_STATUS_FAILED, "other_machine"), final
    assert steps(final)["preflight"] == "failed"
    assert steps(final)["upload"] == "pending"

    server.has_machine_id(host.exec("cat /etc/machine-id").stdout.strip())
    final = await client.ended((await client.create(server.name, kind=kind, force=True)).id)
    assert steps(final)["preflight"] == "success", final
