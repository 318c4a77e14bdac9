"""The trees that hosts are made of: a base by debootstrap and read-only layers above it, made once and kept."""

import hashlib
import inspect
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from myx_testkit.hosts.accounts import ACCOUNTS, PASSPHRASE
from myx_testkit.hosts.locks import locked
from myx_testkit.hosts.mounts import chroot_ready, mount_overlay, unmount
from myx_testkit.hosts.run import run

DEFAULT_STORE = Path("/var/tmp/myx-hosts")
SUITE = "bookworm"
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "python3",
    "sudo",
    "iproute2",
    "ca-certificates",
    "procps",
)
EVIDENCE = ("usr/sbin/sshd", "usr/lib/systemd/systemd", "usr/bin/python3", "usr/bin/sudo", "usr/sbin/ip", "usr/bin/ps")
BUILD_WITHIN_S = 900.0
INIT = (
    "/usr/sbin/myx-init"  # systemd must own its part of the version 1 hierarchies, or limits are silently not enforced
)
INIT_SCRIPT = """#!/bin/sh
for c in memory cpu cpuacct pids $MYX_CGROUPS; do mount -o remount,rw,bind /sys/fs/cgroup/$c; done 2>/dev/null
exec /lib/systemd/systemd
"""
FILES = {
    "etc/ssh/sshd_config.d/10-myx.conf": (
        "PermitRootLogin yes\nPasswordAuthentication yes\nUseDNS no\nMaxStartups 100:30:200\n"
    ),
    "etc/systemd/journald.conf.d/10-myx.conf": "[Journal]\nStorage=persistent\nSystemMaxUse=32M\n",
    INIT.lstrip("/"): INIT_SCRIPT,
}
MASKED = (
    "getty@tty1.service",
    "console-getty.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-pstore.service",
    "systemd-timesyncd.service",
)


def store() -> Path:
    """Where trees and what runs are kept."""
    return Path(os.environ.get("MYX_TEST_HOSTS") or DEFAULT_STORE)


def ensure_keys(folder: Path) -> None:
    """The pair `id` that every account takes, `id-locked` (it, behind a passphrase), `id-other` (taken nowhere)."""
    with locked(folder / "keys.lock"):
        for name in ("id", "id-other"):
            if not (folder / name).exists():
                run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "myx-test", "-f", folder / name])
        if not (folder / "id-locked").exists():
            new = folder / "id-locked.new"
            shutil.copy(folder / "id", new)
            run(["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", new])
            new.rename(folder / "id-locked")


def ensure_base(folder: Path, suite: str = SUITE) -> Path:
    """The tree of a minimal Debian. Made at the first time: about a minute, needs the package index."""
    base = folder / suite
    with locked(folder / f"{suite}.lock"):
        if all((base / file).exists() for file in EVIDENCE):
            return base
        print(f"Making a Debian {suite} for test hosts in {base} (a minute or two)", file=sys.stderr)
        new = folder / f"{suite}.new"
        shutil.rmtree(new, ignore_errors=True)
        include = f"--include={','.join(PACKAGES)}"
        run(["debootstrap", "--variant=minbase", include, suite, new], timeout_s=BUILD_WITHIN_S)
        shutil.rmtree(base, ignore_errors=True)
        new.rename(base)
    return base


def ensure_layers(folder: Path, *, suite: str = SUITE, packages: Sequence[str] = ()) -> list[Path]:
    """The read-only folders of a host, top first: baked packages, accounts and settings, the base."""
    ensure_keys(folder)
    base = ensure_base(folder, suite)
    recipe = (
        INIT_SCRIPT + repr((FILES, MASKED, ACCOUNTS)) + inspect.getsource(_prepare) + (folder / "id.pub").read_text()
    )
    prepared = folder / "layers" / f"{suite}-{_short(recipe)}"
    _make_layer(prepared, [base], lambda root: _prepare(root, folder / "id.pub"))
    if not packages:
        return [prepared, base]
    wanted = sorted(set(packages))
    baked = folder / "layers" / f"{prepared.name}-{_short(' '.join(wanted))}"
    _make_layer(baked, [prepared, base], lambda root: _install(root, wanted))
    return [baked, prepared, base]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _make_layer(layer: Path, below: Sequence[Path], fill: Callable[[Path], None]) -> None:
    """Make the layer unless it is there; one that was not finished is thrown away."""
    with locked(layer.with_name(layer.name + ".lock")):
        if layer.exists():
            return
        new, work, root = (layer.with_name(layer.name + end) for end in (".new", ".work", ".root"))
        unmount(root)
        for path in (new, work):
            shutil.rmtree(path, ignore_errors=True)
        mount_overlay(below, new, work, root)
        try:
            with chroot_ready(root):
                fill(root)
        finally:
            unmount(root)
            shutil.rmtree(work, ignore_errors=True)
            root.rmdir()
        new.rename(layer)


def _prepare(root: Path, public_key: Path) -> None:
    """Settings of the host, and its accounts."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / INIT.lstrip("/")).chmod(0o755)
    (root / "etc/machine-id").write_text("")
    for pattern in ("var/lib/dbus/machine-id", "etc/ssh/ssh_host_*"):
        for path in root.glob(pattern):
            path.unlink()
    for account in ACCOUNTS.values():
        _add(root, account.name, account.home.lstrip("/"), account.sudoers, public_key)
    lines = "".join(f"{account.name}:{account.password}\n" for account in ACCOUNTS.values())
    run(["chroot", root, "chpasswd"], stdin=lines)
    run(["chroot", root, "systemctl", "mask", "--quiet", *MASKED], check=False)


def _add(root: Path, name: str, home: str, sudoers: str, public_key: Path) -> None:
    if name != "root":
        run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", name])
    if sudoers:
        (root / "etc/sudoers.d" / name).write_text(f"{name} {sudoers}\n")
        (root / "etc/sudoers.d" / name).chmod(0o440)
    folder = root / home / ".ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(public_key, folder / "authorized_keys")
    run(["chroot", root, "chown", "-R", f"{name}:{name}", f"/{home}/.ssh"])


def _install(root: Path, packages: Sequence[str]) -> None:
    """Debian packages, without starting what they bring."""
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    apt: list[str | Path] = ["chroot", root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    run([*apt, "update"], timeout_s=BUILD_WITHIN_S)
    run([*apt, "install", "--yes", "--no-install-recommends", *packages], timeout_s=BUILD_WITHIN_S)
    run([*apt, "clean"])
    policy.unlink()
