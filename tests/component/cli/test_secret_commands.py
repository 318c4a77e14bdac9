"""Credentials, logins and labels of servers: what is sent, what is refused, and that no secret is seen on the way."""

import json
from pathlib import Path

import pytest
from cli_fake_jobs import problem

from myx_testkit.wait import until_sync

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nhidden-key\n-----END OPENSSH PRIVATE KEY-----\n"
STORED = {
    "id": "id-fleet",
    "name": "fleet",
    "type": "password",
    "user": "ops",
    "has_sudo_password": True,
    "used_by": ["web"],
    "used_by_count": 3,
}


@pytest.fixture
def files(tmp_path):
    """Files with secrets; all hold the word hidden but the public half of a key."""
    texts = {
        "password": "hidden-password\r\n",
        "sudo": "hidden-sudo",
        "key": KEY,
        "phrase": "hidden-phrase\n",
        "public": "ssh-ed25519 AAAA ops@host\n",
        "empty": "\n",
        "nul": "hidden\0word",
        "large": "hidden" * 20_000,
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "latin").write_bytes("hidden-größe".encode("latin-1"))
    return tmp_path


def sent(gateway, method):
    return [request.json() for request in gateway.requests if request.method == method and request.body]


@pytest.mark.parametrize(
    ("options", "given", "secret"),
    [
        (["--password-file", "password"], None, {"password": "hidden-password"}),
        (["--password-stdin", "--user", "ops"], b"hidden-typed\n", {"password": "hidden-typed", "user": "ops"}),
        (["--password-stdin"], b" hidden spaces \n\n", {"password": " hidden spaces \n"}),
        (
            ["--key-file", "key", "--passphrase-file", "phrase", "--sudo-password-file", "sudo"],
            None,
            {"private_key": KEY, "passphrase": "hidden-phrase", "sudo_password": "hidden-sudo"},
        ),
    ],
)
def test_a_credential_is_added_and_only_shown_without_its_secrets(gateway, myx, files, options, given, secret):
    gateway.answers.append(("POST /credentials", (201, STORED)))
    done = myx("credential", "add", "fleet", *options, given=given)
    assert done.returncode == 0, done.stderr
    assert sent(gateway, "POST") == [{"name": "fleet", "secret": secret}]
    assert b"password for sudo" in done.stdout
    assert b"web, and 2 more" in done.stdout
    assert b"hidden" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--password-file", "none"], "--password-file: none cannot be read: No such file or directory"),
        (["--password-file", "empty"], "--password-file: empty is empty"),
        (["--password-file", "nul"], "--password-file: nul holds a NUL character"),
        (["--password-file", "large"], "--password-file: large is larger than 64 KiB"),
        (["--password-file", "latin"], "--password-file: latin is not UTF-8 text"),
        (["--password-file", "."], "--password-file: . cannot be read: Is a directory"),
        (["--password-stdin"], "--password-stdin: standard input is empty"),
        (["--ask-password"], "--ask-password: no terminal to ask at"),
        (["--key-file", "public"], "--key-file: public holds no private key; that is the public half"),
        (["--key-file", "password"], "--key-file: password holds no private key"),
        (["--key-file", "key", "--password-file", "password"], "--password-file and --key-file exclude each other"),
        (["--password-file", "password", "--passphrase-file", "phrase"], "--passphrase-file belongs to --key-file"),
        (["--sudo-password-file", "sudo"], "--sudo-password-file belongs to a password or key"),
        (["--password", "hidden-word"], "unrecognized argument: --password (see myx "),
        (["--password=hidden-word"], "unrecognized argument: --password (see myx "),
    ],
)
@pytest.mark.parametrize("command", [["credential", "add", "fleet"], ["server", "set", "local", "--port", "22"]])
def test_a_wrong_login_is_refused_before_anything_is_sent(gateway, myx, files, command, options, words):
    done = myx(*command, *options, start_new_session=True)
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert b"hidden" not in done.stdout + done.stderr
    assert gateway.requests == []


def test_a_credential_without_a_secret_is_refused(gateway, myx):
    done = myx("credential", "add", "fleet", "--user", "ops")
    assert done.returncode == 2
    assert b"a password or key is needed: --ask-password, --password-file, --password-stdin or" in done.stderr
    assert gateway.requests == []


def test_a_new_secret_keeps_the_user_and_a_new_user_needs_the_secret(gateway, myx, files):
    gateway.answers += [("GET /credentials/fleet", (200, STORED)), ("PATCH /credentials/fleet", (200, STORED))] * 2
    assert myx("credential", "set", "fleet", "--password-file", "password").returncode == 0
    done = myx("credential", "set", "fleet", "--name", "new", "--key-file", "key", "--user", "", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, STORED)
    assert sent(gateway, "PATCH") == [
        {"secret": {"password": "hidden-password", "user": "ops"}},
        {"name": "new", "secret": {"private_key": KEY, "user": ""}},
    ]
    for options, words in (
        (["--user", "me"], b"--user needs the password or key again"),
        ([], b"what is to be changed?"),
    ):
        done = myx("credential", "set", "fleet", *options)
        assert done.returncode == 2
        assert words in done.stderr
    assert len(sent(gateway, "PATCH")) == 2


def test_a_credential_in_use_is_only_removed_by_force(gateway, myx):
    gateway.answers.append(("DELETE /credentials/fleet", problem(409, "CREDENTIAL_IN_USE", "3 servers use it")))
    gateway.answers.append(("DELETE /credentials/fleet", (204, b"")))
    done = myx("credential", "remove", "fleet")
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"3 servers use it" in done.stderr
    assert myx("credential", "remove", "fleet", "--force").returncode == 0
    assert [request.query for request in gateway.requests] == [{}, {"force": ["true"]}]


@pytest.mark.parametrize("command", [["credential", "add", "fleet"], ["server", "add", "web", "192.0.2.1"]])
def test_a_secret_is_seen_neither_in_the_list_of_processes_nor_in_what_a_failure_says(gateway, myx, files, command):
    gateway.answers.append(("POST /(credentials|servers)", "hang"))
    process = myx.start(*command, "--key-file", "key", "--passphrase-file", "phrase", "--sudo-password-file", "sudo")
    until_sync(lambda: gateway.posts("/(credentials|servers)"), 30)
    place = Path(f"/proc/{process.pid}")
    assert b"--key-file" in (place / "cmdline").read_bytes()
    assert b"hidden" not in (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert b"hidden" not in out + err

    gateway.answers.append(("POST /(credentials|servers)", problem(422, "INVALID", "the key is none")))
    done = myx(*command, "--key-file", "key")
    assert done.returncode == 2
    assert b"the key is none" in done.stderr
    assert b"hidden" not in done.stdout + done.stderr


def there(**facts):
    return {"id": "id-web", "name": "web", "address": "192.0.2.1", "labels": {}, "agent": None, "etag": "7", **facts}


def test_labels_are_set_and_taken_away_and_the_others_stay(gateway, myx):
    server = there(labels={"env": "test", "role": "web", "old": "x"})
    gateway.answers += [("GET /servers/web", (200, server)), ("PATCH /servers/id-web", (200, server))]
    done = myx("server", "label", "web", "env=prod", "old-", "never-there-", "team=", "note=a=b")
    assert done.returncode == 0, done.stderr
    (request,) = (request for request in gateway.requests if request.method == "PATCH")
    assert request.json() == {"labels": {"env": "prod", "role": "web", "team": "", "note": "a=b"}}
    assert request.headers["if-match"] == '"7"'


@pytest.mark.parametrize("label", ["env", "=prod", "-", ""])
def test_what_is_no_label_is_refused(gateway, myx, label):
    done = myx("server", "label", "web", "--", label)
    assert done.returncode == 2
    assert b"is not NAME=VALUE" in done.stderr
    assert gateway.requests == []


@pytest.mark.parametrize("command", [["label", "web", "env=prod"], ["set", "web", "--address", "192.0.2.2"]])
def test_a_change_over_somebody_elses_is_refused(gateway, myx, command):
    changed = problem(412, "ETAG_MISMATCH", "it was changed")
    gateway.answers += [("GET /servers/web", (200, there())), ("PATCH /servers/id-web", changed)]
    done = myx("server", *command)
    assert done.returncode == 125
    assert b"somebody else changed the server at the same time; nothing was done, try again" in done.stderr


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        (["--name", "web-2", "--address", "192.0.2.2"], {"name": "web-2", "address": "192.0.2.2"}),
        (["--port", "2022"], {"ssh": {"port": 2022, "user": "ops", "credential": "fleet", "jump_servers": ["hop"]}}),
        (["--jump", "a", "--jump", "b"], {"ssh": {"user": "ops", "credential": "fleet", "jump_servers": ["a", "b"]}}),
        (["--no-jump"], {"ssh": {"user": "ops", "credential": "fleet", "jump_servers": []}}),
        (["--repair", "ask"], {"repair_policy": "ask"}),
        (["--accept-host-key"], {"accept_new_host_key": True}),
        (["--no-accept-host-key"], {"accept_new_host_key": False}),
        (
            ["--password-file", "password"],
            {
                "credential": {"password": "hidden-password"},
                "ssh": {"user": "ops", "credential": "", "jump_servers": ["hop"]},
            },
        ),
    ],
)
def test_only_what_is_named_is_changed(gateway, myx, files, options, changes):
    server = there(ssh={"user": "ops", "credential": "fleet", "jump_servers": ["hop"]})
    gateway.answers += [("GET /servers/web", (200, server)), ("PATCH /servers/id-web", (200, server))]
    done = myx("server", "set", "web", *options)
    assert done.returncode == 0, done.stderr
    assert sent(gateway, "PATCH") == [changes]
    assert b"hidden" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], b"what is to be changed?"),
        (["--jump", "a", "--no-jump"], b"--jump and --no-jump exclude each other"),
        (["--password-file", "password", "--credential", "c"], b"exclude each other"),
        (["--password-file", "password", "--no-credential"], b"exclude each other"),
        (["--port", "65536"], b"is not a port: 1 to 65535"),
        (["--sudo", "sometimes"], b"invalid choice"),
    ],
)
def test_a_wrong_change_is_refused(gateway, myx, files, options, words):
    done = myx("server", "set", "web", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert gateway.requests == []
