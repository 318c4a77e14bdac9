"""One real host."""

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from myx_testkit.hosts import cgroups, inventory
from myx_testkit.hosts.accounts import ACCOUNTS, Account
from myx_testkit.hosts.guest import Guest
from myx_testkit.hosts.inventory import Inventory
from myx_testkit.hosts.mounts import mount_overlay, mount_small, unmount
from myx_testkit.hosts.network import Cable
from myx_testkit.hosts.run import Failed, run
from myx_testkit.hosts.wire import Wire
from myx_testkit.wait import until_sync

SSH_PORT = 22
ANSWERS_WITHIN_S = 30.0
EXEC_WITHIN_S = 60.0
SSH_OPTIONS = ("BatchMode=yes", "IdentitiesOnly=yes", "ConnectTimeout=10", "KexAlgorithms=curve25519-sha256")
PYTHONS = "usr/bin/python3*"
FILLER = "/var/filler"


class Host:
    """A booted Debian. `address` is its own in the lab's network, `name` its hostname."""

    def __init__(
        self,
        folder: Path,
        name: str,
        machine: str,
        cable: Cable,
        layers: Sequence[Path],
        key: Path,
        *,
        python: bool = True,
        network: bool = True,
        disk_mb: int = 0,
        containers: bool = False,
    ) -> None:
        self.folder, self.name, self.cable, self.layers, self.key = folder, name, cable, list(layers), key
        self.address = cable.address
        self.accounts = ACCOUNTS
        self.root = folder / "root"
        self.known_hosts = folder / "known_hosts"
        self._disk, self._disk_mb = folder / "disk", disk_mb
        self._python, self._network = python, network
        self._rules: list[str] = []
        self._wire: Wire | None = None
        storage = folder / "containers" if containers else None
        self.guest = Guest(machine, name, self.root, cable.namespace, folder / "console", containers=storage)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def create(self) -> None:
        """Make its disk and cable, and boot. It answers on SSH then."""
        self.folder.mkdir(parents=True)
        if self.guest.containers is not None:
            self.guest.containers.mkdir()
        (self.folder / "groups").write_text("\n".join(map(str, self.guest.groups)))
        self.cable.plug()
        self.cable.network.set_offline(self.address, on=not self._network)
        if self._disk_mb:
            mount_small(self._disk_mb, self._disk)
        self._furnish()
        self.boot()

    def close(self) -> None:
        """Cut its power and remove all of it; may be repeated."""
        self.full_speed()
        self.guest.remove()
        unmount(self.root)
        unmount(self._disk)
        self.cable.network.set_offline(self.address, on=False)
        self.cable.unplug()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _furnish(self) -> None:
        """A fresh disk: what makes this host another than the next."""
        self._mount()
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        (self.root / "etc/resolv.conf").write_text(Path("/etc/resolv.conf").read_text())
        self._make_host_key()
        if not self._python:
            self._remove_pythons()

    def _mount(self) -> None:
        mount_overlay(self.layers, self._disk / "upper", self._disk / "work", self.root)

    # What an operator knows

    @property
    def host_key(self) -> str:
        """The public half of its SSH host key: type and base64."""
        return " ".join((self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        """SHA256:… of its host key."""
        return run(["ssh-keygen", "-l", "-f", self.root / "etc/ssh/ssh_host_ed25519_key.pub"]).stdout.split()[1]

    def account(self, name: str) -> Account:
        """A login with its password."""
        return self.accounts[name]

    # Reaching it

    def exec(
        self, command: str, *, stdin: str | None = None, timeout_s: float = EXEC_WITHIN_S, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell line inside as root, without the network. Failed: its exit status is not 0, where checked."""
        return run(self.guest.enter(["sh", "-c", command]), stdin=stdin, timeout_s=timeout_s, check=check)

    def ssh(
        self, command: str, *, user: str = "root", timeout_s: float = EXEC_WITHIN_S, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell line over SSH with the lab's key. Failed: its exit status is not 0, where checked."""
        options = [word for option in SSH_OPTIONS for word in ("-o", option)]
        trust = ["-o", f"UserKnownHostsFile={self.known_hosts}", "-i", str(self.key), "-F", "none"]
        argv = ["ssh", *options, *trust, f"{user}@{self.address}", command]
        return run(argv, timeout_s=timeout_s, check=check)

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Put a file of root's there."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    def is_open(self, port: int = SSH_PORT, timeout_s: float = 1.0) -> bool:
        """Whether something takes connections on this port."""
        try:
            with socket.create_connection((self.address, port), timeout_s):
                return True
        except OSError:
            return False

    def greets(self) -> bool:
        """Whether sshd says who it is."""
        with contextlib.suppress(OSError), socket.create_connection((self.address, SSH_PORT), 1) as connection:
            connection.settimeout(1)
            return connection.recv(4) == b"SSH-"
        return False

    # Power

    def boot(self) -> None:
        """Power on, and wait until it greets on SSH (not when its cable or port is cut)."""
        self.guest.start()
        self.wait_for_ssh()

    def wait_for_ssh(self) -> None:
        """Wait until it greets."""
        self._wait(self.greets, "greets on SSH")

    def wait_until_settled(self) -> None:
        """Wait until systemd has started all it wants to."""
        self._wait(
            lambda: self.exec("systemctl is-system-running", check=False).stdout.strip() in {"running", "degraded"},
            "has settled",
        )

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        try:
            until_sync(condition, ANSWERS_WITHIN_S, interval_s=0.02, what=f"{self.name} {what}")
        except AssertionError as late:
            raise Failed(f"{late}\n{self.guest.said()}") from None

    def power_off(self) -> None:
        """A clean shutdown; returns when it is off."""
        self.guest.power_off()

    def power_cut(self) -> None:
        """Pull the plug; the disk stays as it is."""
        self.guest.power_cut()

    def reboot(self) -> None:
        """A clean reboot from inside; returns when it greets again."""
        before = self.boot_id
        self.exec("systemctl reboot", check=False)
        self._wait(lambda: bool(self.guest.init_pid) and self.boot_id not in {"", before}, "has booted again")
        self.wait_for_ssh()

    @property
    def boot_id(self) -> str:
        """Another one after each boot (the machine's own never changes here); empty while there is none."""
        pid = self.guest.init_pid
        with contextlib.suppress(OSError):
            return f"{pid}-{Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[19]}" if pid else ""
        return ""

    def freeze(self) -> None:
        """Stop all of it in its tracks; its connections stay open."""
        cgroups.freeze(self.guest.groups, on=True)

    def thaw(self) -> None:
        """Let it go on."""
        cgroups.freeze(self.guest.groups, on=False)

    # Network

    def cut(self, *, to_host: bool = True, from_host: bool = True) -> None:
        """Pull its cable, or lose the packets of one direction only."""
        if to_host and from_host:
            self.cable.set_carrier(on=False)
        else:
            self.cable.drop(to_host=to_host, from_host=from_host)

    def heal(self) -> None:
        """Undo `cut`."""
        self.cable.pass_all()
        self.cable.set_carrier(on=True)

    def block_port(self, port: int, *, reject: bool = False, except_from: str = "") -> None:
        """A firewall on it: packets to this port vanish (or are refused), but for one address where given."""
        others = f"ip saddr != {except_from} " if except_from else ""
        verdict = "reject with tcp reset" if reject else "drop"
        self._rules.append(f"{others}tcp dport {port} {verdict}")
        self.cable.firewall(self._rules)

    def block_all_but(self, *ports: int) -> None:
        """A firewall on it that lets only these ports in."""
        listed = ", ".join(map(str, ports))
        self._rules += [f"ct state new tcp dport != {{ {listed} }} drop"]
        self.cable.firewall(self._rules)

    def unblock_ports(self) -> None:
        """No firewall any more."""
        self._rules = []
        self.cable.firewall([])

    def slow(self, delay_ms: float, *, jitter_ms: float = 0.0, loss_percent: float = 0.0) -> None:
        """Put a slow, lossy wire between it and the others (each way; inexact under load, it is a small program)."""
        self.full_speed()
        self._wire = Wire(self.cable, self.folder / "wire.log")
        self._wire.splice(sys.executable, delay_ms, jitter_ms, loss_percent)

    def full_speed(self) -> None:
        """Undo `slow`."""
        if self._wire is not None:
            self._wire.remove()
            self._wire = None

    def no_internet(self) -> None:
        """It reaches its own network only."""
        self.cable.network.set_offline(self.address, on=True)

    def internet(self) -> None:
        """It reaches what this machine reaches."""
        self.cable.network.set_offline(self.address, on=False)

    # Its disk

    def fill_disk(self, leave_mb: int = 0) -> None:
        """Leave so little free; only on hosts made with `disk_mb`."""
        assert self._disk_mb, "a host whose disk can be filled is made with disk_mb=…"
        free = shutil.disk_usage(self.root).free - leave_mb * 1024 * 1024
        if free > 0:
            self.exec(f"fallocate -l {free} {FILLER} || head -c {free} /dev/zero > {FILLER}", check=False)

    def free_disk(self) -> None:
        """Undo `fill_disk`."""
        self.exec(f"rm -f {FILLER}")

    def save(self) -> None:
        """Keep its disk as it is now for `restore`; it must be off."""
        assert not self.guest.is_running, "power it off first"
        unmount(self.root)
        shutil.rmtree(self.folder / "saved", ignore_errors=True)
        run(["cp", "-a", self._disk / "upper", self.folder / "saved"])
        self._mount()

    def restore(self) -> None:
        """Cut the power, and boot with the disk as saved, or as it was when the host was made (with a new host key)."""
        self.power_cut()
        unmount(self.root)
        for name in ("upper", "work"):
            shutil.rmtree(self._disk / name, ignore_errors=True)
        if (self.folder / "saved").exists():
            run(["cp", "-a", self.folder / "saved", self._disk / "upper"])
            self._mount()
            self._trust()
        else:
            self._furnish()
        self.boot()

    def inventory(self) -> Inventory:
        """Files, units and accounts as they are now."""
        return inventory.take(lambda line: self.exec(line, check=False).stdout)

    # Faults of another kind

    def change_host_key(self) -> None:
        """A new SSH host key, as after a reinstallation (or somebody in between)."""
        self._make_host_key()
        if self.guest.is_running:
            self.exec("systemctl restart ssh")
            self.wait_for_ssh()

    def _make_host_key(self) -> None:
        path = self.root / "etc/ssh/ssh_host_ed25519_key"
        for old in (path, path.with_suffix(".pub")):
            old.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", path])
        self._trust()

    def _trust(self) -> None:
        """What `ssh` here takes for its key."""
        self.known_hosts.write_text(f"{self.address} {self.host_key}\n")

    def remove_python(self) -> None:
        """No Python any more; its libraries stay."""
        self._remove_pythons()

    def _remove_pythons(self) -> None:
        for program in self.root.glob(PYTHONS):
            program.unlink()

    def give_python(self) -> None:
        """Python as the base has it."""
        for program in self.layers[-1].glob(PYTHONS):
            target = self.root / program.relative_to(self.layers[-1])
            target.unlink(missing_ok=True)
            shutil.copy2(program, target, follow_symlinks=False)
