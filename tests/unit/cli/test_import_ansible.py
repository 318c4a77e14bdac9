"""Servers from Ansible inventories, INI and YAML."""

import pytest

from myx_cli.errors import UsageError
from myx_cli.importing.ansible_form import rows_of
from myx_cli.importing.rows import contents_of

INI = """\
; kept by hand
jump.example.org

[web]
web[01:03]:2222 ansible_user=deploy   # the first three
old ansible_ssh_host=192.0.2.7 ansible_ssh_port=22 ansible_ssh_user="ops"

[db]
db-[a:c:2] ansible_host='2001:db8::5'

[prod:children]
web
db # both

[prod:vars]
ansible_user=root
ansible_become_password=hidden-word

[all:vars]
ansible_port = 22022
here = { not yaml
"""
YAML = """\
---
all:
  vars: {ansible_port: 22022}
  hosts:
    jump.example.org:
  children:
    prod:
      vars: {ansible_user: root, ansible_become_password: hidden-word}
      children:
        web:
          hosts:
            web[01:03]:2222: {ansible_user: deploy}
            old: {ansible_ssh_host: 192.0.2.7, ansible_ssh_port: 22, ansible_ssh_user: ops}
        db:
          hosts:
            db-[a:c:2]: {ansible_host: '2001:db8::5'}
"""
WANTED = {
    "jump.example.org": ("jump.example.org", None, 22022, []),
    "web01": ("web01", "deploy", 2222, ["prod", "web"]),
    "web02": ("web02", "deploy", 2222, ["prod", "web"]),
    "web03": ("web03", "deploy", 2222, ["prod", "web"]),
    "old": ("192.0.2.7", "ops", 22, ["prod", "web"]),
    "db-a": ("2001:db8::5", "root", 22022, ["db", "prod"]),
    "db-c": ("2001:db8::5", "root", 22022, ["db", "prod"]),
}


def found(text, file="hosts", folder=None):
    """The servers by name as they are asked for, and the notes."""
    rows, notes = rows_of(text.encode(), file)
    servers = contents_of(rows, folder, "", accept_host_key=False)
    return {server["name"]: server for server in servers}, notes


def facts(server):
    ssh = server.get("ssh", {})
    groups = sorted(name.removeprefix("group.") for name in server.get("labels", {}))
    return server["address"], ssh.get("user"), ssh.get("port"), groups


def wrong(text, file="hosts"):
    with pytest.raises(UsageError) as caught:
        found(text, file)
    return caught.value.message


@pytest.mark.parametrize("text", [INI, YAML, INI.replace("\n", "\r\n"), "\ufeff" + INI, "\ufeff" + YAML])
def test_both_forms_give_the_same_servers(text):
    servers, notes = found(text)
    assert {name: facts(server) for name, server in servers.items()} == WANTED
    assert notes == ["hosts: passwords are not taken from an inventory: --credential NAME, or myx server set"]
    assert "hidden-word" not in str((servers, notes))


def test_the_variables_of_a_child_win_over_those_of_its_parents_and_the_hosts_own_over_all():
    text = "[a]\none\ntwo ansible_user=own\n[b:children]\na\n[all:vars]\nansible_user=all\n[b:vars]\nansible_user=b\n"
    users = {name: facts(server)[1] for name, server in found(text)[0].items()}
    assert users == {"one": "b", "two": "own"}
    users = {name: facts(server)[1] for name, server in found(text + "[a:vars]\nansible_user=a\n")[0].items()}
    assert users == {"one": "a", "two": "own"}


def test_ways_that_are_not_taken_are_named_and_those_that_change_nothing_are_not():
    text = (
        "[a]\none\ntwo ansible_become_method=su\n[b]\nthree ansible_connection=local\n"
        "[a:vars]\nansible_ssh_common_args='-o ProxyJump=gate'\nansible_become=true\nansible_become_user=root\n"
        "[b:vars]\nansible_ssh_common_args=x\n"
    )
    ways = "ansible_become_method of 1 host, ansible_ssh_common_args of 2 hosts"
    assert found(text)[1][-1] == f"hosts: not taken: {ways}; see --jump and --sudo of myx server set"
    assert found("one ansible_become=yes ansible_become_method=sudo\n")[1] == []


@pytest.mark.parametrize("name", ["ansible_ssh_private_key_file", "ansible_private_key_file"])
def test_the_key_is_read_from_the_file_that_is_named(name, tmp_path):
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----\n"
    (tmp_path / "id").write_text(key)
    servers, _ = found(f"web {name}=id\n", folder=tmp_path)
    assert servers["web"]["credential"] == {"private_key": key}


@pytest.mark.parametrize(
    ("connection", "taken"),
    [("ssh", True), ("ansible.builtin.ssh", True), ("paramiko", True), ("local", False), ("winrm", False)],
)
def test_only_what_is_reached_over_ssh_is_taken(connection, taken):
    rows, notes = rows_of(f"one\nweb ansible_connection={connection}\n".encode(), "hosts")
    assert [row.fields["name"] for row in rows] == (["one", "web"] if taken else ["one"])
    assert notes == ([] if taken else ["hosts:2: web is left out: it is not reached over SSH"])


def test_a_connection_that_is_no_text_is_left_out():
    assert rows_of(b"all:\n  hosts:\n    web: {ansible_connection: [ssh]}\n", "h.yml") == (
        [],
        ["h.yml:3: web is left out: it is not reached over SSH"],
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[web\nweb-1\n", "hosts:1: expected [GROUP], [GROUP:vars] or [GROUP:children]"),
        ("[web:hosts]\n", "hosts:1: expected [GROUP]"),
        ("[]\n", "hosts:1: expected [GROUP]"),
        ("web-1 ansible_user\n", "hosts:1: expected NAME=VALUE behind the host"),
        ("[web:vars]\nansible_user\n", "hosts:2: expected NAME=VALUE"),
        ("\nweb-1 ansible_user='ops\n", "hosts:2: no closing quotation"),
        ("web[1:2\n", "hosts:1: 'web[1:2' holds a range that is none"),
        ("web[3:1]\n", "hosts:1: 'web[3:1]' holds a range that is none"),
        ("web[a:9]\n", "hosts:1: 'web[a:9]' holds a range that is none"),
        ("web[1:9:0]\n", "hosts:1: 'web[1:9:0]' holds a range that is none"),
        (f"web[1:{'9' * 5000}]\n", "hosts:1: 'web[1:999"),
        ("web[0:99999999]\n", "hosts:1: 'web[0:99999999]' holds a range that is none, or more than 10000 hosts"),
        ("w[1:999][1:999][1:999]\n", "hosts:1: 'w[1:999][1:999][1:999]' holds a range that is none, or more than"),
        ("[a:children]\nb\n[b:children]\na\n[b]\nweb\n", "hosts: groups that contain each other: a, b"),
        ("- web\n", "h.yml: expected groups: all, or others, with hosts"),
        ("all: 5\n", "h.yml: group all is not a mapping"),
        ("all:\n  hosts: [web]\n", "h.yml:2: hosts, vars and children of all must be mappings"),
        ("all:\n  host:\n    web:\n", "h.yml:2: host is not known in group all: hosts, vars and children are"),
        ("all:\n  hosts:\n    web:\n    web:\n", "h.yml:4: web comes twice"),
        ("all:\n  hosts: {ok: , [w: 1}\n", "h.yml is not YAML: line 2"),
        ("all:\n  hosts:\n    ok:\n    'w[1:':\n", "h.yml:4: 'w[1:' holds a range that is none"),
        ("all: &a\n  children: {x: *a}\n", "h.yml is not YAML"),
        ("all:\n  hosts: {web: }\n  vars: {a: 2026-99-99}\n", "h.yml is not YAML"),
    ],
)
def test_what_is_no_inventory_is_said_with_its_line(text, told):
    assert wrong(text, "h.yml" if told.startswith("h.yml") else "hosts").startswith(told)


@pytest.mark.parametrize(
    ("text", "file", "told"),
    [
        ("good\nweb_ö\n", "hosts", "hosts:2: name: 'web_ö' is none"),
        ("good\n2001:db8::1\n", "hosts", "hosts:2: name: '2001:db8::1' is none"),
        ("good\nweb ansible_host={{x}}\n", "hosts", "hosts:2: address: holds a template or a vault"),
        ("good\nweb ansible_port=ssh\n", "hosts", "hosts:2: port: must be a number from 1 to 65535"),
        ("good\nweb ansible_ssh_private_key_file=/none\n", "hosts", "hosts:2: key_file: /none cannot be read"),
        ("good\nWeb\nweb\n", "hosts", "hosts:3: name: web is in hosts:2 already"),
        ("all:\n  hosts:\n    good:\n    web 1:\n", "h.yml", "h.yml:4: name: 'web 1' is none"),
        ("all:\n  hosts:\n    web: {ansible_host: !vault x}\n", "h.yml", "h.yml:3: address: holds a template"),
        ("all:\n  hosts:\n    web: {ansible_user: {a: b}}\n", "h.yml", "h.yml:3: user: must be a text"),
    ],
)
def test_a_wrong_host_is_named_with_line_and_field(text, file, told, capfd, tmp_path):
    with pytest.raises(UsageError, match="nothing was done"):
        found(text, file, tmp_path)
    assert capfd.readouterr().err.splitlines()[0].startswith(f"myx: {told}")


def test_a_long_chain_of_groups_is_read():
    chain = "".join(f"[g{number}:children]\ng{number + 1}\n" for number in range(1100))
    text = f"{chain}[g1100]\nweb\n[g1099:vars]\nansible_user=deep\n[g0:vars]\nansible_user=shallow\n"
    rows, _ = rows_of(text.encode(), "hosts")
    assert rows[0].fields["user"] == "deep"


def test_groups_that_share_their_children_are_read_once():
    lines = ["g0: &g0 {hosts: {web: }}"]
    for number in range(1, 300):
        parts = f"{{a{number}: *g{number - 1}, b{number}: *g{number - 1}}}"
        lines.append(f"g{number}: &g{number} {{children: {parts}}}")
    rows, _ = rows_of("\n".join(lines).encode(), "h.yml")
    assert [row.fields["name"] for row in rows] == ["web"]
