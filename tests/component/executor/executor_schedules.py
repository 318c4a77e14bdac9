"""Schedules as the gateway calls them, and a gateway that says what the test wants."""

import asyncio
import secrets
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg

from myx.executor.v1 import schedule_service_pb2 as pb
from myx.executor.v1 import schedule_service_pb2_grpc
from myx.executor.v1.command_service_pb2 import ListCommandsRequest
from myx.gateway.v1 import access_service_pb2, access_service_pb2_grpc
from myx_kit.rpc.client import open_channel
from myx_kit.rpc.server import RpcServer
from myx_testkit.wait import until

QUICK = {"schedule_interval_s": 0.05, "sweep_interval_s": 0.2, "schedules_unchecked": "true"}
UNDECIDED = (pb.FIRE_OUTCOME_PENDING, pb.FIRE_OUTCOME_WAITING)


class Schedules:
    """ScheduleService, and the rows behind it."""

    def __init__(self, executor, database):
        self.channel = open_channel(f"127.0.0.1:{executor.port}", executor.tls_dir, "gateway", "executor")
        self.stub = schedule_service_pb2_grpc.ScheduleServiceStub(self.channel)
        self.database = database

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.channel.close()

    async def create(self, work, name=None, *, cron="0 0 1 1 *", requested_by="token:admin", **fields):
        request = pb.CreateScheduleRequest(
            name=name or f"s-{secrets.token_hex(4)}", cron=cron, work=work, requested_by=requested_by, **fields
        )
        return (await self.stub.CreateSchedule(request, timeout=20)).schedule

    async def get(self, schedule):
        return (await self.stub.GetSchedule(pb.GetScheduleRequest(schedule=schedule))).schedule

    async def update(self, schedule, *paths, etag="", requested_by="token:admin", **fields):
        request = pb.UpdateScheduleRequest(schedule=schedule, etag=etag, requested_by=requested_by, **fields)
        request.update_mask.paths.extend(paths)
        return (await self.stub.UpdateSchedule(request)).schedule

    async def delete(self, schedule, etag=""):
        await self.stub.DeleteSchedule(pb.DeleteScheduleRequest(schedule=schedule, etag=etag))

    async def clear(self):
        for schedule in (await self.stub.ListSchedules(pb.ListSchedulesRequest(page_size=1000))).schedules:
            await self.delete(schedule.id)

    async def fires(self, schedule):
        request = pb.ListScheduleFiresRequest(schedule=schedule, page_size=1000)
        return list((await self.stub.ListScheduleFires(request)).fires)

    async def decided(self, schedule, count=1, timeout_s=60):
        """The fires, once so many of them are decided."""

        async def enough():
            fires = await self.fires(schedule)
            return fires if sum(fire.outcome not in UNDECIDED for fire in fires) >= count else None

        return await until(enough, timeout_s, interval_s=0.05)

    async def outcome(self, schedule, outcome, timeout_s=60):
        """The newest fire, once it has this outcome."""

        async def there():
            fires = await self.fires(schedule)
            return fires[0] if fires and fires[0].outcome == outcome else None

        return await until(there, timeout_s, interval_s=0.05)

    def execute(self, statement, *params):
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            cursor = connection.execute(statement, params)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    def due(self, schedule_id, ago=None):
        """Has its next time be one that has come just now (no two in one second), or so long ago."""
        moment = "date_trunc('second', greatest(last_slot_at + interval '1 second', now() - interval '20 seconds'))"
        if ago is not None:
            moment = f"now() - interval '{ago.total_seconds()} seconds'"
        self.execute(f"update executor.schedule set next_at = {moment} where id = %s", schedule_id)


def command(server, program="/bin/true", *args, **fields):
    """Work that is a command."""
    work = pb.ScheduledWork()
    work.command.server, work.command.command = server, program
    work.command.args.extend(args)
    for name, value in fields.items():
        if isinstance(value, dict):
            getattr(work.command, name).update(value)
        else:
            setattr(work.command, name, value)
    return work


async def commands_of(executor, schedule_id):
    async with executor.client() as client:
        listed = await client.stub.ListCommands(ListCommandsRequest(page_size=1000), timeout=20)
        return [one for one in listed.commands if one.schedule_id == schedule_id]


def now():
    return datetime.now(UTC)


class _Access(access_service_pb2_grpc.AccessServiceServicer):
    def __init__(self):
        self.denied = ""
        self.asked = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def CheckAccess(self, request, context):
        self.asked.append(request)
        await self.hold.wait()
        return access_service_pb2.CheckAccessResponse(allowed=not self.denied, message=self.denied)


@asynccontextmanager
async def gateway(listen, tls_dir):
    """A gateway that answers AccessService; `denied`: why not."""
    server, access = RpcServer(listen, tls_dir, "gateway"), _Access()
    server.add(access_service_pb2_grpc.add_AccessServiceServicer_to_server, access, "myx.gateway.v1.AccessService")
    await server.start()
    try:
        yield access
    finally:
        await server.stop(0)
