"""A real server and real channels over TLS on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import REGISTRY

from myx.executor.v1 import command_pb2
from myx.executor.v1 import command_service_pb2 as pb
from myx.executor.v1 import command_service_pb2_grpc as pb_grpc
from myx_kit import correlation, tracing
from myx_kit.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    Unavailable,
)
from myx_kit.rpc.client import open_channel, stream_metadata, translate_errors
from myx_kit.rpc.interceptors import caller
from myx_kit.rpc.server import RpcServer, read_tls
from myx_kit.tls import ensure_tls
from myx_testkit.wait import until

SERVICE = "myx.executor.v1.CommandService"
READS, RUNS = ("GetCommand", "FollowLog"), ("RunCommand",)


class Servicer(pb_grpc.CommandServiceServicer):
    """Behaves as the command id says."""

    def __init__(self):
        self.calls = 0
        self.callers = []
        self.worked_for = []
        self.closed_streams = 0
        self.hanging = 0
        self.cancelled = 0

    async def GetCommand(self, request, context):
        self.calls += 1
        self.callers.append(caller())
        self.worked_for.append((correlation.request_id(), tracing.traceparent()))
        match request.command_id:
            case "missing":
                raise NotFound("COMMAND_NOT_FOUND", "no command ü", command="missing")
            case "bug":
                raise ValueError("the password is hunter2")
            case "long":
                raise NotFound("LONG", "m" * 100_000, field="f" * 100_000)
            case "flaky" if self.calls < 3:
                raise Unavailable("DATABASE_UNAVAILABLE", "the database is away")
            case "hang":
                self.hanging += 1
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    self.cancelled += 1
                    raise
        return pb.GetCommandResponse()

    async def RunCommand(self, request, context):
        self.asked_by = request.requested_by
        return pb.RunCommandResponse()

    async def ListCommands(self, request, context):
        return pb.ListCommandsResponse(next_page_token="x" * (6 << 20))

    async def FollowLog(self, request, context):
        self.worked_for.append((correlation.request_id(), tracing.traceparent()))
        try:
            for offset in range(3):
                yield pb.FollowLogResponse(final=pb.LogFinal(offset=offset))
            if request.command_id == "broken":
                raise OutOfRange("OFFSET_BEYOND_END", "beyond", end="3")
            if request.command_id == "bug":
                raise ValueError("the password is hunter2")
            if request.command_id == "flood":
                while True:
                    yield pb.FollowLogResponse(frames=[command_pb2.LogFrame(data=bytes(64 << 10))])
            if request.command_id == "late":
                try:
                    await asyncio.sleep(60)
                finally:
                    raise ValueError
            if request.follow:
                await asyncio.sleep(60)
        finally:
            self.closed_streams += 1


@pytest.fixture(scope="module")
def clients_tls(tls_dir):
    """Certificates of other teams' programs beside those of the services."""
    ensure_tls(tls_dir, ["reports", "ci", "stranger"])
    return tls_dir


@asynccontextmanager
async def serving(tls_dir: Path, listen: str = "127.0.0.1:0") -> AsyncIterator[tuple[str, Servicer, RpcServer]]:
    servicer = Servicer()
    server = RpcServer(listen, tls_dir, "executor")
    server.add(pb_grpc.add_CommandServiceServicer_to_server, servicer, SERVICE)
    server.allow({f"/{SERVICE}/CancelCommand": {"gateway"}})
    reads, runs = ([f"/{SERVICE}/{method}" for method in methods] for methods in (READS, RUNS))
    server.admit({"reports": "read", "ci": "run"}, reads, runs)
    address = await server.start()
    try:
        yield address, servicer, server
    finally:
        await server.stop(0.1)


@asynccontextmanager
async def calling(address: str, tls_dir: Path, own: str = "gateway", peer: str = "executor"):
    channel = open_channel(address, tls_dir, own, peer)
    try:
        yield pb_grpc.CommandServiceStub(channel)
    finally:
        await channel.close()


@pytest.fixture
async def served(tls_dir):
    async with serving(tls_dir) as (address, servicer, server):
        yield address, servicer, server


@pytest.fixture
async def stub(served, tls_dir):
    async with calling(served[0], tls_dir) as stub:
        yield stub


async def test_a_call_arrives_with_its_callers_name(served, stub):
    await stub.GetCommand(pb.GetCommandRequest())
    assert served[1].callers == ["gateway"]


async def test_an_error_of_ours_comes_out_as_it_was_raised(stub):
    with pytest.raises(NotFound) as caught:
        await stub.GetCommand(pb.GetCommandRequest(command_id="missing"))
    assert caught.value.reason == "COMMAND_NOT_FOUND"
    assert caught.value.message == "no command ü"
    assert caught.value.fields == {"command": "missing"}


async def test_an_unexpected_exception_leaves_as_internal_without_text(stub, capfd):
    with pytest.raises(Internal) as caught:
        await stub.GetCommand(pb.GetCommandRequest(command_id="bug"))
    assert (caught.value.reason, caught.value.message, caught.value.fields) == ("INTERNAL", "internal error", {})


async def test_overlong_texts_are_cut_and_not_the_call(stub):
    with pytest.raises(NotFound) as caught:
        await stub.GetCommand(pb.GetCommandRequest(command_id="long"))
    assert len(caught.value.message) == 1000
    assert len(caught.value.fields["field"]) == 300


async def test_unavailable_is_retried_by_the_channel(served, stub):
    await stub.GetCommand(pb.GetCommandRequest(command_id="flaky"))
    assert served[1].calls == 3


async def test_a_missed_deadline_is_deadline_exceeded_and_cancels_the_handler(served, stub):
    with pytest.raises(DeadlineExceeded) as caught:
        await stub.GetCommand(pb.GetCommandRequest(command_id="hang"), timeout=0.1)
    assert caught.value.reason == "DEADLINE_EXCEEDED"
    await until(lambda: served[1].cancelled == 1, timeout_s=5)


async def test_cancelling_the_caller_cancels_the_handler_and_logs_no_error(served, stub, capfd):
    task = asyncio.create_task(stub_call(stub, "hang"))
    await until(lambda: served[1].hanging == 1, timeout_s=5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: served[1].cancelled == 1, timeout_s=5)
    assert "rpc_failed" not in "".join(capfd.readouterr())


async def stub_call(stub, command_id):
    return await stub.GetCommand(pb.GetCommandRequest(command_id=command_id))


async def test_messages_beyond_grpcs_default_limit_pass(stub):
    response = await stub.ListCommands(pb.ListCommandsRequest())
    assert len(response.next_page_token) == 6 << 20


async def test_a_stream_is_given_whole(stub):
    with translate_errors("executor"):
        offsets = [m.final.offset async for m in stub.FollowLog(pb.FollowLogRequest(), timeout=5)]
    assert offsets == [0, 1, 2]


@pytest.mark.parametrize(
    ("command_id", "kind", "reason"), [("broken", OutOfRange, "OFFSET_BEYOND_END"), ("bug", Internal, "INTERNAL")]
)
async def test_an_error_in_mid_stream_comes_after_what_was_sent(stub, command_id, kind, reason):
    offsets = []

    async def follow():
        with translate_errors("executor"):
            async for message in stub.FollowLog(pb.FollowLogRequest(command_id=command_id), timeout=5):
                offsets.append(message.final.offset)  # noqa: PERF401 - kept when it raises

    with pytest.raises(kind) as caught:
        await follow()
    assert offsets == [0, 1, 2]
    assert caught.value.reason == reason
    assert "hunter2" not in str(caught.value)


async def test_a_stream_that_its_client_leaves_is_closed_at_the_server(served, stub):
    call = stub.FollowLog(pb.FollowLogRequest(follow=True), timeout=60)
    await call.read()
    call.cancel()
    await until(lambda: served[1].closed_streams == 1, timeout_s=5)


@pytest.mark.parametrize("command_id", ["flood", "late"])
async def test_what_happens_after_the_client_left_is_no_error(served, stub, capfd, command_id):
    call = stub.FollowLog(pb.FollowLogRequest(command_id=command_id), timeout=60)
    for _ in range(3):
        await call.read()
    call.cancel()
    await until(lambda: served[1].closed_streams == 1, timeout_s=5)
    output = "".join(capfd.readouterr())
    assert "rpc_failed" not in output
    assert "Traceback" not in output


async def test_a_stopping_server_ends_its_streams_with_a_reason(served, stub):
    call = stub.FollowLog(pb.FollowLogRequest(follow=True), timeout=60)
    for _ in range(3):
        await call.read()
    stopping = asyncio.create_task(served[2].stop(5))
    with pytest.raises(Unavailable) as caught, translate_errors("executor"):
        await call.read()
    assert caught.value.reason == "SERVICE_STOPPING"
    async with asyncio.timeout(2):
        await stopping
    assert served[1].closed_streams == 1


@pytest.mark.parametrize("method", ["unary", "stream"])
async def test_a_call_without_deadline_is_refused(served, tls_dir, method):
    key, certificate, ca = read_tls(tls_dir, "gateway")
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    options = [("grpc.ssl_target_name_override", "executor")]
    async with grpc.aio.secure_channel(served[0], credentials, options=options) as channel:
        stub = pb_grpc.CommandServiceStub(channel)
        unary, stream = stub.GetCommand(pb.GetCommandRequest()), stub.FollowLog(pb.FollowLogRequest())
        with pytest.raises(InvalidArgument) as caught, translate_errors():
            await (unary if method == "unary" else stream.read())
    assert caught.value.reason == "DEADLINE_REQUIRED"


async def test_a_caller_that_is_not_on_the_list_is_denied(served, tls_dir):
    async with calling(served[0], tls_dir, own="heartbeat") as stub:
        with pytest.raises(PermissionDenied) as caught:
            await stub.CancelCommand(pb.CancelCommandRequest())
    assert caught.value.reason == "CALLER_NOT_ALLOWED"
    assert caught.value.fields["caller"] == "heartbeat"


@pytest.mark.parametrize(
    ("own", "method", "let_in"),
    [
        ("reports", "GetCommand", True),
        ("reports", "FollowLog", True),
        ("reports", "RunCommand", False),
        ("reports", "CancelCommand", False),
        ("reports", "ListCommands", False),
        ("ci", "GetCommand", True),
        ("ci", "RunCommand", True),
        ("ci", "CancelCommand", False),
        ("stranger", "GetCommand", False),
        ("stranger", "ListCommands", False),
        ("nats", "ListCommands", False),
        ("heartbeat", "ListCommands", True),
    ],
)
async def test_other_teams_programs_use_what_they_were_given_and_no_more(served, clients_tls, own, method, let_in):
    reason = ""
    async with calling(served[0], clients_tls, own=own) as stub:
        try:
            with translate_errors():
                call = getattr(stub, method)(getattr(pb, f"{method}Request")(), timeout=5)
                await (call.read() if method == "FollowLog" else call)
        except PermissionDenied as error:
            reason = error.reason
        except Internal:
            pass
    assert reason == ("" if let_in else "CALLER_NOT_ALLOWED")


async def test_other_teams_programs_ask_in_their_own_name(served, clients_tls):
    for own, who in (("ci", "client:ci"), ("gateway", "user:alice")):
        async with calling(served[0], clients_tls, own=own) as stub:
            await stub.RunCommand(pb.RunCommandRequest(requested_by="user:alice"))
        assert served[1].asked_by == who


async def test_a_method_that_is_not_implemented_is_internal(stub):
    with pytest.raises(Internal):
        await stub.CancelCommand(pb.CancelCommandRequest())


@pytest.mark.parametrize("kind", ["none", "stranger"])
async def test_a_peer_without_a_certificate_of_our_authority_is_refused(served, tls_dir, tmp_path, kind):
    _, _, ca = read_tls(tls_dir, "gateway")
    if kind == "none":
        credentials = grpc.ssl_channel_credentials(ca)
    else:
        ensure_tls(tmp_path, ["gateway"])
        key, certificate, _ = read_tls(tmp_path, "gateway")
        credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    options = [("grpc.ssl_target_name_override", "executor")]
    async with grpc.aio.secure_channel(served[0], credentials, options=options) as channel:
        with pytest.raises(Unavailable), translate_errors():
            await pb_grpc.CommandServiceStub(channel).GetCommand(pb.GetCommandRequest(), timeout=5)
    assert served[1].calls == 0


async def test_plain_text_is_refused(served):
    async with grpc.aio.insecure_channel(served[0]) as channel:
        with pytest.raises(Unavailable), translate_errors():
            await pb_grpc.CommandServiceStub(channel).GetCommand(pb.GetCommandRequest(), timeout=5)


async def test_a_server_that_is_not_who_it_should_be_is_refused(served, tls_dir):
    async with calling(served[0], tls_dir, peer="registry") as stub:
        with pytest.raises(Unavailable):
            await stub.GetCommand(pb.GetCommandRequest(), timeout=5)
    assert served[1].calls == 0


async def test_an_absent_server_is_unavailable_and_is_found_when_it_comes_back(tls_dir):
    async with serving(tls_dir) as (address, _, _):
        pass
    async with calling(address, tls_dir) as stub:
        with pytest.raises(Unavailable) as caught:
            await stub.GetCommand(pb.GetCommandRequest(), timeout=5)
        assert caught.value.reason == "SERVICE_UNAVAILABLE"
        assert caught.value.fields == {"peer": "executor"}
        async with serving(tls_dir, address) as (_, servicer, _), asyncio.timeout(4):
            while not servicer.calls:
                try:
                    await stub.GetCommand(pb.GetCommandRequest(), timeout=2)
                except Unavailable:
                    continue


async def test_a_port_in_use_is_said(served, tls_dir):
    with pytest.raises(FailedPrecondition) as caught:
        await RpcServer(served[0], tls_dir, "registry").start()
    assert caught.value.reason == "LISTEN_FAILED"
    assert served[0] in caught.value.message


async def test_missing_certificates_are_said(tmp_path):
    with pytest.raises(FailedPrecondition) as caught:
        await RpcServer("127.0.0.1:0", tmp_path, "registry").start()
    assert caught.value.reason == "TLS_FILES_UNREADABLE"


async def test_health_is_serving_until_the_server_is_unready(served, tls_dir):
    channel = open_channel(served[0], tls_dir, "gateway", "executor")
    health = health_pb2_grpc.HealthStub(channel)
    for service in ("", SERVICE):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert served[2].ready
    watching = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=5)
    assert (await anext(aiter(watching))).status == health_pb2.HealthCheckResponse.SERVING
    await served[2].unready()
    assert (await anext(aiter(watching))).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert not served[2].ready
    await channel.close()


async def test_reflection_names_the_services(served, tls_dir):
    channel = open_channel(served[0], tls_dir, "gateway", "executor")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
    call = stub.ServerReflectionInfo(iter(requests), timeout=5)
    names = {service.name async for answer in call for service in answer.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names
    await channel.close()


async def test_a_unary_call_that_outlasts_the_drain_is_cancelled(served, stub):
    task = asyncio.create_task(stub_call(stub, "hang"))
    await until(lambda: served[1].hanging == 1, timeout_s=5)
    await served[2].stop(0.2)
    with pytest.raises(Unavailable):
        await task
    await until(lambda: served[1].cancelled == 1, timeout_s=5)


async def test_a_call_goes_on_with_the_callers_request_and_trace(served, stub):
    _, servicer, _ = served
    header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    correlation.enter("run-1", header)
    await stub.GetCommand(pb.GetCommandRequest(command_id="x"))
    stream = stub.FollowLog(pb.FollowLogRequest(), timeout=5, metadata=stream_metadata())
    assert [response async for response in stream]
    correlation.enter("", "")
    await stub.GetCommand(pb.GetCommandRequest(command_id="x"))
    assert servicer.worked_for[-3:] == [("run-1", header), ("run-1", header), ("", "")]


async def test_calls_and_streams_are_in_the_figures(served, stub):
    method = f"/{SERVICE}/GetCommand"
    names = [
        ("myx_rpc_server_seconds_count", {"method": method, "code": "NOT_FOUND"}),
        ("myx_rpc_client_seconds_count", {"peer": "executor", "code": "NOT_FOUND"}),
    ]
    before = [REGISTRY.get_sample_value(name, labels) or 0 for name, labels in names]
    with pytest.raises(NotFound):
        await stub.GetCommand(pb.GetCommandRequest(command_id="missing"))
    assert [REGISTRY.get_sample_value(name, labels) for name, labels in names] == [one + 1 for one in before]

    def open_streams():
        return REGISTRY.get_sample_value("myx_rpc_server_open_streams", {"method": f"/{SERVICE}/FollowLog"})

    call = stub.FollowLog(pb.FollowLogRequest(follow=True), timeout=30)
    await call.read()
    assert open_streams() == 1
    call.cancel()
    await until(lambda: open_streams() == 0)
