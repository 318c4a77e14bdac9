"""A slow, lossy wire in place of a cable, in user space: kernels without netem are common."""

import contextlib
import heapq
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

from myx_testkit.hosts.network import Cable
from myx_testkit.hosts.run import run
from myx_testkit.wait import until_sync

ALL_PROTOCOLS = 3
SOL_PACKET = 263
ADD_MEMBERSHIP = 1
PROMISCUOUS = 1
OWN_PACKET = 4
BUFFER_BYTES = 4 << 20
BATCH = 64
READY = "carries"


class Wire:
    """A program between the host's end and the bridge."""

    def __init__(self, cable: Cable, log: Path) -> None:
        self.cable, self.log = cable, log
        self.near, self.far = (cable.outer.replace("v", end) for end in ("wa", "wb"))
        self._process: subprocess.Popen[bytes] | None = None

    def splice(self, python: str, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
        """Put it in."""
        cable, mtu = self.cable, self.cable.network.mtu
        run(["ip", "link", "add", self.near, "mtu", mtu, "type", "veth", "peer", "name", self.far, "mtu", mtu])
        run(["ip", "link", "set", cable.outer, "nomaster"])
        run(["ip", "link", "set", self.near, "master", cable.network.bridge, "up"])
        run(["ip", "link", "set", self.far, "up"])
        plain = ["tx", "off", "gso", "off", "tso", "off", "gro", "off"]  # whole packets with their checksums
        for interface in (self.near, self.far, cable.outer):
            run(["ethtool", "-K", interface, *plain], check=False)
        run([*cable.inside, "ethtool", "-K", "eth0", *plain[:-2]], check=False)
        argv = [python, "-m", __name__, cable.outer, self.far, str(delay_ms), str(jitter_ms), str(loss_percent)]
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        until_sync(lambda: READY in self.log.read_text(), what="the wire carries")

    def remove(self) -> None:
        """The cable as it was."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
        run(["ip", "link", "del", self.near], check=False)
        run(["ip", "link", "set", self.cable.outer, "master", self.cable.network.bridge], check=False)


def carry(one: str, other: str, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
    """Take packets from either interface to the other, late and not all of them, for ever."""
    a, b = _tap(one), _tap(other)
    print(READY, flush=True)
    peer, order = {a: b, b: a}, count()
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for tap in select.select([a, b], [], [], pause)[0]:
            for packet in _packets(tap):
                if random.random() * 100 >= loss_percent:
                    due = time.monotonic() + max(0.0, random.gauss(delay_ms, jitter_ms)) / 1000
                    heapq.heappush(waiting, (due, next(order), peer[tap], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, tap, packet = heapq.heappop(waiting)
            with contextlib.suppress(OSError):
                tap.send(packet)


def _tap(interface: str) -> socket.socket:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
    tap.bind((interface, 0))
    tap.setblocking(False)
    everything = struct.pack("IHH8s", socket.if_nametoindex(interface), PROMISCUOUS, 0, b"")
    tap.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, everything)
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    return tap


def _packets(tap: socket.socket) -> list[bytes]:
    """Some of those that came in."""
    found = []
    for _ in range(BATCH):
        try:
            packet, origin = tap.recvfrom(65535)
        except OSError:
            break
        if origin[2] != OWN_PACKET:
            found.append(packet)
    return found


if __name__ == "__main__":
    carry(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:6]))
