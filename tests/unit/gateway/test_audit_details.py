"""What the audit trail shows of a request."""

import json
from typing import Any

import pytest

from myx_gateway.access.audit_details import bounded, details_of

SECRET = "hunter2-is-not-to-be-seen"

COMMAND = {
    "command": "systemctl",
    "args": ["restart", "caddy"],
    "env": {"LANG": SECRET},
    "secret_env": {"TOKEN": SECRET},
    "stdin": SECRET,
    "cwd": "/srv",
    "user": "root",
    "timeout_s": 60,
}
DEPLOYMENT = {
    "kind": "playbook",
    "playbook": "site.yml",
    "extra_vars": {"port": 8080, "nested": {"password": SECRET}},
    "secret_vars": {"api_key": SECRET},
    "tags": ["web"],
}
BODIES: dict[str, Any] = {
    "commands.run": {"server": "web-1", **COMMAND},
    "jobs.create": {
        "name": "patch",
        "selector": "env=prod",
        "work": {"command": COMMAND},
        "options": {"concurrency": {"count": 5}, "batches": [{"percent": 10}]},
    },
    "jobs.retry": {"statuses": ["failed"], "secrets": {"TOKEN": SECRET}},
    "deployments.create": {"server": "web-1", **DEPLOYMENT},
    "deployments.retry": {"secret_vars": {"api_key": SECRET}},
    "schedules.create": {
        "name": "nightly",
        "cron": "0 3 * * *",
        "work": {"job": {"selector": "all", "work": {"deployment": DEPLOYMENT}}},
    },
    "servers.create": {
        "name": "web-1",
        "address": "10.0.0.1",
        "labels": {"env": "prod"},
        "ssh": {"user": "deploy", "port": 22, "sudo": "auto"},
        "credential": {"password": SECRET, "sudo_password": SECRET, "user": SECRET},
    },
    "credentials.create": {"name": "ops", "secret": {"private_key": SECRET, "passphrase": SECRET}},
    "credentials.update": {"secret": {"password": SECRET}},
    "users.create": {
        "name": "alice",
        "display_name": "Alice",
        "password": SECRET,
        "grants": [{"role": "operator", "selector": "env=prod"}],
    },
    "session.create": {"name": SECRET, "password": SECRET},
    "session.change_password": {"old_password": SECRET, "new_password": SECRET},
    "tokens.create": {"name": "ci", "role": "viewer", "selector": "all", "expires_in_s": 3600},
}


TOKEN = f"myx_{'0a' * 16}_{'s3cr3t-_' * 5}abc"


@pytest.mark.parametrize(
    ("ssh", "shown"),
    [
        ({"user": "deploy", "credential": "ops.db_1"}, {"user": "deploy", "credential": "ops.db_1"}),
        ({"credential": "My Password!"}, {"credential": "given"}),
        ({"credential": {"password": SECRET}}, {"credential": "given"}),
    ],
)
def test_a_credential_is_shown_where_it_is_a_name(ssh: dict[str, Any], shown: dict[str, Any]) -> None:
    assert details_of("servers.create", {"ssh": ssh}) == {"ssh": shown}


def test_a_credential_of_the_servers_own_is_never_shown() -> None:
    assert details_of("servers.create", {"credential": "mypassword"}) == {"credential": "given"}
    options = {"credential": "mypassword", "ssh": [{"credential": "ops"}]}
    assert details_of("jobs.create", {"options": options}) == {
        "options": {"credential": "given", "ssh": [{"credential": "ops"}]}
    }


@pytest.mark.parametrize(
    "text", [TOKEN, TOKEN[:-5], TOKEN.upper(), f"Authorization: Bearer {TOKEN}", f"{TOKEN}{TOKEN}"]
)
def test_the_text_of_a_token_is_masked(text: str) -> None:
    shown = details_of("commands.run", {"command": "curl", "args": ["-H", text]})
    assert "s3cr3t" not in json.dumps(shown).lower()
    assert "0a" * 16 in json.dumps(shown).lower()
    # Wherever a long text is cut.
    assert all("s3cr3t" not in bounded(text, length).lower() for length in range(120))


@pytest.mark.parametrize("operation", BODIES)
def test_no_secret_is_shown(operation: str) -> None:
    assert SECRET not in json.dumps(details_of(operation, BODIES[operation]))


@pytest.mark.parametrize("operation", BODIES)
def test_no_secret_is_shown_under_a_name_that_is_not_known(operation: str) -> None:
    body = {"pasword": SECRET, SECRET: SECRET, "more": {"password": SECRET}, **BODIES[operation]}
    assert SECRET not in json.dumps(details_of(operation, body))


def test_it_shows_what_was_to_be_done() -> None:
    assert details_of("commands.run", BODIES["commands.run"]) == {
        "server": "web-1",
        "command": "systemctl",
        "args": ["restart", "caddy"],
        "env": ["LANG"],
        "secret_env": ["TOKEN"],
        "stdin": "given",
        "cwd": "/srv",
        "user": "root",
        "timeout_s": 60,
    }
    job = details_of("jobs.create", BODIES["jobs.create"])
    assert job["work"]["command"]["args"] == ["restart", "caddy"]
    assert job["options"] == {"concurrency": {"count": 5}, "batches": [{"percent": 10}]}
    server = details_of("servers.create", BODIES["servers.create"])
    assert server["labels"] == {"env": "prod"}
    assert server["credential"] == "given"
    user = details_of("users.create", BODIES["users.create"])
    assert user["grants"] == [{"role": "operator", "selector": "env=prod"}]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {"args": ["x" * 1000] * 1000, "command": "y" * 100_000, "labels": {str(n): "z" * 500 for n in range(900)}},
        {"work": {"job": {"work": {"job": {"work": {"job": {"work": {"job": {"name": "deep"}}}}}}}}},
        {"grants": [{"role": "x" * 400, "selector": "y" * 400}] * 10_000},
        {f"name{n}": 1 for n in range(10_000)},
        {"env": {"x" * 5000: ""}, "secret_env": {str(n): "" for n in range(10_000)}},
        {"name": "\ud800\0", "count": 1 << 70, "percent": float("nan")},
    ],
)
def test_whatever_is_sent_little_is_kept(body: Any) -> None:
    details = details_of("jobs.create", body)
    text = json.dumps(details)
    assert len(text) < 12_000
    text.encode()
    assert "\\u0000" not in text
    assert not any(isinstance(value, float) for value in details.values())


def test_long_arguments_are_shown_as_far_as_they_fit() -> None:
    args = details_of("commands.run", {"command": "echo", "args": ["a" * 400] * 30})["args"]
    assert args[0] == "a" * 400
    assert args[-1] == f"and {30 - len(args) + 1} more"


def test_texts_are_cut_and_cleaned() -> None:
    assert bounded("abcdef", 4) == "abc…"
    assert bounded("a\0b\ud800") == "a\ufffdb?"
