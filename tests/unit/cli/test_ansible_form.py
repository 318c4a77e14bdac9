"""Servers as an Ansible inventory: groups, variables, and that nothing in them is more than data."""

import pytest

from myx_cli.exporting.ansible_form import as_data, groups_of, variables, whole


def server(name, **facts):
    ssh = {"address": "", "port": 22, "user": "", "credential": "fleet", "jump_servers": [], **facts.pop("ssh", {})}
    return {"id": f"id-{name}", "name": name, "address": "10.0.0.1", "labels": {}, "ssh": ssh, "agent": None, **facts}


def nobody(_name):
    return None


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        ({"env": "prod", "role": "web"}, ["env_prod", "role_web"]),
        ({"example.org/team": "a-b", "1st": "x"}, ["example_org_team_a_b", "_1st_x"]),
        ({"canary": ""}, ["canary"]),
        ({"größe": "xl"}, ["gr__e_xl"]),
        ({}, []),
    ],
)
def test_each_label_is_a_group(labels, groups):
    assert groups_of(server("a", labels=labels)) == [*groups, "myx_status_none"]


def test_status_and_system_are_groups_that_no_label_can_be_taken_for():
    agent = {"status": "online", "facts": {"os": "debian"}}
    assert groups_of(server("a", labels={"os": "bsd"}, agent=agent)) == [
        "os_bsd",
        "myx_status_online",
        "myx_os_debian",
    ]


def test_a_host_is_reached_as_myx_reaches_it():
    found = variables(server("a", ssh={"address": "192.0.2.9", "port": 2222, "user": "ops"}), nobody)
    wanted = {"ansible_host": "192.0.2.9", "ansible_port": 2222, "ansible_user": "ops"}
    assert wanted.items() <= found.items()
    assert "ansible_user" not in variables(server("a"), nobody)
    assert variables(server("a"), nobody)["ansible_host"] == "10.0.0.1"


def test_jump_servers_are_given_to_ssh():
    hops = {
        "one": server("one", ssh={"user": "j", "port": 24}),
        "two": server("two", address="2001:db8::1"),
    }
    found = variables(server("a", ssh={"jump_servers": ["one", "two"]}), hops.get)
    assert found["ansible_ssh_common_args"] == "-o ProxyJump=j@10.0.0.1:24,[2001:db8::1]:22"


@pytest.mark.parametrize(
    "hop",
    [
        None,
        server("x", address="a -o ProxyCommand=id"),
        server("x", address="-oProxyCommand=id"),
        server("x", ssh={"user": "u -o x"}),
        server("x", address=""),
    ],
)
def test_what_ssh_could_take_for_more_than_a_host_is_left_out(hop):
    found = variables(server("a", ssh={"jump_servers": ["x"]}), lambda _name: hop)
    assert "ansible_ssh_common_args" not in found


def test_what_hosts_say_is_no_template():
    told = {"hostname": "{{ lookup('pipe', 'id') }}", "kernel": "6.1", "disks": [{"mount": "{% x %}"}], "cpus": 2}
    facts = variables(server("a", agent={"status": "online", "facts": told}), nobody)["myx_facts"]
    assert facts["hostname"] == {"__ansible_unsafe": told["hostname"]}
    assert facts["disks"] == [{"mount": {"__ansible_unsafe": "{% x %}"}}]
    assert (facts["kernel"], facts["cpus"]) == ("6.1", 2)
    assert as_data({"__ansible_vault": "x", "__ansible_unsafe": "y", "a": "{# c"}) == {
        "a": {"__ansible_unsafe": "{# c"}
    }


def test_the_whole_holds_every_host_once_with_its_variables():
    found = whole([server("b", labels={"env": "prod"}), server("a", labels={"env": "prod"})], nobody)
    assert found["all"] == {"hosts": ["b", "a"]}
    assert found["env_prod"] == {"hosts": ["b", "a"]}
    assert list(found["_meta"]["hostvars"]) == ["b", "a"]
    assert found["_meta"]["hostvars"]["a"]["myx_id"] == "id-a"
