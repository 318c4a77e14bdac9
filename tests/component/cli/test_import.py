"""`myx server import`."""

from cli_fake_jobs import problem

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
