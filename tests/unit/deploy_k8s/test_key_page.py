"""The lines of docs/operations/keys.md for a cluster that need no cluster, typed as they stand there."""

import json

import pytest

from myx_kit.secretbox import SecretBox
from myx_testkit.bundle import CHECKOUT
from myx_testkit.pages import lines_of, typed, with_programs


@pytest.mark.parametrize("service", ["executor", "registry"])
def test_the_lines_for_a_cluster_change_the_file_that_becomes_the_secret(tmp_path, service):
    lines = lines_of("operations/keys.md", "In a cluster")
    add, apply, _, _, use, apply_again = [
        line.replace("executor", service).replace("EXECUTOR", service.upper()) for line in lines
    ]
    assert apply == apply_again
    make, _, kubectl = apply.partition(" | ")
    assert kubectl.startswith("kubectl -n myx apply ")
    with_programs(tmp_path)
    (tmp_path / "deploy").symlink_to(CHECKOUT / "deploy")

    typed([make], tmp_path)
    new = typed([add], tmp_path).split()[0]
    box = SecretBox.from_file(tmp_path / "myx-secrets" / f"{service}.keys")
    assert (box.primary, box.key_ids) == ("k1", {"k1", new})
    typed([use.replace("--use ID", f"--use {new}")], tmp_path)
    secrets = {item["metadata"]["name"]: item["stringData"] for item in json.loads(typed([make], tmp_path))["items"]}
    assert json.loads(secrets[f"{service}-keys"]["master.keys"])["primary"] == new
