"""deploy_caddy.py from end to end on a host that is a folder, with a real Caddy."""

import http.client
import threading

import pytest

from myx_testkit.apps import caddy_binary
from myx_testkit.ports import free_port

QUICK = {"probe_stay_s": 0, "probe_timeout_s": 5}


@pytest.fixture(scope="module")
def caddy():
    return caddy_binary()


@pytest.fixture
def port():
    return free_port()


def site(port, words="one", head="auto_https off"):
    return f'{{\n\t{head}\n}}\nhttp://127.0.0.1:{port} {{\n\trespond "{words}"\n}}\n'


def page(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def deploy(host, caddy, **variables):
    return host.run("deploy_caddy", {"artifact_path": str(caddy), **QUICK, **variables})


def test_caddy_is_deployed_and_a_second_run_changes_nothing(host, caddy, port):
    first = deploy(host, caddy, config=site(port))
    pid, tree = host.pid("caddy.service"), host.tree()

    second = deploy(host, caddy, config=site(port))

    assert first["changed"], first
    assert page(port) == "one"
    assert (second["changed"], second["failed"]) == (False, False)
    assert (host.pid("caddy.service"), host.tree()) == (pid, tree)


def test_a_new_configuration_is_taken_without_downtime(host, caddy, port):
    deploy(host, caddy, config=site(port))
    pid = host.pid("caddy.service")
    pages, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                pages.append(page(port))
            except OSError as error:
                pages.append(str(error))

    asker = threading.Thread(target=ask)
    asker.start()
    answer = deploy(host, caddy, config=site(port, "two"))
    stop.set()
    asker.join()

    assert (answer["action"], host.pid("caddy.service")) == ("reload", pid)
    assert page(port) == "two"
    assert not [text for text in pages if "refused" in text], "the port is never closed"
    # Caddy's own hand-over may cut a connection that it has just taken.
    assert len([text for text in pages if text not in {"one", "two"}]) <= 1


def test_a_broken_configuration_is_refused_by_the_new_program_and_the_old_page_stays(host, caddy, port):
    deploy(host, caddy, config=site(port))
    pid, tree = host.pid("caddy.service"), host.tree()

    answer = deploy(host, caddy, config=site(port).replace("respond", "respnd"))

    assert answer["failed"]
    assert "unrecognized directive: respnd" in answer["message"]
    assert page(port) == "one"
    assert (host.pid("caddy.service"), host.tree()) == (pid, tree)


def test_a_reload_whose_page_is_wrong_is_taken_back_in_the_running_process(host, caddy, port):
    url = f"http://127.0.0.1:{port}/"
    deploy(host, caddy, config=site(port), probe_urls=[{"url": url, "contains": "one"}])
    pid = host.pid("caddy.service")

    answer = deploy(host, caddy, config=site(port, "two"), probe_timeout_s=1)

    assert answer["failed"]
    assert "does not contain 'one'" in answer["message"]
    assert page(port) == "one"
    assert host.pid("caddy.service") == pid


@pytest.mark.parametrize("hide", [False, True])
def test_what_a_reload_says_is_shown_unless_the_configuration_is_hidden(host, caddy, port, hide):
    deploy(host, caddy, config=site(port), hide_config=hide)
    elsewhere = f"{{\n\tauto_https off\n}}\nhttp://:{port} {{\n\tbind 192.0.2.7\n}}\n"

    answer = deploy(host, caddy, config=elsewhere)

    assert answer["failed"]
    assert "does not take the new configuration" in answer["message"]
    assert ("192.0.2.7" in answer["message"], "hide_config is set" in answer["message"]) == (not hide, hide)


def test_a_program_that_cannot_serve_is_put_back(host, caddy, port):
    deploy(host, caddy, config=site(port))
    broken = host.root / "broken"
    broken.write_text(
        f'#!/bin/sh\n[ "$1" = run ] && exit 3\n[ "$1" = version ] && echo v9.9.9 && exit 0\nexec {caddy} "$@"\n'
    )
    tree = host.tree()

    answer = deploy(host, broken)

    assert answer["failed"]
    assert "The old one was put back and serves: Caddy 2." in answer["message"]
    assert page(port) == "one"
    assert host.tree() == tree


def test_without_an_administration_address_the_change_is_a_restart(host, caddy, port):
    deploy(host, caddy, config=site(port, head="admin off"))

    answer = deploy(host, caddy, config=site(port, "two", head="admin off"))

    assert answer["action"] == "restart"
    assert page(port) == "two"


def test_the_json_form_is_taken_as_an_object(host, caddy, port):
    route = {"handle": [{"handler": "static_response", "body": "json"}]}
    server = {"listen": [f"127.0.0.1:{port}"], "routes": [route]}

    answer = deploy(host, caddy, config={"apps": {"http": {"servers": {"one": server}}}})

    assert answer["changed"], answer
    assert (host.root / "opt/caddy/current/caddy.json").exists()
    assert page(port) == "json"


def test_an_environment_variable_reaches_the_configuration_and_is_not_shown(host, caddy, port):
    answer = deploy(host, caddy, config=site(port, "{$WORD}"), environment={"WORD": "from-outside $x"})
    changed = host.run("deploy_caddy", {"environment": {"WORD": "other-word"}, **QUICK}, diff=True)

    assert answer["changed"], answer
    assert changed["action"] == "restart"
    assert page(port) == "other-word"
    assert "other-word" not in str(changed)
    assert "from-outside" not in str(changed)
