"""The lines of docs/operations/keys.md for a cluster that need no cluster, typed as they stand there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from myx_kit.secretbox import SecretBox

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "operations" / "keys.md"


@pytest.mark.parametrize("service", ["executor", "registry"])
def test_the_lines_for_a_cluster_change_the_file_that_becomes_the_secret(tmp_path, service):
    (section,) = re.findall(r"^## In a cluster$(.*?)^## ", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    add, apply, _, _, use, apply_again = [
        line.replace("executor", service).replace("EXECUTOR", service.upper()) for line in lines
    ]
    assert apply == apply_again
    make, _, kubectl = apply.partition(" | ")
    assert kubectl.startswith("kubectl -n myx apply ")
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")

    def typed(line):
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    typed(make)
    new = typed(add).split()[0]
    box = SecretBox.from_file(tmp_path / "myx-secrets" / f"{service}.keys")
    assert (box.primary, box.key_ids) == ("k1", {"k1", new})
    typed(use.replace("--use ID", f"--use {new}"))
    secrets = {item["metadata"]["name"]: item["stringData"] for item in json.loads(typed(make))["items"]}
    assert json.loads(secrets[f"{service}-keys"]["master.keys"])["primary"] == new
