"""The hosts' network: a bridge of this test process, a namespace and a cable for each host."""

import contextlib
import ipaddress
import json
import os
from collections.abc import Iterator
from pathlib import Path

from myx_testkit.hosts.run import run

NETNS = Path("/run/netns")
FIRST_HOST = 10


def bridge_name(lab: str) -> str:
    """The interface that all hosts of a lab hang on (at most 15 characters)."""
    return f"myx{lab}br"


def nft_apply(script: str, *prefix: str) -> None:
    """Load rules."""
    run([*prefix, "nft", "-f", "-"], stdin=script)


class Network:
    """A private /24; the test process is `gateway` in it. Hosts reach the outside through it unless told otherwise."""

    def __init__(self, lab: str) -> None:
        self.lab, self.bridge, self.table = lab, bridge_name(lab), f"myx{lab}"
        self.uplink, self.mtu = _way_out()
        self.subnet = _free_subnet()
        self.gateway = str(self.subnet[1])

    def up(self) -> None:
        """Make bridge, address translation and the list of hosts that are kept from the outside."""
        run(["ip", "link", "add", self.bridge, "type", "bridge"])
        run(["ip", "link", "set", self.bridge, "mtu", self.mtu, "up"])
        run(["ip", "addr", "add", f"{self.gateway}/24", "dev", self.bridge])
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        out = f'oifname "{self.uplink}"' if self.uplink else f'oifname != "{self.bridge}"'
        nft_apply(
            f"table ip {self.table} {{\n"
            " set offline { type ipv4_addr; }\n"
            f" chain forward {{ type filter hook forward priority -10;\n"
            f' iifname "{self.bridge}" ip saddr @offline drop\n }}\n'
            f" chain post {{ type nat hook postrouting priority 100;\n ip saddr {self.subnet} {out} masquerade\n }}\n"
            "}\n"
        )

    def down(self) -> None:
        """Remove all of it."""
        remove_network(self.lab)

    def addresses(self) -> Iterator[str]:
        """Those that hosts may have."""
        return map(str, list(self.subnet.hosts())[FIRST_HOST - 1 :])

    def set_offline(self, address: str, *, on: bool) -> None:
        """Keep a host from everything but this network, or no longer."""
        run(["nft", "add" if on else "delete", "element", "ip", self.table, "offline", f"{{ {address} }}"], check=on)


class Cable:
    """A host's namespace with its `eth0`, and the other end on the bridge."""

    def __init__(self, network: Network, number: int, address: str) -> None:
        self.network, self.address = network, address
        self.namespace = f"myx{network.lab}-{number}"
        self.outer = f"myx{network.lab}v{number}"
        self.table = f"myx{network.lab}_{number}"

    @property
    def inside(self) -> list[str]:
        """Words to put before a command line: run it in the host's network."""
        return ["ip", "netns", "exec", self.namespace]

    def plug(self) -> None:
        """Make it."""
        name, mtu = self.namespace, self.network.mtu
        run(["ip", "netns", "add", name])
        end = ["type", "veth", "peer", "name", "eth0", "mtu", mtu, "netns", name]
        run(["ip", "link", "add", self.outer, "mtu", mtu, *end])
        run(["ip", "link", "set", self.outer, "master", self.network.bridge, "up"])
        run(["ip", "-n", name, "link", "set", "lo", "up"])
        run(["ip", "-n", name, "addr", "add", f"{self.address}/24", "dev", "eth0"])
        run(["ip", "-n", name, "link", "set", "eth0", "up"])
        run(["ip", "-n", name, "route", "add", "default", "via", self.network.gateway])

    def unplug(self) -> None:
        """Remove it."""
        self.pass_all()
        run(["ip", "netns", "del", self.namespace], check=False)
        run(["ip", "link", "del", self.outer], check=False)

    def set_carrier(self, *, on: bool) -> None:
        """Pull or plug the cable; the host keeps its routes."""
        run(["ip", "link", "set", self.outer, "up" if on else "down"])

    def drop(self, *, to_host: bool, from_host: bool, lossy_percent: int = 100) -> None:
        """Lose packets on the way, in one direction or both, all or some."""
        self.pass_all()
        some = "" if lossy_percent >= 100 else f"numgen random mod 100 < {lossy_percent} "
        inward = f' oifname "{self.outer}" {some}drop\n' if to_host else ""
        outward = f' iifname "{self.outer}" {some}drop\n' if from_host else ""
        nft_apply(
            f"table bridge {self.table} {{\n"
            f" chain f {{ type filter hook prerouting priority -200;\n{outward} }}\n"
            f" chain o {{ type filter hook postrouting priority 200;\n{inward} }}\n}}\n"
        )

    def pass_all(self) -> None:
        """No longer lose packets."""
        run(["nft", "delete", "table", "bridge", self.table], check=False)

    def firewall(self, rules: list[str]) -> None:
        """Rules in the host's own `input` chain, in place of those before."""
        run([*self.inside, "nft", "delete", "table", "inet", "firewall"], check=False)
        if rules:
            lines = "".join(f" {rule}\n" for rule in rules)
            nft_apply(
                f"table inet firewall {{\n chain input {{ type filter hook input priority 0;\n{lines} }}\n}}\n",
                *self.inside,
            )


def remove_network(lab: str) -> None:
    """Remove what carries the name of this lab: namespaces, interfaces, rules."""
    for path in NETNS.glob(f"myx{lab}-*"):
        run(["ip", "netns", "del", path.name], check=False)
    for interface in interfaces():
        if interface.startswith((f"myx{lab}v", f"myx{lab}w", bridge_name(lab))):
            run(["ip", "link", "del", interface], check=False)
    listed = json.loads(run(["nft", "--json", "list", "tables"]).stdout)["nftables"]
    for table in (entry["table"] for entry in listed if "table" in entry):
        if table["name"] == f"myx{lab}" or table["name"].startswith(f"myx{lab}_"):
            run(["nft", "delete", "table", table["family"], table["name"]], check=False)


def interfaces() -> list[str]:
    """The names of this machine's network interfaces."""
    return [path.name for path in Path("/sys/class/net").iterdir()]


def _way_out() -> tuple[str, str]:
    """The interface of the default route (empty: none) and the MTU that fits it."""
    for route in json.loads(run(["ip", "-json", "-4", "route", "show", "default"]).stdout or "[]"):
        with contextlib.suppress(OSError):
            return route["dev"], Path(f"/sys/class/net/{route['dev']}/mtu").read_text().strip()
    return "", "1400"


def _free_subnet() -> ipaddress.IPv4Network:
    """A network that no route of this machine knows; each process begins to look elsewhere."""
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]).stdout or "[]")
    taken = [ipaddress.ip_network(_padded(route["dst"]), strict=False) for route in routes if route["dst"] != "default"]
    for step in range(100 * 256):
        number = (os.getpid() + step) % (100 * 256)
        candidate = ipaddress.IPv4Network(f"10.{100 + number // 256}.{number % 256}.0/24")
        if not any(candidate.overlaps(other) for other in taken if isinstance(other, ipaddress.IPv4Network)):
            return candidate
    raise AssertionError("every network in 10.100.0.0 to 10.199.255.0 is taken")


def _padded(destination: str) -> str:
    address, _, length = destination.partition("/")
    octets = address.split(".")
    return ".".join(octets + ["0"] * (4 - len(octets))) + (f"/{length}" if length else "")
