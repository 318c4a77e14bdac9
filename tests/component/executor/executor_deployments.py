"""DeploymentService and PlaybookService as the gateway calls them."""

import hashlib

from executor_world import Client

from myx.executor.v1 import (
    command_pb2,
    deployment_service_pb2,
    deployment_service_pb2_grpc,
    playbook_service_pb2,
    playbook_service_pb2_grpc,
)
from myx_kit.rpc.client import translate_errors
from myx_testkit.wait import until

CHUNK = 64 * 1024


class Deployments(Client):
    """One executor's deployments; the commands too."""

    def __init__(self, target, tls_dir):
        super().__init__(target, tls_dir)
        self.deployments = deployment_service_pb2_grpc.DeploymentServiceStub(self.channel)
        self.playbooks = playbook_service_pb2_grpc.PlaybookServiceStub(self.channel)

    async def create(self, server, kind="playbook", *, vars=None, timeout_s=None, requested_by="token:test", **fields):  # noqa: A002
        request = deployment_service_pb2.CreateDeploymentRequest(
            server=server, kind=kind, requested_by=requested_by, **fields
        )
        if vars:
            request.extra_vars.update(vars)
        if timeout_s is not None:
            request.timeout.FromNanoseconds(int(timeout_s * 1e9))
        return (await self.deployments.CreateDeployment(request, timeout=20)).deployment

    async def deployment(self, deployment_id):
        request = deployment_service_pb2.GetDeploymentRequest(deployment_id=deployment_id)
        return (await self.deployments.GetDeployment(request, timeout=10)).deployment

    async def list_deployments(self, **fields):
        request = deployment_service_pb2.ListDeploymentsRequest(**fields)
        return await self.deployments.ListDeployments(request, timeout=10)

    async def cancel_deployment(self, deployment_id):
        request = deployment_service_pb2.CancelDeploymentRequest(deployment_id=deployment_id)
        return (await self.deployments.CancelDeployment(request, timeout=10)).deployment

    async def retry(self, deployment_id, **fields):
        request = deployment_service_pb2.RetryDeploymentRequest(
            deployment_id=deployment_id, requested_by="token:test", **fields
        )
        return (await self.deployments.RetryDeployment(request, timeout=20)).deployment

    async def events(self, deployment_id, after=0, wait_s=0.0):
        request = deployment_service_pb2.ListPlayEventsRequest(deployment_id=deployment_id, after_seq=after)
        request.wait.FromNanoseconds(int(wait_s * 1e9))
        return await self.deployments.ListPlayEvents(request, timeout=40)

    async def ended(self, deployment_id, timeout_s=60):
        async def final():
            found = await self.deployment(deployment_id)
            return found if found.status >= command_pb2.COMMAND_STATUS_SUCCESS else None

        return await until(final, timeout_s, interval_s=0.1)

    async def push_project(self, name, data):
        async def messages():
            yield playbook_service_pb2.PushProjectRequest(name=name, requested_by="token:test")
            for start in range(0, len(data), CHUNK):
                yield playbook_service_pb2.PushProjectRequest(data=data[start : start + CHUNK])
            yield playbook_service_pb2.PushProjectRequest(complete=True)

        with translate_errors("executor"):
            return await self.playbooks.PushProject(messages(), timeout=60)

    async def push_artifact(self, name, data, sha256=None):
        digest = hashlib.sha256(data).hexdigest() if sha256 is None else sha256

        async def messages():
            yield playbook_service_pb2.PushArtifactRequest(name=name, sha256=digest, requested_by="token:test")
            for start in range(0, len(data), CHUNK):
                yield playbook_service_pb2.PushArtifactRequest(data=data[start : start + CHUNK])
            yield playbook_service_pb2.PushArtifactRequest(complete=True)

        with translate_errors("executor"):
            return (await self.playbooks.PushArtifact(messages(), timeout=60)).artifact


def steps(deployment):
    """Names of the steps with their states, in order."""
    names = {2: "running", 1: "pending", 3: "success", 4: "failed", 5: "skipped", 6: "cancelled"}
    return {step.name: names[step.status] for step in deployment.steps}
