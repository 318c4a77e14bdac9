"""The real parts of an executor's world as programs: agent, executor replicas, and a fake registry."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import uuid
from contextlib import aclosing, closing
from pathlib import Path

from myx.executor.v1 import command_pb2, command_service_pb2, command_service_pb2_grpc
from myx_kit.rpc.client import open_channel, translate_errors
from myx_kit.secretbox import SecretBox
from myx_kit.tls import make_agent_certificate
from myx_testkit.ports import free_port
from myx_testkit.process import Program
from myx_testkit.wait import until, until_sync

BIN = Path(sys.executable).parent
HERE = Path(__file__).parent
FINAL = command_pb2.COMMAND_STATUS_SUCCESS


def base_environment():
    keep = ("PYTHONPATH", "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER")
    return {name: os.environ[name] for name in keep if name in os.environ}


def listens(port):
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Agent:
    """A real agent on a port of its own; `endpoint()` is what a registry would say of it."""

    def __init__(self, folder, **options):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.server_id, self.name = str(uuid.uuid4()), f"host-{secrets.token_hex(3)}"
        certificate, key, self.fingerprint = make_agent_certificate(self.name)
        (folder / "agent.crt").write_text(certificate)
        (folder / "agent.key").write_text(key)
        (folder / "agent.key").chmod(0o600)
        self.config = {
            "agent_token": secrets.token_urlsafe(32),
            "secret_key": secrets.token_urlsafe(32),
            "rpc_port": free_port(),
            "rpc_path": secrets.token_hex(8),
            "bind_address": "127.0.0.1",
            "certificate_path": str(folder / "agent.crt"),
            "key_path": str(folder / "agent.key"),
            "spool_dir": str(folder / "spool"),
            "require_signature": True,
            "min_free_bytes": 0,
            "deployment_tool_dir": str(folder / "deployment-tool"),
            "staging_dir": str(folder / "staging"),
            "files_dir": str(folder / "files"),
            "ansible_dir": str(folder / "ansible"),
            "upgrade_dir": str(folder / "upgrade"),
            "releases_dir": str(folder / "releases"),
            **options,
        }
        self.file = folder / "config.json"
        self._write()
        self.argv = [str(BIN / "myx-agent"), "--config", str(self.file)]
        self.program = Program(f"agent {self.name}", self.argv, folder / "agent.log", base_environment())

    def start(self):
        for name in ("deployment-tool", "staging", "files", "ansible", "upgrade", "releases"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        ansible = self.folder / "ansible" / "current"
        if not ansible.is_symlink():
            # Ansible of the environment that the tests run in.
            ansible.symlink_to(sys.prefix)
        self.program.start()
        until_sync(lambda: listens(self.config["rpc_port"]) or not self.program.is_running(), 20)
        assert self.program.is_running()

    def stop(self):
        if self.program.is_running():
            self.program.kill9()
        subprocess.run([*self.argv, "--stop-commands"], timeout=20, check=False, capture_output=True)

    def restart_with(self, **changes):
        """Another token, path or the like from now on."""
        self.program.kill9()
        self.config |= changes
        self._write()
        self.start()

    def _write(self):
        self.file.write_text(json.dumps(self.config))
        self.file.chmod(0o600)

    def forget_everything(self):
        """As if its disk had been replaced; while it is stopped."""
        shutil.rmtree(self.config["spool_dir"])

    def endpoint(self, **changes):
        return {
            "agent_id": self.server_id,
            "server_id": self.server_id,
            "server_name": self.name,
            "address": "127.0.0.1",
            "rpc_port": self.config["rpc_port"],
            "rpc_path": self.config["rpc_path"],
            "agent_token": self.config["agent_token"],
            "secret_key": self.config["secret_key"],
            "certificate_sha256": self.fingerprint,
            **changes,
        }


class Registry:
    """The fake registry; `put` adds or changes a server under its name and id."""

    def __init__(self, folder, tls_dir):
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "servers.json"
        self.servers = {}
        self.file.write_text("{}")
        self.port = free_port()
        argv = [
            sys.executable,
            str(HERE / "executor_fake_registry.py"),
            f"127.0.0.1:{self.port}",
            str(tls_dir),
            str(self.file),
        ]
        self.program = Program("registry", argv, folder / "registry.log", base_environment())
        self.target = f"127.0.0.1:{self.port}"

    def start(self):
        self.program.start()
        until_sync(lambda: listens(self.port) or not self.program.is_running(), 20)

    def put(self, endpoint):
        self.servers[endpoint["server_name"]] = self.servers[endpoint["server_id"]] = endpoint
        self._write()

    def put_host(self, name, address, hop, **extra):
        """A server without agent that SSH gets to; `hop`: fields of SshHop."""
        server_id = str(uuid.uuid4())
        hops = [{"serverId": server_id, "serverName": name, "address": address, **hop}]
        entry = {"server_id": server_id, "server_name": name, "address": address}
        self.put(entry | {"_": {"has_credential": True, "hops": hops, **extra}})
        return server_id

    def mark(self, server_id, **extra):
        """Changes what the registry says of a server beside its endpoint."""
        entry = self.servers[server_id]
        self.put(entry | {"_": entry.get("_", {}) | extra})

    def put_without_agent(self, name):
        self.servers[name] = None
        self._write()

    def _write(self):
        draft = self.file.with_suffix(".new")
        draft.write_text(json.dumps(self.servers))
        draft.replace(self.file)


class Executor:
    """One replica as a process."""

    def __init__(self, folder, tls_dir, database, nats_url, registry, **settings):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.tls_dir = folder, tls_dir
        key_file = folder.parent / "executor-master.json"
        SecretBox.create_file(key_file)
        self.port = free_port()
        self.environment = base_environment() | {
            "MYX_EXECUTOR_LISTEN": f"127.0.0.1:{self.port}",
            "MYX_EXECUTOR_TLS_DIR": str(tls_dir),
            "MYX_EXECUTOR_DATABASE_URL_FILE": str(database.url_file),
            "MYX_EXECUTOR_NATS_URL": nats_url,
            "MYX_EXECUTOR_MASTER_KEY_FILE": str(key_file),
            "MYX_EXECUTOR_REGISTRY_TARGET": registry.target,
            "MYX_EXECUTOR_DRAIN_S": "2",
            "MYX_EXECUTOR_LOG_LEVEL": "debug",
            "MYX_EXECUTOR_WORK_DIR": str(folder),
            **{f"MYX_EXECUTOR_{name.upper()}": str(value) for name, value in settings.items()},
        }
        argv = [sys.executable, "-m", "myx_executor", "serve"]
        self.program = Program(f"executor {folder.name}", argv, folder / "executor.log", self.environment)

    def start(self):
        self.program.start()
        self.wait()

    def wait(self):
        until_sync(lambda: listens(self.port) or not self.program.is_running(), 90)
        assert self.program.is_running()

    def stop(self):
        if self.program.is_running():
            self.program.stop(timeout_s=15)

    def client(self):
        return Client(f"127.0.0.1:{self.port}", self.tls_dir)


class Client:
    """CommandService as the gateway calls it."""

    def __init__(self, target, tls_dir, own_name="gateway"):
        self.channel = open_channel(target, tls_dir, own_name, "executor")
        self.stub = command_service_pb2_grpc.CommandServiceStub(self.channel)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.channel.close()

    async def run(self, server, command, *args, timeout_s=None, requested_by="token:test", **fields):
        request = command_service_pb2.RunCommandRequest(
            server=server, command=command, args=args, requested_by=requested_by, **fields
        )
        if timeout_s is not None:
            request.timeout.FromNanoseconds(int(timeout_s * 1e9))
        return (await self.stub.RunCommand(request, timeout=10)).command

    async def shell(self, server, script, **fields):
        return await self.run(server, "/bin/sh", "-c", script, **fields)

    async def get(self, command_id):
        return (await self.stub.GetCommand(command_service_pb2.GetCommandRequest(command_id=command_id))).command

    async def cancel(self, command_id, grace_s=None):
        request = command_service_pb2.CancelCommandRequest(command_id=command_id, requested_by="token:test")
        if grace_s is not None:
            request.grace.FromNanoseconds(int(grace_s * 1e9))
        return (await self.stub.CancelCommand(request)).command

    async def final(self, command_id, timeout_s=30):
        async def ended():
            command = await self.get(command_id)
            return command if command.status >= FINAL else None

        return await until(ended, timeout_s, interval_s=0.02)

    async def status(self, command_id):
        return (await self.get(command_id)).status

    async def in_state(self, command_id, status):
        """The command as soon as it is in this state."""

        async def there():
            command = await self.get(command_id)
            return command if command.status == status else None

        return await until(there, 30)

    async def running(self, command_id):
        """Waits until the agent has begun it: then its replica has no room for it any more."""
        return await self.in_state(command_id, command_pb2.COMMAND_STATUS_RUNNING)

    async def follow(self, command_id, offset=0, *, follow=True, timeout_s=60):
        """Yields the responses of FollowLog."""
        request = command_service_pb2.FollowLogRequest(command_id=command_id, offset=offset, follow=follow)
        with translate_errors("executor"):
            call = self.stub.FollowLog(request, timeout=timeout_s)
            try:
                async for response in call:
                    yield response
            finally:
                call.cancel()

    async def log(self, command_id, offset=0, *, follow=True, timeout_s=60):
        """The whole log from an offset, checked for gaps and repeats."""
        seen = Log(offset)
        async with aclosing(self.follow(command_id, offset, follow=follow, timeout_s=timeout_s)) as responses:
            async for response in responses:
                seen.take(response)
        return seen


class Log:
    """What a follower has seen; every byte must follow the one before."""

    def __init__(self, offset=0):
        self.start = self.position = offset
        self.frames = []
        self.gaps = []
        self.final = None

    def take(self, response):
        assert self.final is None, "something came after the final message"
        for frame in response.frames:
            assert frame.offset == self.position, (frame.offset, self.position)
            assert frame.data
            self.frames.append((frame.stream, frame.data))
            self.position += len(frame.data)
        if response.HasField("gap"):
            assert response.gap.from_offset == self.position
            self.gaps.append((response.gap.from_offset, response.gap.to_offset, response.gap.reason))
            self.position = response.gap.to_offset
        if response.HasField("final"):
            assert response.final.offset == self.position
            self.final = response.final.command

    @property
    def data(self):
        return b"".join(data for _, data in self.frames)

    def of(self, stream):
        return b"".join(data for one, data in self.frames if one == stream)
