"""The services behind the gateway."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from myx.executor.v1 import (
    command_service_pb2_grpc,
    deployment_service_pb2_grpc,
    job_service_pb2_grpc,
    playbook_service_pb2_grpc,
    schedule_service_pb2_grpc,
)
from myx.heartbeat.v1 import heartbeat_service_pb2_grpc
from myx.registry.v1 import agent_service_pb2_grpc, credential_service_pb2_grpc, server_service_pb2_grpc
from myx_kit.errors import MyxError
from myx_kit.rpc.client import open_channel

OWN_NAME = "gateway"
_HEALTH_DEADLINE_S = 2.0


@dataclass(frozen=True)
class Clients:
    """Stubs of all services; every unary call has a deadline and raises MyxError.

    One channel to each service, and one more for `uploads`, whose streams of requests must not be retried by gRPC.
    """

    servers: "server_service_pb2_grpc.ServerServiceAsyncStub"
    credentials: "credential_service_pb2_grpc.CredentialServiceAsyncStub"
    agents: "agent_service_pb2_grpc.AgentServiceAsyncStub"
    heartbeat: "heartbeat_service_pb2_grpc.HeartbeatServiceAsyncStub"
    commands: "command_service_pb2_grpc.CommandServiceAsyncStub"
    jobs: "job_service_pb2_grpc.JobServiceAsyncStub"
    schedules: "schedule_service_pb2_grpc.ScheduleServiceAsyncStub"
    deployments: "deployment_service_pb2_grpc.DeploymentServiceAsyncStub"
    playbooks: "playbook_service_pb2_grpc.PlaybookServiceAsyncStub"
    uploads: "playbook_service_pb2_grpc.PlaybookServiceAsyncStub"
    upload_channel: grpc.aio.Channel
    channels: dict[str, grpc.aio.Channel]

    async def healthy(self, service: str) -> bool:
        """Whether a service says that it serves."""
        stub: health_pb2_grpc.HealthStub = health_pb2_grpc.HealthStub(self.channels[service])
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=""), timeout=_HEALTH_DEADLINE_S)
        except MyxError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Close the channels; calls that are open end."""
        await asyncio.gather(*(channel.close() for channel in (self.upload_channel, *self.channels.values())))


def connect(tls_dir: Path, *, registry: str, heartbeat: str, executor: str) -> Clients:
    """Clients of the services at these targets ("host:port"); they connect when first used."""
    targets = {"registry": registry, "heartbeat": heartbeat, "executor": executor}
    channels = {name: open_channel(target, tls_dir, OWN_NAME, name) for name, target in targets.items()}
    upload_channel = open_channel(executor, tls_dir, OWN_NAME, "executor", retries=False)
    return Clients(
        servers=server_service_pb2_grpc.ServerServiceStub(channels["registry"]),
        credentials=credential_service_pb2_grpc.CredentialServiceStub(channels["registry"]),
        agents=agent_service_pb2_grpc.AgentServiceStub(channels["registry"]),
        heartbeat=heartbeat_service_pb2_grpc.HeartbeatServiceStub(channels["heartbeat"]),
        commands=command_service_pb2_grpc.CommandServiceStub(channels["executor"]),
        jobs=job_service_pb2_grpc.JobServiceStub(channels["executor"]),
        schedules=schedule_service_pb2_grpc.ScheduleServiceStub(channels["executor"]),
        deployments=deployment_service_pb2_grpc.DeploymentServiceStub(channels["executor"]),
        playbooks=playbook_service_pb2_grpc.PlaybookServiceStub(channels["executor"]),
        uploads=playbook_service_pb2_grpc.PlaybookServiceStub(upload_channel),
        upload_channel=upload_channel,
        channels=channels,
    )
