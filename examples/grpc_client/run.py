"""Another team's program: run a command on a server through MyX's gRPC and print what it says as it comes.

    python run.py --tls FOLDER --name ci --executor dns:///executor.myx:7000 web1 -- uname -a

FOLDER holds ca.crt, ci.crt and ci.key. Needed: `pip install ./protos` of MyX (the stubs; grpcio comes with them).
The exit code is the command's own, 1 when MyX could not run it.
"""

import argparse
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration

from myx.errors.v1.error_detail_pb2 import ErrorDetail
from myx.executor.v1 import command_pb2
from myx.executor.v1 import command_service_pb2 as pb
from myx.executor.v1.command_service_pb2_grpc import CommandServiceStub

# What gRPC does by itself, in any language: each call to the next replica that says that it serves; a call that a
# replica did not take is made again, at most four times in all, within the call's own deadline.
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}
# A replica whose machine vanished is noticed within 15 s, also while only listening.
KEEPALIVE = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
CALL_S = 10.0
# A stream needs a deadline as well. It is no limit of the command: what is longer is followed again.
STREAM_S = 3600.0
COMES_BACK = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
STREAM_TRIES = 30


def connect(target: str, tls: Path, name: str, service: str) -> grpc.Channel:
    """A channel to all replicas of `service` at `target`, as the program that the certificate `name` belongs to."""
    key, certificate, ca = ((tls / file).read_bytes() for file in (f"{name}.key", f"{name}.crt", "ca.crt"))
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    options = [
        *KEEPALIVE,
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        # Certificates name the service ("executor"), not the address that it is found at.
        ("grpc.ssl_target_name_override", service),
    ]
    return grpc.secure_channel(target, credentials, options=options)


def run(stub: CommandServiceStub, server: str, argv: list[str], timeout_s: float) -> command_pb2.Command:
    """Start a command. Whatever is repeated on the way, it runs once: that is what the request id is for."""
    request = pb.RunCommandRequest(
        server=server,
        command=argv[0],
        args=argv[1:],
        timeout=Duration(seconds=int(timeout_s)),
        request_id=str(uuid.uuid4()),
    )
    return stub.RunCommand(request, timeout=CALL_S).command


def follow(stub: CommandServiceStub, command_id: str) -> Iterator[pb.FollowLogResponse]:
    """All of a command's output, every byte once; the last item has `final`.

    gRPC does not repeat a stream that has begun, because only its reader knows how far it got: come back with the
    offset behind the last byte, on whatever replica.
    """
    offset, failures = 0, 0
    while True:
        try:
            request = pb.FollowLogRequest(command_id=command_id, offset=offset, follow=True)
            for item in stub.FollowLog(request, timeout=STREAM_S, wait_for_ready=True):
                failures = 0
                for frame in item.frames:
                    offset = frame.offset + len(frame.data)
                if item.HasField("gap"):
                    offset = item.gap.to_offset
                yield item
                if item.HasField("final"):
                    return
        except grpc.RpcError as error:
            failures += 1
            if error.code() not in COMES_BACK or failures > STREAM_TRIES:
                raise


def main() -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--executor", required=True, metavar="TARGET", help="dns:///executor.NAMESPACE:7000")
    parser.add_argument("--tls", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--name", required=True, help="of the certificate")
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="limit of the command")
    parser.add_argument("server", help="name or id")
    parser.add_argument("argv", nargs="+", help="program and arguments")
    chosen = parser.parse_args()
    with connect(chosen.executor, chosen.tls, chosen.name, "executor") as channel:
        stub = CommandServiceStub(channel)
        try:
            command = run(stub, chosen.server, chosen.argv, chosen.timeout)
            return show(follow(stub, command.id))
        except grpc.RpcError as error:
            print(f"{error.code().name} {reason_of(error)}: {error.details()}", file=sys.stderr)
            return 1


def show(items: Iterator[pb.FollowLogResponse]) -> int:
    """Print output as it comes; the exit code."""
    for item in items:
        for frame in item.frames:
            out = sys.stderr.buffer if frame.stream == command_pb2.LOG_STREAM_STDERR else sys.stdout.buffer
            out.write(frame.data)
            out.flush()
        if item.HasField("gap"):
            print(f"bytes are missing here: {item.gap.reason}", file=sys.stderr)
        if item.HasField("final"):
            command = item.final.command
            if command.status == command_pb2.COMMAND_STATUS_SUCCESS:
                return 0
            print(f"{command.reason}: {command.message}", file=sys.stderr)
            return command.exit_code if command.HasField("exit_code") and command.exit_code else 1
    return 1


def reason_of(error: grpc.RpcError) -> str:
    """The stable name of what went wrong; empty when it came from gRPC itself."""
    for key, value in error.trailing_metadata() or ():
        if key == "myx-error-bin":
            return ErrorDetail.FromString(value).reason
    return ""


if __name__ == "__main__":
    sys.exit(main())
