"""A real sshd on a loopback port with accounts of its own: it runs in a mount namespace with a private /etc."""

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from myx_executor.domain.ssh import Hop, TrustedKey

PASSWORD = "correct horse"
USERS = {
    "nopass": "nopass ALL=(ALL) NOPASSWD: ALL",
    "withpass": "withpass ALL=(ALL) ALL",
    "plain": "",
    "tty": "Defaults:tty requiretty\ntty ALL=(ALL) NOPASSWD: ALL",
}

_START = """
set -e
mount -t tmpfs tmpfs "$1/mnt"
mkdir "$1/mnt/u" "$1/mnt/w"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/mnt/u,workdir=$1/mnt/w" /etc
while IFS=: read -r name uid; do
  echo "$name:x:$uid:$uid::$1/home/$name:/bin/sh" >> /etc/passwd
  echo "$name:x:$uid:" >> /etc/group
  echo "$name:$2:19000:0:99999:7:::" >> /etc/shadow
done < "$1/users"
sed -i "s|^root:[^:]*:|root:$2:|" /etc/shadow
sed -i "s|^root:x:0:0:root:/root:.*|root:x:0:0:root:$1/home/root:/bin/sh|" /etc/passwd
cp "$1/sudoers" /etc/sudoers; chmod 440 /etc/sudoers; rm -rf /etc/sudoers.d/*
mkdir -p /run/sshd "$1/small"
mount -t tmpfs -o size=64k tmpfs "$1/small"
. "$1/before"
exec /usr/sbin/sshd -D -f "$1/sshd_config" -E "$1/log"
"""


def usable() -> bool:
    """Whether this machine lets us."""
    programs = all(shutil.which(name) for name in ("unshare", "sudo", "ssh-keygen")) and Path("/usr/sbin/sshd").exists()
    return programs and os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], check=False).returncode == 0


@dataclass
class Sshd:
    """Started by `start`; `hop` makes logins for it."""

    folder: Path
    port: int = 0
    options: str = ""
    sftp: str = "internal-sftp"
    # Shell commands in its mount namespace, before it starts.
    before: str = ""
    key_types: tuple[str, ...] = ("ed25519", "ecdsa", "rsa")
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (self.folder / "mnt").mkdir(exist_ok=True)
        for kind in ("ed25519", "ecdsa", "rsa"):
            if not (self.folder / f"host_{kind}").exists():
                bits = ["-b", "2048"] if kind == "rsa" else []
                self._keygen("-t", kind, *bits, "-N", "", "-f", str(self.folder / f"host_{kind}"))
        if not (self.folder / "user").exists():
            self._keygen("-t", "ed25519", "-N", "", "-f", str(self.folder / "user"))
            self._keygen("-t", "ed25519", "-N", "open sesame", "-f", str(self.folder / "locked"))
            for index, name in enumerate(["root", *USERS]):
                home = self.folder / "home" / name
                (home / ".ssh").mkdir(parents=True, mode=0o700)
                keys = "".join((self.folder / f"{key}.pub").read_text() for key in ("user", "locked"))
                (home / ".ssh/authorized_keys").write_text(keys)
                uid = 0 if name == "root" else 47100 + index
                for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
                    os.chown(path, uid, uid)
            (self.folder / "home").chmod(0o755)
        users = "".join(f"{name}:{47100 + index}\n" for index, name in enumerate(["root", *USERS]) if index)
        (self.folder / "users").write_text(users)
        (self.folder / "before").write_text(self.before)
        (self.folder / "sudoers").write_text("root ALL=(ALL) ALL\n" + "\n".join(USERS.values()) + "\n")
        self.port = self.port or _free_port()
        host_keys = "".join(f"HostKey {self.folder}/host_{kind}\n" for kind in self.key_types)
        (self.folder / "sshd_config").write_text(
            f"{self.options}\nListenAddress 127.0.0.1\nPort {self.port}\n{host_keys}PidFile none\n"
            "UsePAM no\nUseDNS no\nPermitRootLogin yes\nPasswordAuthentication yes\nStrictModes no\n"
            f"MaxStartups 100:30:200\nSubsystem sftp {self.sftp}\nPrintMotd no\n"
        )
        crypt = subprocess.run(
            ["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, capture_output=True, text=True, check=True
        ).stdout.strip()
        arguments = ["/bin/sh", "-c", _START, "sh", str(self.folder), crypt]
        with (self.folder / "stderr").open("wb") as errors:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", *arguments], stderr=errors
            )
        self._wait()

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def public(self, kind: str = "ed25519") -> str:
        return " ".join((self.folder / f"host_{kind}.pub").read_text().split()[:2])

    def fingerprint(self, kind: str = "ed25519") -> str:
        text = subprocess.run(
            ["ssh-keygen", "-lf", str(self.folder / f"host_{kind}.pub")], capture_output=True, text=True, check=True
        ).stdout
        return text.split()[1]

    def trusted(self, kind: str = "ed25519") -> TrustedKey:
        return TrustedKey(self.fingerprint(kind), self.public(kind))

    def hop(self, user: str = "root", **changes: object) -> Hop:
        values: dict[str, object] = {
            "name": "box",
            "address": "127.0.0.1",
            "port": self.port,
            "user": user,
            "private_key": (self.folder / "user").read_text(),
            "host_key": self.trusted(),
        }
        return Hop(**(values | changes))  # type: ignore[arg-type]

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def sessions(self) -> int:
        """Connections that sshd serves now."""
        assert self.process is not None
        tree = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return len(tree.stdout.split())

    def _wait(self) -> None:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process is not None and self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError((self.folder / "stderr").read_text())

    @staticmethod
    def _keygen(*arguments: str) -> None:
        subprocess.run(["ssh-keygen", "-q", *arguments], check=True, stdin=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
