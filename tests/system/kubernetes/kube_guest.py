"""A host with podman 5 that stands in for a cluster's node: images are built there, and manifests played."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import yaml
from kube_convert import Object, handed_over, playable

from myx_standalone import nats
from myx_testkit.bundle import CHECKOUT, agent_bundle
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab
from myx_testkit.hosts.mounts import mount_overlay, unmount
from myx_testkit.hosts.roots import ensure_layers

SUITE = "trixie"
PACKAGES = ("podman", "crun", "netavark", "aardvark-dns", "catatonit", "nftables")
BASE_PACKAGES = ("python3-venv",)
POSTGRES_PACKAGES = ("postgresql-17",)
CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=20000:20000", "nproc=16384:16384"]
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
BASE = "localhost/base:test"
NETWORK = "cluster"
STANDINS = Path(__file__).parent / "standins"
SOURCES = ("constraints.txt", "protos", "kit", "services", "playbooks", "deploy/docker")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.egg-info", "gen", ".venv", "node_modules")
CERTIFICATES = "/etc/ssl/certs"
MEMORY_BYTES = 6 << 30
BUILT_WITHIN_S = 1500
SMALLER = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/cache",
    "var/lib/apt/lists",
    "proc",
    "sys",
    "boot",
)


class KubeGuest:
    """Use: `guest = KubeGuest(lab); guest.start(); guest.build(); guest.play(objects, secrets, "Deployment/nats")`."""

    def __init__(self, lab: HostLab) -> None:
        self.lab = lab

    def start(self) -> None:
        """Boot, with a container network."""
        self.host: Host = self.lab.host("node", suite=SUITE, packages=PACKAGES, containers=True)
        if psutil.virtual_memory().available > MEMORY_BYTES * 2:
            # Layers are very many files: in memory they are made faster, and gone at once.
            for place in ("/var/lib/containers", "/var/tmp"):
                self.host.exec(f"mount -t tmpfs -o size={MEMORY_BYTES},mode=1777 tmpfs {place}")
        self.host.write("/etc/containers/containers.conf.d/50-test.conf", CONTAINERS_CONF)
        self.podman("network", "create", NETWORK)

    def close(self) -> None:
        """All of it is gone afterwards."""
        self.host.close()

    def podman(self, *words: str, stdin: str | None = None, timeout_s: float = 120, check: bool = True) -> Any:
        """Its output. AssertionError: it failed, where that is checked."""
        argv = self.host.guest.enter(["env", "PODMAN_IGNORE_CGROUPSV1_WARNING=1", "podman", *words])
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False, **given)
        assert done.returncode == 0 or not check, f"podman {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    # Images

    def build(self, services: Iterable[str]) -> None:
        """The images of these services, by deploy/docker/build, from wheels."""
        self._import(BASE_PACKAGES, BASE)
        place = self.host.root / "src"
        for source in SOURCES:
            target = place / source
            target.parent.mkdir(parents=True, exist_ok=True)
            if (CHECKOUT / source).is_dir():
                shutil.copytree(CHECKOUT / source, target, ignore=NOT_COPIED)
            else:
                shutil.copy(CHECKOUT / source, target)
        shutil.copytree(agent_bundle(), place / "build/agent-bundle")
        settings = {
            "BASE_IMAGE": BASE,
            "PIP_CERT": f"{CERTIFICATES}/ca-certificates.crt",
            "PIP_INDEX_URL": os.environ.get("PIP_INDEX_URL", ""),
            "BUILD_FLAGS": f"--pull=never --network=host --volume={CERTIFICATES}:{CERTIFICATES}:ro",
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }
        words = [f"{name}={value}" for name, value in settings.items()]
        argv = self.host.guest.enter(["env", *words, "/src/deploy/docker/build", *services])
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILT_WITHIN_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def build_standins(self, postgres: str, nats_server: str) -> None:
        """PostgreSQL and NATS under the names of the official images, which cannot be had without their registry."""
        self._import(POSTGRES_PACKAGES, "localhost/postgres-files")
        shutil.copytree(STANDINS, self.host.root / "standins")
        shutil.copy(nats.binary(), self.host.root / "standins/nats-server")
        for target, image in (("postgres", postgres), ("nats", nats_server)):
            flags = ["--pull=never", "--quiet", f"--file=/standins/{target}.Containerfile", f"--tag={image}"]
            self.podman("build", *flags, "/standins")

    def _import(self, packages: tuple[str, ...], image: str) -> None:
        """A Debian with these packages as an image, without what only a machine needs."""
        folder = self.host.folder / "import"
        layers = ensure_layers(self.lab.store, suite=SUITE, packages=packages)
        mount_overlay(layers, folder / "upper", folder / "work", folder / "root")
        try:
            excluded = [f"--exclude=./{path}/*" for path in SMALLER]
            take = self.host.guest.enter(["podman", "import", "--quiet", "--change", "CMD=/bin/bash", "-", image])
            pack = ["tar", "-C", str(folder / "root"), "-c", *excluded, "."]
            with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
                done = subprocess.run(
                    take, stdin=packing.stdout, capture_output=True, text=True, timeout=180, check=False
                )
            assert (packing.returncode, done.returncode) == (0, 0), done.stderr
        finally:
            unmount(folder / "root")
            shutil.rmtree(folder)

    # Pods

    def give_secrets(self, secrets: Iterable[Object]) -> None:
        """Secrets of the cluster."""
        self.podman("kube", "play", "-", stdin=yaml.safe_dump_all(list(secrets)))

    def play(self, objects: list[Object], name: str, *publish: str) -> str:
        """Start a workload as it was rendered; the name of its (first) container."""
        documents = playable(objects, name)
        workload = documents[-1]
        flags = [f"--network={NETWORK}", "--start=false", *(f"--publish={port}" for port in publish)]
        self.podman("kube", "play", *flags, "-", stdin=yaml.safe_dump_all(documents))
        pod = f"{workload['metadata']['name']}-pod"
        self._hand_over(workload, pod)
        self.podman("pod", "start", pod)
        return pod

    def container(self, pod: str) -> str:
        """The id of the pod's own container."""
        (facts,) = json.loads(self.podman("pod", "inspect", pod))
        (own,) = [c["Id"] for c in facts["Containers"] if c["Id"] != facts["InfraContainerID"]]
        return str(own)

    def wait_done(self, pod: str) -> None:
        """Wait until a Job's pod has done its work."""
        status = self.podman("wait", self.container(pod))
        assert status == "0", self._tail(self.container(pod))

    def memory(self) -> str:
        """What the first process of each container holds, in kB of proportional memory, for the record."""
        lines = []
        for name in self.podman("ps", "--format={{.Names}}").split():
            pid = self.podman("inspect", "--format={{.State.Pid}}", name)
            rolled = self.host.exec(f"cat /proc/{pid}/smaps_rollup", check=False).stdout
            lines += [f"{name} {line}" for line in rolled.splitlines() if line.startswith("Pss:")]
        return "\n".join(lines)

    def said(self) -> str:
        """The last lines of every container, for the message of a failed test."""
        names = self.podman("ps", "--all", "--format={{.Names}}").split()
        tails = [f"== {name}\n{self._tail(name)}" for name in names if "infra" not in name]
        return "\n".join(["", self.podman("ps", "--all"), *tails])

    def _tail(self, name: str) -> str:
        done = subprocess.run(
            self.host.guest.enter(["podman", "logs", "--tail=40", name]), capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def _hand_over(self, workload: Object, pod: str) -> None:
        group = workload["spec"]["template"]["spec"]["securityContext"]["fsGroup"]
        (facts,) = json.loads(self.podman("pod", "inspect", pod))
        ids = [c["Id"] for c in facts["Containers"] if c["Id"] != facts["InfraContainerID"]]
        for container in json.loads(self.podman("container", "inspect", *ids)):
            for mount in container["Mounts"]:
                if mount["Type"] == "volume" and mount["Destination"] in handed_over(workload):
                    self.host.exec(f"chgrp -R {group} {mount['Source']}; chmod g+rwX {mount['Source']}")
