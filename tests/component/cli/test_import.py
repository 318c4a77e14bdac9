"""`myx server import`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_fake_jobs import problem

from myx_cli.importing.ansible_form import rows_of
from myx_cli.importing.rows import contents_of

FILE = """
- {name: same, address: 192.0.2.1, user: ops, credential: c}
- {name: moved, address: 192.0.2.2, user: ops, credential: c}
"""


def there(name, address):
    return {"id": f"id-{name}", "name": name, "address": address, "labels": {}, "agent": None}


def test_enrol_installs_nothing_on_a_server_of_that_name_at_another_address(gateway, myx, tmp_path):
    (tmp_path / "servers.yml").write_text(FILE)
    known = {"items": [there("same", "192.0.2.1"), there("moved", "198.51.100.9")], "next_page_token": None}
    gateway.answers.append(("GET /servers", (200, known)))
    gateway.answers.append(("POST /deployments", problem(409, "CONFLICT", "not here")))
    done = myx("server", "import", "servers.yml", "--enrol")
    assert b"is there already, with the address 198.51.100.9" in done.stdout
    assert [post.json()["server"] for post in gateway.posts("/deployments")] == ["same"]


def test_a_row_that_was_refused_is_exit_code_1(gateway, myx, tmp_path):
    (tmp_path / "servers.yml").write_text(FILE)
    gateway.answers.append(("GET /servers", (200, {"items": [there("same", "192.0.2.1")], "next_page_token": None})))
    gateway.answers.append(("POST /servers", problem(409, "CONFLICT", "not this one")))
    done = myx("server", "import", "servers.yml")
    assert done.returncode == 1
    assert b"moved\tnot added: not this one" in done.stdout


INI = """\
bastion ansible_port=22

[web]
web[08:10]:2222 ansible_user=deploy  # three
old ansible_ssh_host=192.0.2.7 ansible_ssh_user="ops"

[db]
db-[a:c] ansible_host='2001:db8::5'

[prod:children]
web
db

[db:vars]
ansible_user=postgres

[prod:vars]
ansible_user=root
ansible_port=2022
"""
YAML = """\
all:
  vars: {ansible_user: all}
  hosts:
    bastion:
  children:
    prod:
      vars: {ansible_user: root}
      children:
        web: {hosts: {"web[08:10]:2222": {ansible_user: deploy}, "old": }}
        db: {hosts: {"db-[a:e:2]": {ansible_host: "2001:db8::5"}}, vars: {ansible_user: postgres}}
"""


@pytest.mark.parametrize(("name", "text"), [("hosts", INI), ("hosts.yml", YAML)])
def test_an_inventory_means_what_ansible_takes_it_for(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    program = Path(sys.executable).parent / "ansible-inventory"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [program, "-i", name, "--list"], env=environment, cwd=tmp_path, capture_output=True, check=True, timeout=110
    )
    listed = json.loads(done.stdout)
    variables = listed["_meta"]["hostvars"]
    groups = {group: set(listed[group]["hosts"]) for group in ("web", "db")}
    groups["prod"] = groups["web"] | groups["db"]

    def of_ansible(host):
        own = variables.get(host, {})
        user = own.get("ansible_ssh_user", own.get("ansible_user"))
        address = own.get("ansible_ssh_host", own.get("ansible_host", host))
        return address, user, own.get("ansible_port"), {f"group.{group}" for group in groups if host in groups[group]}

    rows, _ = rows_of(text.encode(), name)
    found = {server["name"]: server for server in contents_of(rows, tmp_path, "", accept_host_key=False)}
    hosts = {"bastion", *groups["prod"]}
    assert len(hosts) >= 6
    assert {name: of_api(server) for name, server in found.items()} == {host: of_ansible(host) for host in hosts}


def of_api(server):
    ssh = server.get("ssh", {})
    return server["address"], ssh.get("user"), ssh.get("port"), set(server.get("labels", {}))
