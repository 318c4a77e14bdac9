"""Servers from YAML, with what holds for all of them."""

import pytest

from myx_cli.errors import UsageError
from myx_cli.importing.rows import contents_of
from myx_cli.importing.yaml_form import rows_of


def contents(text):
    return contents_of(rows_of(text.encode(), "fleet.yml"), None, "", accept_host_key=False)


def test_defaults_hold_where_a_server_says_nothing_else():
    text = """
        defaults: {user: ops, repair: off, labels: {env: prod}}
        servers:
          - {name: web, address: 192.0.2.1, labels: {role: web}}
          - {name: db, address: 192.0.2.2, user: root, repair: ask}
    """
    assert contents(text) == [
        {
            "name": "web",
            "address": "192.0.2.1",
            "ssh": {"user": "ops"},
            "labels": {"env": "prod", "role": "web"},
            "repair_policy": "off",
        },
        {
            "name": "db",
            "address": "192.0.2.2",
            "ssh": {"user": "root"},
            "labels": {"env": "prod"},
            "repair_policy": "ask",
        },
    ]


def test_two_servers_of_one_name_are_refused_in_one_line_too(capfd):
    with pytest.raises(UsageError, match="1 of 2 servers are wrong"):
        contents('[{"name": "web", "address": "192.0.2.1"}, {"name": "web", "address": "192.0.2.2"}]')
    assert capfd.readouterr().err == "myx: fleet.yml:1: name: web is in fleet.yml:1 already\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("server: []", "fleet.yml: server is not known here: servers and defaults are"),
        ("servers: {web: 192.0.2.1}", "fleet.yml: expected a list of servers"),
        ("- web", "fleet.yml: server 1 is not a mapping with name and address"),
        ("- name: web\n  name: db", "fleet.yml:2: name comes twice"),
        ("- name: [web", "fleet.yml is not YAML: line 1"),
        ("- !!python/object/apply:os.system [id]", "fleet.yml is not YAML: line 1"),
        ("", "fleet.yml: expected a list of servers"),
    ],
)
def test_what_is_no_list_of_servers_is_said(text, told):
    with pytest.raises(UsageError) as caught:
        contents(text)
    assert caught.value.message.startswith(told)


def test_an_unknown_field_is_named_with_the_line_of_its_server(capfd):
    with pytest.raises(UsageError):
        contents("- name: web\n  address: 192.0.2.1\n- name: db\n  adress: 192.0.2.2\n")
    assert capfd.readouterr().err.startswith("myx: fleet.yml:3: adress: is not known; known are name, address, ")
