"""The probe: what is healthy, what ends the wait at once, how checks are described."""

import http.server
import json
import re
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import check_service
import pytest
from check_service import BadProbe, HttpCheck, Probe, UnitState, read_probe, run_probe

from myx_testkit.ports import free_port

RUNNING = UnitState("active", "running", 7, 0, "success", "0")
SCRIPT = Path(check_service.__file__)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def probed(states, **changes):
    """The verdict when the unit is in these states one after the other (the last one stays)."""
    clock, waiting = Clock(), list(states)
    probe = Probe("x.service", **{"stay_s": 1.0, "timeout_s": 5.0, **changes})
    return run_probe(probe, lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0], clock, clock.sleep)


def test_a_unit_that_stays_is_healthy_after_the_time_it_must_stay():
    health = probed([RUNNING])
    assert health.healthy
    assert health.waited_s == pytest.approx(1.0, abs=0.25)


def test_a_unit_that_still_starts_is_waited_for():
    starting = UnitState("activating", "start", 7, 0, "success", "0")
    assert probed([starting] * 5 + [RUNNING]).healthy


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (UnitState("failed", "failed", 0, 0, "exit-code", "3"), "has stopped (exit-code, status 3)"),
        (UnitState("inactive", "dead", 0, 0, "success", "0"), "has stopped"),
        (UnitState("activating", "auto-restart", 0, 0, "exit-code", "2"), "ends by itself"),
        (UnitState("active", "running", 8, 1, "success", "0"), "ends by itself"),
        (UnitState("active", "running", 9, 0, "success", "0"), "started again meanwhile"),
    ],
)
def test_a_crash_ends_the_wait_at_once(later, words):
    health = probed([RUNNING, RUNNING, later], timeout_s=500.0, stay_s=300.0)
    assert words in health.problems[0]
    assert health.waited_s < 1


def test_what_never_comes_up_is_given_up_at_the_limit():
    starting = UnitState("activating", "start", 7, 0, "", "")
    health = probed([starting], timeout_s=5.0)
    assert "x.service is activating" in health.problems[0]
    assert health.waited_s == pytest.approx(5.0, abs=0.25)


def test_a_port_that_nobody_listens_on_is_named():
    port = free_port()
    health = probed([RUNNING], tcp=(("127.0.0.1", port),), timeout_s=1.0)
    assert f"nothing answers on 127.0.0.1:{port}" in health.problems[0]


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code = int(self.path.strip("/") or 200)
        self.send_response(code)
        self.end_headers()
        self.wfile.write(f"host {self.headers['Host']}".encode())

    def log_message(self, *words):
        pass


@pytest.fixture
def web():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_address[1]
        server.shutdown()


def test_pages_are_judged_by_status_and_content(web):
    base = f"http://127.0.0.1:{web}"
    assert check_service.http_problem(HttpCheck(f"{base}/200")) == ""
    assert check_service.http_problem(HttpCheck(f"{base}/308")) == ""
    assert "answers 500, not 200-399" in check_service.http_problem(HttpCheck(f"{base}/500"))
    assert check_service.http_problem(HttpCheck(f"{base}/404", status=(401, 404))) == ""
    assert "answers 200, not 404" in check_service.http_problem(HttpCheck(f"{base}/200", status=(404,)))
    assert "does not contain 'word'" in check_service.http_problem(HttpCheck(f"{base}/", contains="word"))


def test_a_name_can_be_asked_for_at_another_address(web):
    check = HttpCheck("http://example.test/", contains="host example.test", address=f"127.0.0.1:{web}")
    assert check_service.http_problem(check) == ""


def test_what_is_no_http_is_a_problem_and_no_crash(web):
    assert "does not answer" in check_service.http_problem(HttpCheck(f"https://127.0.0.1:{web}/"))
    assert "does not answer" in check_service.http_problem(HttpCheck("http://name.invalid/"))


def test_certificates_are_looked_at_only_when_asked():
    assert check_service._context(verify=False).verify_mode == ssl.CERT_NONE
    assert check_service._context(verify=True).verify_mode == ssl.CERT_REQUIRED


def test_a_probe_is_read_from_json():
    probe = read_probe({"unit": "caddy", "tcp": [80, "[::1]:443", "10.0.0.1:8080"], "http": ["http://x/"], "stay_s": 0})
    assert probe.unit == "caddy.service"
    assert probe.tcp == (("127.0.0.1", 80), ("::1", 443), ("10.0.0.1", 8080))
    assert probe.http == (HttpCheck("http://x/"),)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "unit"),
        ([], "unit"),
        ({"unit": "x", "tcp": [0]}, "tcp: 0 is neither a port"),
        ({"unit": "x", "tcp": [True]}, "tcp"),
        ({"unit": "x", "tcp": ["a b:80"]}, "tcp"),
        ({"unit": "x", "tcp": ["a..b:80"]}, "tcp: 'a..b:80' is neither a port"),
        ({"unit": "x", "tcp": ["²"]}, "tcp"),
        ({"unit": "x", "http": ["ftp://x/"]}, "not an http:// or https:// URL"),
        ({"unit": "x", "http": ["http://a..b/"]}, "'http://a..b/' is not an http:// or https:// URL"),
        ({"unit": "x", "http": ["http://127.0.0.1:80800/"]}, "'http://127.0.0.1:80800/' is not a URL"),
        ({"unit": "x", "http": ["http://x:port/"]}, "'http://x:port/' is not a URL"),
        ({"unit": "x", "http": ["http://[::1/"]}, "is not a URL"),
        ({"unit": "x", "http": ["http://x:0/"]}, "has port 0"),
        ({"unit": "x", "http": ["http://x/é"]}, "'http://x/é' must be ASCII"),
        ({"unit": "x", "http": [{"url": "http://x/a b"}]}, "'http://x/a b' must be ASCII"),
        ({"unit": "x", "http": [{"url": "http://x/", "code": 1}]}, "'code' is unknown"),
        ({"unit": "x", "http": [{"url": "http://x/", "status": [99]}]}, "status"),
        ({"unit": "x", "stay_s": -1}, "stay_s: must be a number of seconds"),
        ({"unit": "x", "timeout_s": "long"}, "timeout_s"),
    ],
)
def test_a_wrong_description_is_named(document, words):
    with pytest.raises(BadProbe, match=re.escape(words)):
        read_probe(document)


def test_the_program_answers_with_one_object_and_an_exit_code(tmp_path):
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        "#!/bin/sh\necho ActiveState=active; echo SubState=running; echo MainPID=5; echo NRestarts=0\n"
    )
    systemctl.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    def told(document):
        done = subprocess.run(
            [sys.executable, "-B", SCRIPT],
            input=json.dumps(document),
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout)

    code, answer = told({"unit": "x", "stay_s": 0})
    assert (code, answer["healthy"], answer["problems"]) == (0, True, [])
    assert told({"unit": "x", "tcp": [free_port()], "timeout_s": 0})[0] == 1
    assert told({"unit": ""})[0] == 64
