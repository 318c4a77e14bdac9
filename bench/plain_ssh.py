"""The yardstick: an sshd of our own on loopback, called by OpenSSH's client, fresh and multiplexed."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class PlainSsh:
    """Commands through `ssh host`; `fresh` opens a connection each time, `mux` shares an open one."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        common = [
            "-F",
            "none",
            "-p",
            str(port),
            "-i",
            str(folder / "id"),
            "-o",
            f"UserKnownHostsFile={folder / 'known'}",
        ]
        common += ["-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
        control = ["-o", f"ControlPath={folder / 'mux'}"]
        self.fresh = ["ssh", *common, "-o", "ControlPath=none", "127.0.0.1"]
        self.mux = ["ssh", *common, *control, "127.0.0.1"]
        self._master = [
            "ssh",
            *common,
            *control,
            "-o",
            "ControlMaster=yes",
            "-o",
            "ControlPersist=600",
            "127.0.0.1",
            "true",
        ]
        self._exit = ["ssh", *common, *control, "-O", "exit", "127.0.0.1"]

    def open_master(self) -> None:
        """Open the shared connection."""
        subprocess.run(self._master, check=True, timeout=30)

    def close_master(self) -> None:
        """Close the shared connection."""
        subprocess.run(self._exit, check=False, timeout=30, stderr=subprocess.DEVNULL)


def run_s(command: list[str]) -> float:
    """Seconds that a command takes to its end."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    return time.perf_counter() - begin


def first_byte_s(command: list[str]) -> float:
    """Seconds until a command's first byte of output."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        os.read(process.stdout.fileno(), 1)
        taken = time.perf_counter() - begin
        process.stdout.read()
    return taken


def read_all_s(command: list[str]) -> tuple[float, int]:
    """Seconds and bytes of a command's whole output."""
    begin, size = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        while data := os.read(process.stdout.fileno(), 1 << 20):
            size += len(data)
    return time.perf_counter() - begin, size


def line_lags_s(command: list[str]) -> list[float]:
    """Arrival minus printed time of each line of a command that prints `time.time()` first on each line."""
    lags, rest = [], b""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        while data := os.read(process.stdout.fileno(), 1 << 16):
            now = time.time()
            *lines, rest = (rest + data).split(b"\n")
            lags += [now - float(line.split()[0]) for line in lines]
    return lags


# As many as one sshd takes.
_ADDRESSES = 16


@contextmanager
def plain_ssh(more_addresses: Sequence[str] = ()) -> Iterator[PlainSsh | None]:
    """A running sshd with keys of its own, also on more addresses; None where there is none or no right to run it."""
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(sshd).exists() or os.geteuid() != 0:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="myx-bench-ssh-") as name:
        folder = Path(name)
        for key in ("host", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True, timeout=30)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        Path("/run/sshd").mkdir(exist_ok=True)
        options = {
            "Port": port,
            "HostKey": folder / "host",
            "AuthorizedKeysFile": folder / "id.pub",
            "StrictModes": "no",
            "PidFile": "none",
            "UsePAM": "no",
            "PermitRootLogin": "yes",
            # bash would read ~/.bashrc for each command (0.1 s and more on some hosts): not ssh's cost.
            "SetEnv": "SHLVL=2",
            "MaxStartups": "100",
            "MaxSessions": "200",
        }
        config = folder / "sshd_config"
        config.write_text("".join(f"{key} {value}\n" for key, value in options.items()))
        addresses = ["127.0.0.1", *more_addresses]
        servers = []
        for first in range(0, len(addresses), _ADDRESSES):
            words = [f"-oListenAddress={address}" for address in addresses[first : first + _ADDRESSES]]
            servers.append(subprocess.Popen([sshd, "-D", "-f", config, *words], stderr=subprocess.DEVNULL))
        ssh = PlainSsh(folder, port)
        try:
            for address in addresses[::_ADDRESSES]:
                _wait_for(address, port)
            ssh.open_master()
            yield ssh
            ssh.close_master()
        finally:
            for server in servers:
                server.terminate()
            for server in servers:
                server.wait(10)


def _wait_for(address: str, port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.05)
