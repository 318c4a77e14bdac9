"""All hosts of a test process."""

import contextlib
import itertools
import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from myx_testkit.hosts import cgroups
from myx_testkit.hosts.accounts import PASSPHRASE
from myx_testkit.hosts.guest import remove_propagation
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.locks import locked, try_lock
from myx_testkit.hosts.mounts import unmount
from myx_testkit.hosts.network import Cable, Network, interfaces, remove_network
from myx_testkit.hosts.roots import SUITE, ensure_layers, store

AT_ONCE = 4


class HostLab:
    """Gives hosts. Opening it makes the trees where they are missing, and sweeps what dead test processes left."""

    def __init__(self, folder: Path | None = None) -> None:
        self.store = folder or store()
        self.name = str(os.getpid())
        self.folder = self.store / "labs" / self.name
        self.key, self.locked_key, self.other_key = (self.store / name for name in ("id", "id-locked", "id-other"))
        self.passphrase = PASSPHRASE
        self._alive: int | None = None
        self._hosts: list[Host] = []
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make ready: keys, trees, network."""
        self.store.mkdir(parents=True, exist_ok=True)
        ensure_layers(self.store)
        with locked(self.store / "labs.lock"):
            sweep(self.store)
            self.folder.mkdir(parents=True)
            self._alive = try_lock(self.folder / "alive")
            self.network = Network(self.name)
            self.network.up()
        self._addresses = self.network.addresses()

    @property
    def gateway(self) -> str:
        """The address of this machine as the hosts see it."""
        return self.network.gateway

    def host(
        self,
        name: str = "",
        *,
        python: bool = True,
        network: bool = True,
        disk_mb: int = 0,
        packages: Sequence[str] = (),
        suite: str = SUITE,
        containers: bool = False,
    ) -> Host:
        """A fresh host that answers on SSH.

        Without Python, without a way to the outside (`network=False`), with a disk of that size (it can be filled),
        with Debian packages baked in (cached), of another Debian, or able to run containers (bring packages=("podman",
        "crun", …) of suite="trixie"; needs much more of this machine).
        """
        with self._lock:
            number, address = next(self._numbers), next(self._addresses)
        layers = ensure_layers(self.store, suite=suite, packages=packages)
        made = Host(
            self.folder / "hosts" / str(number),
            name or f"host{number}",
            f"myx{self.name}-{number}",
            Cable(self.network, number, address),
            layers,
            self.key,
            python=python,
            network=network,
            disk_mb=disk_mb,
            containers=containers,
        )
        self._hosts.append(made)
        try:
            made.create()
        except BaseException:
            made.close()
            raise
        return made

    def hosts(self, number: int, **options: bool | int) -> list[Host]:
        """So many fresh hosts, booted in parallel."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            waiting = [pool.submit(self.host, **options) for _ in range(number)]  # type: ignore[arg-type]
        return [future.result() for future in waiting]

    def close(self) -> None:
        """Remove all hosts and the network."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(Host.close, self._hosts))
        self._hosts.clear()
        self.network.down()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None


def sweep(folder: Path) -> list[str]:
    """Remove what labs of dead processes left here and in the kernel; their names. Only for the holder of labs.lock."""
    swept = []
    for lab in sorted((folder / "labs").glob("*/")):
        handle = try_lock(lab / "alive")
        if handle is not None:
            _remove_lab(lab)
            os.close(handle)
            swept.append(lab.name)
    for interface in interfaces():
        lab_name = interface.removeprefix("myx").removesuffix("br")
        if interface == f"myx{lab_name}br" and lab_name.isdigit() and not Path(f"/proc/{lab_name}").exists():
            remove_network(lab_name)
            swept.append(lab_name)
    return swept


def _remove_lab(lab: Path) -> None:
    for host in sorted((lab / "hosts").glob("*/")):
        groups: list[Path] = []
        with contextlib.suppress(FileNotFoundError):
            groups = [Path(line) for line in (host / "groups").read_text().split()]
        existing = [group for group in groups if group.exists()]
        cgroups.kill(existing)
        cgroups.remove(existing)
        unmount(host / "root")
        unmount(host / "disk")
        remove_propagation(f"myx{lab.name}-{host.name}")
    remove_network(lab.name)
    shutil.rmtree(lab, ignore_errors=True)
