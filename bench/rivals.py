"""`true` on many loopback hosts by what people would take instead: ssh, a warm asyncssh pool, Ansible."""

import asyncio
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncssh

from bench.plain_ssh import PlainSsh, plain_ssh

_AT_ONCE = 50
_FORKS = 25
_WITHIN_S = 600


class Rivals:
    """Each way gives (seconds, CPU seconds at the control side) of one round over all hosts."""

    def __init__(self, ssh: PlainSsh, hosts: Sequence[str]) -> None:
        self._ssh = ssh
        self._hosts = hosts
        self._pool: list[asyncssh.SSHClientConnection] = []

    async def fresh_ssh(self) -> tuple[float, float]:
        """A process and a connection for each host, 50 at once."""
        left = iter(self._hosts)
        base = [*self._ssh.fresh[:-1]]

        async def worker() -> None:
            for host in left:
                process = await asyncio.create_subprocess_exec(*base, f"root@{host}", "true")
                if await process.wait() != 0:
                    raise RuntimeError(f"ssh to {host} failed")

        return await _measured(lambda: _together(worker), of_children=True)

    async def warm_asyncssh(self) -> tuple[float, float]:
        """One open connection for each host, opened before."""
        if not self._pool:
            await self._connect()
        left = iter(self._pool)

        async def worker() -> None:
            for connection in left:
                await connection.run("true", check=True)

        return await _measured(lambda: _together(worker), of_children=False)

    async def ansible(self) -> tuple[float, float]:
        """`ansible all -m command -a true` with pipelining and shared connections."""
        return await self._ansible("-m", "command", "-a", "true")

    async def ansible_ping(self) -> tuple[float, float]:
        """`ansible all -m ping`, likewise."""
        return await self._ansible("-m", "ping")

    async def _ansible(self, *module: str) -> tuple[float, float]:
        program = Path(sys.executable).with_name("ansible")
        inventory = self._ssh.folder / "hosts"
        common = f"ansible_port={self._ssh.port} ansible_user=root ansible_python_interpreter={sys.executable}"
        inventory.write_text("".join(f"{host} {common}\n" for host in self._hosts))
        options = f"-F none -i {self._ssh.folder / 'id'} -o StrictHostKeyChecking=accept-new -o LogLevel=ERROR"
        environment = {
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "HOME": str(self._ssh.folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_SSH_ARGS": f"{options} -o ControlMaster=auto -o ControlPersist=60s",
            "ANSIBLE_SSH_COMMON_ARGS": f"-o UserKnownHostsFile={self._ssh.folder / 'known'}",
        }

        async def run() -> None:
            words = ["-i", str(inventory), "all", *module, "-f", str(_FORKS)]
            process = await asyncio.create_subprocess_exec(
                program, *words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            output, _ = await process.communicate()
            if process.returncode != 0:
                raise RuntimeError(f"ansible failed:\n{output.decode()[-2000:]}")

        return await _measured(run, of_children=True)

    async def close(self) -> None:
        """Close the pool."""
        for connection in self._pool:
            connection.abort()
        self._pool = []

    async def _connect(self) -> None:
        left = iter(self._hosts)

        async def worker() -> None:
            for host in left:
                self._pool.append(
                    await asyncssh.connect(
                        host,
                        self._ssh.port,
                        username="root",
                        client_keys=[str(self._ssh.folder / "id")],
                        known_hosts=None,
                        config=None,
                    )
                )

        await _together(worker)


@contextmanager
def rivals(count: int) -> Iterator[Rivals | None]:
    """With an sshd on `count` addresses; None where there can be none."""
    hosts = [f"127.250.{number // 250}.{1 + number % 250}" for number in range(count)]
    with plain_ssh(hosts) as ssh:
        yield None if ssh is None or shutil.which("ssh") is None else Rivals(ssh, hosts)


async def _together(worker: Callable[[], Awaitable[None]]) -> None:
    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))


async def _measured(work: Callable[[], Awaitable[None]], *, of_children: bool) -> tuple[float, float]:
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    before, begin = resource.getrusage(who), time.perf_counter()
    async with asyncio.timeout(_WITHIN_S):
        await work()
    taken, after = time.perf_counter() - begin, resource.getrusage(who)
    return taken, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
