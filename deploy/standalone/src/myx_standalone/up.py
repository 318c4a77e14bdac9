"""Everything from the first sentence to the last: `Standalone.run`."""

import asyncio
import contextlib
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from myx_standalone import leftovers, local_commands, supervisors
from myx_standalone.agent_files import follow_the_home, may_start
from myx_standalone.api import Api, ApiUnavailable
from myx_standalone.child import KILL_WAIT_S, SLOW_WITHIN_S, TELL_EVERY_S, Child, Service
from myx_standalone.databases import ensure_databases, mark_migrated, unmigrated, write_urls
from myx_standalone.errors import StandaloneError
from myx_standalone.home import Home
from myx_standalone.logs import Logs
from myx_standalone.services import Services

START_WITHIN_S = 120.0  # without what takes long and says so: a database that recovers, migrations
ONLINE_WITHIN_S = 20.0
CANCEL_WITHIN_S = 3.5
STOP_COMMANDS_WITHIN_S = 4.0
LEAVE_WITHIN_S = 0.5  # for what was asked to leave
GRACE_S = 1.0  # for commands that the API could not be asked to cancel
SHORTEN_LOGS_EVERY_S = 10.0
OPEN_FILES = 65536
SAME_SIGNAL_S = 0.5  # one Ctrl-C may come twice: from the terminal, and from make or a process manager
# Who depends on whom, the other way round: a group is stopped when the one before it is gone.
STOP_ORDER = (("gateway", "heartbeat"), ("executor",), ("agent", "registry"), ("nats", "postgres"))


class Standalone:
    """All of MyX on one folder and one port of this machine."""

    def __init__(self, home: Home, port: int, log_level: str) -> None:
        self.home, self.port, self.log_level = home, port, log_level
        self.logs = Logs(home.logs)
        self.children: dict[str, Child] = {}
        self.stopping = asyncio.Event()
        self.agent_runs_with = ""
        self.is_up = False
        self.server = self.token = ""
        self.signalled_at = 0.0
        self.start_limit: asyncio.Timeout | None = None
        self.unfinished: set[str] = set()

    async def run(self) -> int:
        """Start, run until a signal, stop; the exit status. StandaloneError: it cannot be started."""
        began = time.monotonic()
        with self._door() as door, self._prepared():
            self.port = door.getsockname()[1]
            say(f"MyX {version('myx-standalone')} starts in {self.home.path} (logs: {self.home.logs})")
            self._sweep()
            self._catch_signals()
            try:
                if await self._unless_stopped(self._start(door)):
                    self.is_up = True
                    self.home.announce(self.url)
                    self._say_ready(time.monotonic() - began)
                    await self._run_until_stopped()
            finally:
                await self._stop()
                self.home.withdraw()
        say("MyX has stopped.")
        return 0

    def _door(self) -> socket.socket:
        try:
            return _door(self.port)
        except StandaloneError:
            self.home.refuse_if_in_use()  # most likely this very folder's MyX has the port
            raise

    @contextlib.contextmanager
    def _prepared(self) -> Iterator[None]:
        self.home.prepare()
        with self.home.locked():
            yield

    @property
    def url(self) -> str:
        """Where the gateway answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> Api:
        """The gateway, as the admin."""
        return Api(self.port, self.token)

    def _sweep(self) -> None:
        left = leftovers.end(self.home)
        if left:
            say(f"An earlier MyX was not stopped properly; ended what was left of it: {', '.join(left)}")
        if astray := supervisors.astray(self.home):
            supervisors.end(astray, self.home)
            say("This folder was moved: what watched its commands at the old place was ended, and is taken over here.")
        self.home.withdraw()
        _allow_many_files()

    async def _start(self, door: socket.socket) -> None:
        await asyncio.to_thread(self.home.make_secrets)
        self.token = self.home.token
        services = Services(self.home, self.home.pick_ports(), door.fileno(), self.log_level)
        if not services.cluster.data.exists():
            say("Making the database (at the first start only)")
            await asyncio.to_thread(services.cluster.initialise)
        write_urls(self.home, services.cluster, services.ports["postgres"])
        try:
            async with asyncio.timeout(START_WITHIN_S) as self.start_limit:
                await _together(
                    self._start_child(services.nats()),
                    self._start_with_database(services),
                    self._start_agent(services),
                )
        except TimeoutError:
            waited_for = ", ".join(sorted(self.unfinished)) or "the database"
            raise StandaloneError(f"MyX did not come up: {waited_for} took too long (logs: {self.home.logs})") from None
        finally:
            self.start_limit = None
        await self._wait_until_online()

    async def _start_with_database(self, services: Services) -> None:
        await self._start_child(services.postgres())
        cluster, port = services.cluster, services.ports["postgres"]
        await asyncio.to_thread(ensure_databases, self.home, cluster, port)
        names = await asyncio.to_thread(unmigrated, cluster, port)
        await _together(
            self._migrate_and_start("registry", names, services, services.registry()),
            self._migrate_and_start("executor", names, services, services.executor()),
            self._migrate_and_start("heartbeat", names, services, services.heartbeat()),
            self._migrate_and_start("gateway", names, services, services.gateway()),
        )
        if names:
            await asyncio.to_thread(mark_migrated, cluster, port, names)

    async def _migrate_and_start(self, name: str, unmigrated: list[str], services: Services, service: Service) -> None:
        if name in unmigrated:
            await self._step(f"migrate-{name}", *services.migrate(name), slow=True)
        await self._start_child(service)

    async def _start_agent(self, services: Services) -> None:
        """Start the agent with last time's identity at once, and with the registry's when that is another."""
        follow_the_home(self.home)
        at_once = await asyncio.to_thread(may_start, self.home)
        enrolling = self._step("enrol", *services.enrol(agent_runs=at_once))
        if at_once:
            await _together(self._start_child(services.agent(), self._read_agent_files()), enrolling)
        else:
            await enrolling
        if self.agent_runs_with != self._read_agent_files():
            if running := self.children.pop("agent", None):
                await running.stop()
            await self._start_child(services.agent(), self._read_agent_files())

    def _read_agent_files(self) -> str:
        files = (self.home.agent_config, self.home.agent / "ssl" / "agent.crt", self.home.agent / "ssl" / "agent.key")
        return "\n".join(path.read_text() if path.exists() else "" for path in files)

    async def _start_child(self, service: Service, agent_files: str = "") -> None:
        child = Child(service, self.logs, say, self._say_slow)
        self.unfinished.add(service.name)
        self.children[service.name] = child
        if agent_files:
            self.agent_runs_with = agent_files
        await child.start()
        self.unfinished.discard(service.name)

    def _say_slow(self, text: str) -> None:
        """Tell what takes long without being stuck; the clock of the whole start begins anew."""
        say(text)
        if self.start_limit is not None and not self.start_limit.expired():
            self.start_limit.reschedule(asyncio.get_running_loop().time() + START_WITHIN_S)

    async def _step(self, name: str, argv: list[str], environment: dict[str, str], *, slow: bool = False) -> None:
        """Run a program that ends, within SLOW_WITHIN_S when it is `slow`. StandaloneError: it failed."""
        self.unfinished.add(name)
        log = self.logs.open(name)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                env=environment,
                cwd="/",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)
        try:
            status = await (self._slow_end(name, process) if slow else process.wait())
        except BaseException:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                process.kill()
                async with asyncio.timeout(KILL_WAIT_S):
                    await process.wait()
            raise
        self.unfinished.discard(name)
        if status != 0:
            raise StandaloneError(f"{name} failed; the end of {self.logs.path(name)}:\n{self.logs.tail(name)}")

    async def _slow_end(self, name: str, process: asyncio.subprocess.Process) -> int:
        began = time.monotonic()
        while (took_s := time.monotonic() - began) < SLOW_WITHIN_S:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TELL_EVERY_S):
                    return await process.wait()
            self._say_slow(f"{name} still runs after {took_s + TELL_EVERY_S:.0f} s (log: {self.logs.path(name)})")
        raise StandaloneError(f"{name} did not end within {SLOW_WITHIN_S:g} s (log: {self.logs.path(name)})")

    async def _wait_until_online(self) -> None:
        self.server, message = self.home.server_id_file.read_text().strip(), "it was not asked"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ONLINE_WITHIN_S):
                while True:
                    try:
                        online, message = await asyncio.to_thread(self.api.check, self.server)
                    except ApiUnavailable as error:
                        online, message = False, str(error)
                    if online:
                        return
                    await asyncio.sleep(0.2)
        say(f"The agent of this machine does not answer yet: {message} (log: {self.logs.path('agent')})")

    def _say_ready(self, seconds: float) -> None:
        program = Path(sys.executable).with_name("myx")
        try:
            here = Path.cwd()
        except OSError:  # the folder is gone
            here = Path("/")
        shown = shlex.quote(str(program.relative_to(here) if program.is_relative_to(here) else program))
        setting = "" if self.home.path == here / ".myx" else f"MYX_HOME={shlex.quote(str(self.home.path))} "
        say(f"MyX is ready at {self.url} after {seconds:.1f} s. Ctrl-C stops it. A first command, in another shell:")
        say(f"    {setting}{shown} run local -- uname -a")
        say(f"In a browser, log in as admin; the first password is in {self.home.admin_password_file}")

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        now = time.monotonic()
        if not self.stopping.is_set():
            self.stopping.set()
            self.signalled_at = now
        if now - self.signalled_at < SAME_SIGNAL_S:
            return
        say("Killed at once; commands on this machine are being ended.")
        for child in self.children.values():
            child.kill_now()
        if self.home.agent_config.exists():  # the only part that can end them; it goes on alone for a second or two
            subprocess.Popen(
                self._stop_commands_argv(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.home.withdraw()
        os._exit(130)

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work; False when a signal came first and the work was given up."""
        working = asyncio.create_task(work, name="start")
        stopping = asyncio.create_task(self.stopping.wait(), name="stop")
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
                return True
            return False
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    async def _run_until_stopped(self) -> None:
        while True:
            try:
                async with asyncio.timeout(SHORTEN_LOGS_EVERY_S):
                    await self.stopping.wait()
                    return
            except TimeoutError:
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(self.logs.shorten)

    async def _stop(self) -> None:
        if not self.children:
            return
        self.stopping.set()
        say("MyX stops.")
        if self.is_up:
            await local_commands.cancel_all(self.api, self.server, say, CANCEL_WITHIN_S)
        for group in STOP_ORDER:
            await asyncio.gather(*(self.children[name].stop() for name in group if name in self.children))
            if "agent" in group:
                await self._stop_commands()

    async def _stop_commands(self) -> None:
        """End what the agent's commands and their watcher left running, whatever the API said."""
        if self.home.agent_config.exists():
            await self._ask_for_the_end_of_commands()
        if remaining := supervisors.remaining(self.home):
            await asyncio.to_thread(supervisors.end, remaining, self.home, LEAVE_WITHIN_S)

    async def _ask_for_the_end_of_commands(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._stop_commands_argv(),
            cwd="/",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(STOP_COMMANDS_WITHIN_S):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            say("The commands on this machine did not end in time.")
            return
        for line in output.decode(errors="replace").splitlines():
            say(line)

    def _stop_commands_argv(self) -> list[str]:
        program = str(Path(sys.executable).with_name("myx-agent"))
        return [program, "--config", str(self.home.agent_config), "--stop-commands", "--grace", str(GRACE_S)]


async def _together(*work: Coroutine[Any, Any, None]) -> None:
    """Do all of it at once; the first failure cancels the rest and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for item in work:
                group.create_task(item)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _door(port: int) -> socket.socket:
    """The listening socket of the gateway, held here so that the port stays ours while the gateway is started again."""
    # with the protocol named, asyncio sends small answers at once (TCP_NODELAY); without, each may wait for 40 ms
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(("127.0.0.1", port))
        door.listen(1024)
    except OSError as error:
        door.close()
        raise StandaloneError(
            f"port {port} on 127.0.0.1 cannot be used ({error.strerror}): free it, or choose another one with MYX_PORT"
        ) from None
    return door


def _allow_many_files() -> None:
    """Let every process open as many files as this machine allows, within reason."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if 0 < hard < OPEN_FILES else OPEN_FILES, hard))


def say(text: str) -> None:
    """A line for the person at the terminal, who may have gone."""
    with contextlib.suppress(OSError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
