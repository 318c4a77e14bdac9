"""`myx inventory` under the real Ansible."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_fake_jobs import problem

ANSIBLE = Path(sys.executable).parent
HOSTILE = "{{ lookup('pipe', 'touch MARK') }}"


def server(name, **facts):
    ssh = {"address": "", "port": 22, "user": "", "credential": "", "jump_servers": [], **facts.pop("ssh", {})}
    return {"id": f"id-{name}", "name": name, "address": "127.0.0.1", "labels": {}, "ssh": ssh, "agent": None, **facts}


@pytest.fixture
def inventory(myx, tmp_path):
    """An executable inventory as docs/ansible-inventory.md shows it."""
    path = tmp_path / "myx_inventory.sh"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m myx_cli inventory "$@"\n')
    path.chmod(0o700)
    return path


def run(myx, tmp_path, program, *arguments):
    environment = {
        **myx.env,
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        [ANSIBLE / program, *arguments],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=110,
        text=True,
    )


def test_ansible_pings_the_servers_of_a_group(gateway, myx, inventory, tmp_path):
    items = [server("web-1", labels={"role": "web"}), server("db-1", labels={"role": "db"})]
    gateway.answers.append(("GET /servers", (200, {"items": items, "next_page_token": None})))
    done = run(myx, tmp_path, "ansible", "-i", inventory, "role_web", "-c", "local", "-m", "ping")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "web-1 | SUCCESS" in done.stdout
    assert "db-1" not in done.stdout
    # One call for all hosts, whatever Ansible asks about them.
    assert [request.path for request in gateway.requests] == ["/servers"]


def test_ansible_sees_variables_and_takes_what_hosts_say_for_data(gateway, myx, inventory, tmp_path):
    mark = tmp_path / "mark"
    told = {"hostname": HOSTILE.replace("MARK", str(mark)), "os": "debian", "running_command_ids": ["x"]}
    hop = server("bastion", ssh={"user": "jump"})
    items = [
        server(
            "web-1",
            labels={"role": "web"},
            ssh={"address": "192.0.2.7", "port": 2222, "user": "ops", "jump_servers": ["bastion"]},
            agent={"status": "online", "facts": told, "version": "1"},
        )
    ]
    answer = (200, {"items": items, "next_page_token": None})
    gateway.answers += [("GET /servers", answer), ("GET /servers/bastion", (200, hop))] * 2
    listed = run(myx, tmp_path, "ansible-inventory", "-i", inventory, "--list")
    assert listed.returncode == 0, listed.stderr
    assert listed.stderr == ""
    whole = json.loads(listed.stdout)
    assert sorted(whole["all"]["children"]) == ["myx_os_debian", "myx_status_online", "role_web", "ungrouped"]
    found = whole["_meta"]["hostvars"]["web-1"]
    assert {name: value for name, value in found.items() if name.startswith("ansible_")} == {
        "ansible_host": "192.0.2.7",
        "ansible_port": 2222,
        "ansible_user": "ops",
        "ansible_ssh_common_args": "-o ProxyJump=jump@127.0.0.1:22",
    }
    assert "running_command_ids" not in found["myx_facts"]
    shown = run(
        *(myx, tmp_path, "ansible", "-i", inventory, "all", "-c", "local", "-m", "debug"),
        *("-a", "msg={{ myx_facts.hostname }}"),
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "lookup('pipe'" in shown.stdout
    assert not mark.exists()


def test_the_program_itself(gateway, myx):
    done = myx("inventory", "--list", "-l", "env=prod")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [request.query["selector"] for request in gateway.requests] == [["env=prod"], ["env=prod"]]
    assert list(json.loads(done.stdout)["_meta"]["hostvars"]) == ["local", "other"]
    done = myx("inventory", "--host", "local")
    assert json.loads(done.stdout)["myx_labels"] == {"env": "test"}
    assert myx("inventory", "--host", "nope").returncode == 125
    assert myx("inventory").returncode == 2
    assert myx("inventory", "--list", "--host", "local").returncode == 2


def test_a_jump_server_that_may_not_be_seen_is_said(gateway, myx):
    items = [server("web-1", ssh={"jump_servers": ["bastion"]})]
    gateway.answers.append(("GET /servers", (200, {"items": items, "next_page_token": None})))
    gateway.answers.append(("GET /servers/bastion", problem(404, "SERVER_NOT_FOUND", "there is no server bastion")))
    done = myx("inventory", "--list")
    assert done.returncode == 0
    assert done.stderr.startswith(b"myx: jump server bastion: there is no server bastion")
    assert "ansible_ssh_common_args" not in json.loads(done.stdout)["_meta"]["hostvars"]["web-1"]
