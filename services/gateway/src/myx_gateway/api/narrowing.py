"""Work that a body orders, kept to the servers that its principal may order it for."""

from myx.executor.v1 import job_service_pb2, schedule_service_pb2
from myx_gateway.access.access import Access


async def narrow_targets(
    request: job_service_pb2.CreateJobRequest | job_service_pb2.PreviewJobRequest, access: Access
) -> None:
    """Narrow the selector, or have every server that is named checked.

    NotFound `SERVER_NOT_FOUND`, PermissionDenied `FORBIDDEN`, InvalidArgument `SELECTOR_INVALID`.
    """
    if request.selector:
        request.selector = await access.narrow(request.selector)
        return
    ids = await access.servers(list(request.servers))
    del request.servers[:]
    request.servers.extend(ids)


async def narrow_work(work: schedule_service_pb2.ScheduledWork, access: Access) -> None:
    """The same of what a schedule will start, servers by their ids: a name that gets free may be taken by another one,
    which would get the work and its secrets.
    """
    match work.WhichOneof("work"):
        case "command":
            (work.command.server,) = await access.kept([work.command.server])
        case "deployment":
            (work.deployment.server,) = await access.kept([work.deployment.server])
        case _ if work.job.servers:
            ids = await access.kept(work.job.servers)
            del work.job.servers[:]
            work.job.servers.extend(ids)
        case _:
            await narrow_targets(work.job, access)


def servers_of(work: schedule_service_pb2.ScheduledWork) -> list[str]:
    """The servers that are named in it, as they are stored."""
    match work.WhichOneof("work"):
        case "command":
            return [work.command.server]
        case "deployment":
            return [work.deployment.server]
        case _:
            return list(work.job.servers)
