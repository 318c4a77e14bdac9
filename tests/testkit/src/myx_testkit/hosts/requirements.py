"""What the machine must have for real hosts."""

import os
import shutil

TOOLS = {
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "ssh-keygen": "openssh-client",
    "setpriv": "util-linux",
    "nsenter": "util-linux",
}


def missing() -> str:
    """Why there can be no hosts here, with the cure; empty when there can."""
    if os.geteuid() != 0:
        return "real hosts need root: they have their own mounts, network and control groups"
    packages = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    return f"real hosts need programs that are not here: apt-get install {' '.join(packages)}" if packages else ""
