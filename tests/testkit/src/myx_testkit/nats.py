"""A real NATS server with mutual TLS for tests."""

from pathlib import Path

from myx_standalone.nats import STOP_SIGNAL, Nats, is_listening
from myx_testkit.ports import free_port
from myx_testkit.process import Program
from myx_testkit.wait import until_sync


class NatsServer:
    """`url` is `tls://127.0.0.1:<port>`; clients need a certificate of `tls_dir`. It keeps port and JetStream files."""

    def __init__(self, folder: Path, tls_dir: Path) -> None:
        self.server = Nats(folder, tls_dir)
        self.tls_dir = tls_dir
        self.port = free_port()
        self.health_port = free_port()
        self.url = f"tls://127.0.0.1:{self.port}"
        self.program = Program("nats", self.server.argv(), folder / "nats.log")

    def start(self) -> None:
        """Start and wait until it greets."""
        self.server.configure(self.port, self.health_port)
        self.program.start()
        until_sync(lambda: is_listening(self.port) or not self.program.is_running(), 10, what="NATS listens")
        assert self.program.is_running(), self.program.output()

    def kill9(self) -> None:
        """SIGKILL."""
        self.program.kill9()

    def stop(self) -> None:
        """A clean stop; also fine when it was killed already."""
        if self.program.is_running():
            self.program.stop(STOP_SIGNAL)

    def restart(self) -> None:
        """Start again after kill9() or stop()."""
        self.start()
