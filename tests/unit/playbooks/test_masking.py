"""A corpus of secrets and of the forms in which plays print them."""

import base64
import json
import shlex
import urllib.parse

import pytest
from myx_play.events import EventFile, Progress
from myx_play.masking import MASK, Masker

SECRETS = [
    "hunter22", "with space", 'quo"te', "it's", "back\\slash", "ünïcödé", "emoji😀secret", "a/b+c=d?e&f", "{{ jinja }}",
    "tab\there", "$(id)", "%41%42", "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n",
    ".*[a-z]+", "12345678",
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "form",
    [
        str,
        lambda s: json.dumps({"a": s}),
        lambda s: json.dumps({"a": s}, ensure_ascii=False),
        lambda s: json.dumps(json.dumps({"a": s})),
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
        lambda s: base64.b64encode(s.encode() + b"\n").decode(),
        lambda s: urllib.parse.quote(s, safe=""),
        shlex.quote,
        repr,
        lambda s: s.encode().hex(),
        lambda s: "\n".join(f"    {line}" for line in s.splitlines()),
    ],
)  # fmt: skip
def test_a_secret_does_not_survive_in_any_form(secret, form):
    shown = Masker({"s": secret}).text(f"before {form(secret)} after")
    assert MASK in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    for line in [form(secret), *(line for line in secret.splitlines() if len(line) >= 8)]:
        assert line not in shown


def test_values_deep_inside_are_masked_and_names_are_not():
    masker = Masker({"database": {"users": [{"password": "tiger-cat"}], "pin": 987654}, "on": True, "none": None})
    assert masker.deep({"database": ["tiger-cat", {"tiger-cat": 1}], "n": 987654}) == {
        "database": [MASK, {MASK: 1}],
        "n": 987654,
    }
    assert (
        masker.text("database users password True true None 987654") == f"database users password True true None {MASK}"
    )


def test_short_values_are_left_alone_and_the_longest_goes_first():
    assert Masker({"a": "abc"}).text("abc") == "abc"
    assert Masker({"a": "pass", "b": "password"}).text("password") == MASK


def test_no_secrets_cost_nothing():
    assert Masker({}).text("x") == "x"


def test_a_message_is_masked_before_it_is_cut(tmp_path):
    secret = "s" * 30
    masker = Masker({"a": secret})
    path = tmp_path / "events"
    progress = Progress(EventFile(str(path), masker), masker)
    result = {"msg": "x" * 480 + secret}
    progress.take({"event": "runner_on_failed", "event_data": {"task": "t", "host": "localhost", "res": result}})
    progress.finish(2)
    assert "ssss" not in path.read_text()
    first, last = map(json.loads, path.read_text().splitlines())
    assert (first["seq"], first["status"], last["type"], last["rc"]) == (1, "failed", "recap", 2)


def test_beyond_the_limit_only_the_recap_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("myx_play.events.MAX_BYTES", 300)
    masker = Masker({})
    path = tmp_path / "events"
    progress = Progress(EventFile(str(path), masker), masker)
    for _ in range(10):
        progress.take({"event": "playbook_on_play_start", "event_data": {"name": "x" * 100}})
    progress.finish(0)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [event["type"] for event in events] == ["play_started", "recap"]
    assert [event["seq"] for event in events] == [1, 2]
