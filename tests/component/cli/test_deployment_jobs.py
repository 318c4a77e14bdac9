"""Deployments and changes of agents on what a selector matches."""

import pytest
from test_jobs import all_succeed


def test_deployments_and_upgrades_go_over_a_selector(gateway, myx):
    gateway.jobs.script = all_succeed
    assert myx("deploy", "caddy", "-l", "role=web", "--yes", "--canary", "1", "-e", "a=1").returncode == 0
    assert myx("agent", "upgrade", "-l", "all", "--yes", "--batch", "10%", "--force").returncode == 0
    waits = ("--offline", "skip", "--no-output-timeout", "5m")
    assert myx("playbook", "run", "web/site", "-l", "all", "--yes", *waits).returncode == 0
    caddy, upgrade, site = (post.json() for post in gateway.posts("/jobs"))
    assert caddy["work"] == {"deployment": {"kind": "caddy", "extra_vars": {"a": "1"}}}
    assert caddy["options"] == {"canary": "1"}
    assert upgrade["work"] == {"deployment": {"kind": "upgrade_agent", "force": True}}
    assert site["work"]["deployment"] == {
        "kind": "playbook",
        "project": "web",
        "playbook": "site.yml",
        "offline": "skip",
        "no_output_timeout_s": 300.0,
    }


@pytest.mark.parametrize(
    ("verb", "work"),
    [
        (("server", "enrol"), {"kind": "install_agent"}),
        (("agent", "repair"), {"kind": "repair_agent"}),
        (("agent", "repair", "--force"), {"kind": "repair_agent", "force": True}),
        (("agent", "rotate", "--lock", "shared"), {"kind": "rotate_agent", "lock": "shared"}),
        (("agent", "rotate", "--new-port"), {"kind": "install_agent", "new_port": True}),
        (("agent", "uninstall", "--force"), {"kind": "uninstall_agent", "force": True}),
    ],
)
def test_changes_of_agents_go_over_a_selector_in_batches_after_a_word(gateway, myx, verb, work):
    gateway.jobs.script = all_succeed
    over = (*verb, "-l", "env=prod", "--batch", "1", "--max-fail", "0")
    done = myx(*over)
    assert (done.returncode, gateway.posts("/jobs")) == (2, [])
    assert b"nobody can be asked here" in done.stderr
    assert myx(*over, "--yes").returncode == 0
    (post,) = (post.json() for post in gateway.posts("/jobs"))
    assert (post["selector"], post["work"]) == ("env=prod", {"deployment": work})
    assert post["options"] == {"batches": ["1"], "max_failed": "0"}
    assert myx(*verb).returncode == 2
    assert myx(*verb, "local", "-l", "env=prod").returncode == 2
