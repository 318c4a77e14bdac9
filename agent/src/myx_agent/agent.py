"""The agent process: opens, wires, serves, closes in reverse."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from pathlib import Path

from myx_agent import __version__, app, tls
from myx_agent.auth import Authenticator, Nonces, Throttle
from myx_agent.commands.start import Starter
from myx_agent.commands.supervisor import Supervisor
from myx_agent.config import Config
from myx_agent.files import FileMethods
from myx_agent.jsonrpc import Dispatcher
from myx_agent.methods import Methods, register
from myx_agent.playbooks import PlaybookMethods
from myx_agent.rotation import RotationMethods
from myx_agent.server import QuietHttp, bind, make_server
from myx_agent.spool.watch import Watches
from myx_agent.stream import LogStream
from myx_agent.upgrade import UpgradeMethods

_READY_FD = "MYX_READY_FD"
_FOLLOWERS_LEAVE_S = 0.7
_SWEEP_INTERVAL_S = 3600.0
_log = logging.getLogger("myx_agent")


async def run(config: Config, path: Path) -> None:
    """Serve until SIGTERM or SIGINT, with a configuration that was read from `path`.

    Commands and their supervisor run on. Raises OSError, CertificateError.
    """
    ready_fd = _take_ready_fd()
    tls.ensure_certificate(config)
    identity = tls.Identity(config)
    listener = bind(config.bind_address, config.rpc_port)
    with contextlib.ExitStack() as stack:
        stack.callback(listener.close)
        spool = Path(config.spool_dir)
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        nonces = Nonces(spool / "nonces", 2 * config.signature_tolerance_s)
        nonces.load(time.time())
        stack.callback(nonces.close)
        watches = Watches()
        stack.callback(watches.close)
        supervisor = Supervisor(config)
        try:
            await supervisor.start()
            authenticator = Authenticator(config, nonces)
            files = FileMethods(config)
            starter = Starter(supervisor)
            methods = Methods(config, supervisor, starter, watches)
            dispatcher = Dispatcher(config.max_batch)
            providers = (
                methods,
                files,
                PlaybookMethods(config, supervisor, starter, watches),
                RotationMethods(path, config, authenticator.keyring, identity),
                UpgradeMethods(config, supervisor.programs),
            )
            register(dispatcher, providers)
            stream = LogStream(methods, watches)
            doorman = app.Doorman(config, authenticator, Throttle(longest_s=config.refusal_delay_s))
            http = type("AgentHttp", (QuietHttp,), {"log_paths": staticmethod(doorman.is_log_path)})
            server = make_server(app.build(doorman, dispatcher, stream), identity, http)

            stopping = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stopping.set)
            serving = asyncio.create_task(server.serve(sockets=[listener]), name="server")
            listening = asyncio.create_task(server.listening.wait(), name="listening")
            await asyncio.wait([serving, listening], return_when=asyncio.FIRST_COMPLETED)
            _log.info("myx-agent %s serves on port %d", __version__, config.rpc_port)
            _notify_ready(ready_fd)
            await _sweep_until(stopping, files)
            watches.stop()
            await stream.stop(_FOLLOWERS_LEAVE_S)
            server.stop()
            await serving
        finally:
            await supervisor.stop()


async def _sweep_until(stopping: asyncio.Event, files: FileMethods) -> None:
    """Remove what was abandoned, now and then, until it is time to stop."""
    while not stopping.is_set():
        with contextlib.suppress(OSError):
            await asyncio.to_thread(files.sweep)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SWEEP_INTERVAL_S):
                await stopping.wait()


def _take_ready_fd() -> int | None:
    """The descriptor of who waits for us, kept from our children."""
    number = os.environ.pop(_READY_FD, "")
    with contextlib.suppress(OSError):
        if number.isdigit():
            os.set_inheritable(int(number), False)
            return int(number)
    return None


def _notify_ready(fd: int | None) -> None:
    """Tell who started us, when they asked for it, that requests are answered now."""
    if fd is not None:
        with contextlib.suppress(OSError):
            os.write(fd, b"READY\n")
            os.close(fd)
