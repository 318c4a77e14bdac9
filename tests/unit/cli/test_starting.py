"""What is said of a start whose answer did not come."""

import threading
from types import SimpleNamespace

import pytest

from myx_cli import api
from myx_cli.api import Client
from myx_cli.endpoint import Endpoint
from myx_cli.errors import INTERRUPTED, Failure, Unreachable
from myx_cli.follow import Patience
from myx_cli.http1 import Response
from myx_cli.jobs.selection import Selection
from myx_cli.nouns import JOB
from myx_cli.starting import post_patiently

HERE = Endpoint("http", "127.0.0.1", 1, "", "t", "test")


class Asked:
    """A session of which only Ctrl-C is of interest."""

    noun = JOB

    def __init__(self):
        self.interrupted = threading.Event()

    @property
    def asked_to_end(self):
        return self.interrupted.is_set()

    def patience(self):
        return Patience(60, lambda _seconds: self.interrupted.set())


def test_a_kept_connection_that_breaks_may_have_brought_the_request_there(monkeypatch):
    class Connection:
        reusable = True

        def __init__(self, *_place, **_options):
            if answers == []:
                raise ConnectionRefusedError

        def request(self, *_request):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        def is_over(self):
            return False

        def close(self):
            pass

    monkeypatch.setattr(api, "Connection", Connection)
    answers = [Response(200, {}, b"{}"), ConnectionResetError()]
    client = Client(HERE)
    client.get("/servers")
    with pytest.raises(Unreachable) as raised:
        client.post("/jobs", {}, idempotency_key="k")
    assert raised.value.maybe_sent


def test_nothing_is_sent_after_ctrl_c():
    session, posts = Asked(), []
    session.interrupted.set()
    client = SimpleNamespace(post=lambda *given, **_options: posts.append(given))
    with pytest.raises(Failure, match="nothing was started") as raised:
        post_patiently(client, session, {}, "key")
    assert (raised.value.exit_code, posts) == (INTERRUPTED, [])


def test_ctrl_c_in_the_pause_after_a_refused_connection_sends_nothing():
    session, posts = Asked(), []

    def post(*given, **_options):
        posts.append(given)
        raise Unreachable("refused", maybe_sent=False)

    with pytest.raises(Failure, match="nothing was started"):
        post_patiently(SimpleNamespace(post=post), session, {}, "key")
    assert len(posts) == 1


def test_ctrl_c_while_the_servers_are_asked_for_shows_and_starts_nothing(capsys):
    session = Asked()

    def post(*_given):
        session.interrupted.set()
        return {"targets": [{"server_name": "web-1"}], "targets_sha256": "x"}

    selection = Selection(SimpleNamespace(post=post), session, "all", {}, agreed=True, quiet=False)
    with pytest.raises(Failure, match="nothing was started"):
        selection.agree()
    assert capsys.readouterr().err == ""
