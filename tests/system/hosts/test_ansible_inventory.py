"""`ansible -i` with MyX's inventory reaches real hosts over SSH, also through a jump server."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

from myx_testkit.hosts.host import Host
from myx_testkit.standalone import Standalone


def test_ansible_pings_hosts_that_it_knows_from_myx_alone(myx: Standalone, host: Host, tmp_path: Path) -> None:
    group = f"ping-{secrets.token_hex(4)}"
    front, behind = f"front-{group}", f"behind-{group}"
    label = ("--label", f"test={group}")
    added = [
        myx.cli("server", "add", front, host.address, "--user", "root", *label),
        # As the jump server sees it: itself.
        myx.cli("server", "add", behind, "127.0.0.1", "--user", "root", "--jump", front, *label),
    ]
    assert [done.returncode for done in added] == [0, 0], added
    script = tmp_path / "myx_inventory.sh"
    script.write_text(f'#!/bin/sh\nexec {myx.cli_argv()[0]} inventory -l test={group} "$@"\n')
    script.chmod(0o700)
    config = tmp_path / "ssh_config"
    config.write_text(
        f"IdentityFile {host.key}\nIdentitiesOnly yes\nUserKnownHostsFile /dev/null\nStrictHostKeyChecking no\n"
        "KexAlgorithms curve25519-sha256\n"
    )
    try:
        done = subprocess.run(
            [Path(sys.executable).parent / "ansible", "-i", script, f"test_{group.replace('-', '_')}", "-m", "ping"],
            env={
                **myx.environment,
                "PATH": os.environ["PATH"],
                "LC_ALL": "C.UTF-8",
                "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
                "ANSIBLE_SSH_ARGS": f"-F {config}",
                "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            },
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{front} | SUCCESS" in done.stdout
        assert f"{behind} | SUCCESS" in done.stdout
    finally:
        myx.cli("server", "remove", behind)
        myx.cli("server", "remove", front)
