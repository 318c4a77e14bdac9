"""One booted container: systemd-nspawn, kept alive over reboots."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from myx_testkit.hosts import cgroups
from myx_testkit.hosts.roots import INIT
from myx_testkit.wait import until_sync

WANTS_REBOOT = 133
OFF_WITHIN_S = 20.0
STARTS_WITHIN_S = 20.0
CONTAINER_CALLS = ("add_key", "keyctl", "request_key", "bpf")
ENTER = """for group in $MYX_ENTER; do echo $$ > $group/cgroup.procs; done; unset MYX_ENTER
exec setpriv --pdeathsig TERM "$@\""""


class Guest:
    """systemd as PID 1 of its own name spaces on the tree `root`; it dies with the process that started it."""

    def __init__(
        self, machine: str, hostname: str, root: Path, namespace: str, console: Path, *, containers: Path | None = None
    ) -> None:
        self.machine, self.root, self.console, self.containers = machine, root, console, containers
        self.groups = cgroups.paths(machine, containers=containers is not None)
        self._argv = self._command_line(hostname, namespace)
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._stopping = False

    def _command_line(self, hostname: str, namespace: str) -> list[str]:
        words = ["systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine={self.machine}"]
        words += [f"--hostname={hostname}", "--register=no", "--keep-unit", "--resolv-conf=off", "--console=pipe"]
        words += ["--kill-signal=SIGRTMIN+3", f"--network-namespace-path=/run/netns/{namespace}"]
        words += ["--bind-ro=/etc/ssl/certs"]
        if self.containers is not None:
            words += ["--setenv=MYX_CGROUPS=" + " ".join(cgroups.FOR_CONTAINERS), "--capability=all"]
            words += [f"--bind={self.containers}:/var/lib/containers"]
            words += [f"--system-call-filter={name}" for name in CONTAINER_CALLS]
        return [*words, INIT]

    @property
    def is_running(self) -> bool:
        """Whether the machine has power."""
        return self._keeper is not None and self._keeper.is_alive()

    def start(self) -> None:
        """Power on; returns when its PID 1 is there."""
        assert not self.is_running, f"{self.machine} runs already"
        cgroups.create(self.groups)
        self._stopping, self._nspawn = False, None
        self._keeper = threading.Thread(target=self._keep, name=self.machine, daemon=True)
        self._keeper.start()
        until_sync(lambda: self.init_pid or not self.is_running, STARTS_WITHIN_S, what=f"{self.machine} has a PID 1")
        assert self.is_running, f"{self.machine} did not start\n{self.said()}"

    def _keep(self) -> None:
        """Run it, again after a reboot. This thread lives as long: the kernel ends the guest with it."""
        environment = {"PATH": os.environ["PATH"], "MYX_ENTER": " ".join(map(str, self.groups))}
        if self.containers is not None:
            environment["SYSTEMD_NSPAWN_API_VFS_WRITABLE"] = "1"
        while not self._stopping:
            with self.console.open("ab") as output:
                self._nspawn = subprocess.Popen(
                    ["sh", "-c", ENTER, "sh", *self._argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    start_new_session=True,
                )
            if self._nspawn.wait() != WANTS_REBOOT:
                return

    @property
    def init_pid(self) -> int:
        """The guest's PID 1 as this machine sees it; 0 when there is none."""
        if self._nspawn is None or self._nspawn.poll() is not None:
            return 0
        with contextlib.suppress(OSError, ValueError):
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
            for child in map(int, children):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return child
        return 0

    def power_off(self) -> None:
        """A clean shutdown."""
        if self._nspawn is not None and self.is_running:
            self._stopping = True
            self._nspawn.send_signal(signal.SIGTERM)
            self._wait_off()

    def power_cut(self) -> None:
        """Everything in it is gone at once."""
        self._stopping = True
        if pid := self.init_pid:
            os.kill(pid, signal.SIGKILL)  # never nspawn itself: its guest would live on
        cgroups.kill([group for group in self.groups if group.exists()])
        self._wait_off()

    def _wait_off(self) -> None:
        if self._keeper is not None:
            self._keeper.join(OFF_WITHIN_S)
            assert not self._keeper.is_alive(), f"{self.machine} is not off after {OFF_WITHIN_S} s\n{self.said()}"
        cgroups.kill([group for group in self.groups if group.exists()])

    def remove(self) -> None:
        """Cut the power where it is on, and remove the traces."""
        self.power_cut()
        cgroups.remove(self.groups)
        remove_propagation(self.machine)

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs this one inside, as root, whatever its network does."""
        pid = self.init_pid
        assert pid, f"{self.machine} is off"
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        spaces = ["nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
        return [*spaces, *clean, "LANG=C.UTF-8", *argv]

    def said(self) -> str:
        """The end of its console."""
        with contextlib.suppress(FileNotFoundError):
            return self.console.read_bytes()[-4000:].decode(errors="replace")
        return ""


def remove_propagation(machine: str) -> None:
    """Remove the folder that nspawn leaves where /run is on a disk."""
    with contextlib.suppress(OSError):
        Path(f"/run/systemd/nspawn/propagate/{machine}").rmdir()
