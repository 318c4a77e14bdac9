"""`myx user`, `myx token`, `myx session`: what is sent, what is shown, and what is never shown."""

import json

import pytest
from cli_fake_access import PASSWORD
from cli_fake_jobs import problem
from cli_terminal import OnTerminal

NEW = "a new password 0815"


def test_a_person_is_added_with_grants_and_a_password_from_standard_input(gateway, myx):
    options = ("--display-name", "Bob B.", "--grant", "operator on env=prod and role=web", "-g", "viewer")
    done = myx("user", "add", "bob", *options, "--password-stdin", given=f"{NEW}\n".encode())
    assert (done.returncode, done.stderr) == (0, b"")
    (asked,) = gateway.posts("/users")
    assert asked.json() == {
        "name": "bob",
        "display_name": "Bob B.",
        "kind": "person",
        "grants": [
            {"role": "operator", "selector": "env=prod and role=web"},
            {"role": "viewer", "selector": "all"},
        ],
        "password": NEW,
    }
    assert asked.headers["idempotency-key"]
    assert NEW.encode() not in done.stdout
    assert b"may\toperator on env=prod and role=web\nmay\tviewer on all\n" in done.stdout


def test_a_password_is_asked_for_twice_and_must_be_the_same(gateway, myx):
    for second, code in ((NEW, 0), ("another", 2)):
        terminal = OnTerminal(myx, "user", "add", "bob", env={"MYX_URL": gateway.url})
        terminal.until("password of bob:")
        terminal.type(f"{NEW}\n".encode())
        terminal.until("the same again:")
        terminal.type(f"{second}\n".encode())
        ended, screen = terminal.end()
        assert ended == code
        assert NEW not in screen
    assert "the two are not the same" in screen
    assert len(gateway.posts("/users")) == 1


def test_a_program_has_no_password(gateway, myx):
    assert myx("user", "add", "ci", "--program", "-g", "operator").returncode == 0
    (asked,) = gateway.posts("/users")
    assert (asked.json()["kind"], "password" in asked.json()) == ("program", False)
    done = myx("user", "add", "ci", "--program", "--password-stdin", given=b"x")
    assert (done.returncode, b"a program has no password" in done.stderr) == (2, True)


@pytest.mark.parametrize("grant", ["owner", "operator env=prod", "admin on", ""])
def test_what_is_no_grant_is_said_before_anything_is_asked(gateway, myx, grant):
    done = myx("user", "add", "bob", "--grant", grant, "--password-stdin", given=b"x")
    assert done.returncode == 2
    assert b"is not a grant" in done.stderr
    assert not gateway.requests


def test_a_user_is_changed_as_it_was_seen(gateway, myx):
    gateway.access.users["bob"] = {"name": "bob", "id": "u9", "grants": [], "disabled": False, "etag": "e7"}
    assert myx("user", "set", "bob", "--disable", "--no-grants", "--display-name", "B").returncode == 0
    patch = gateway.requests[-1]
    assert (patch.method, patch.headers["if-match"]) == ("PATCH", '"e7"')
    assert patch.json() == {"disabled": True, "grants": [], "display_name": "B"}
    done = myx("user", "set", "bob", "--password-stdin", given=NEW.encode())
    assert (done.returncode, b"API tokens live on (myx token list --user bob)" in done.stderr) == (0, True)
    assert gateway.requests[-1].json() == {"password": NEW}
    assert myx("user", "set", "bob").returncode == 2
    assert myx("user", "set", "bob", "--no-grants", "-g", "viewer").returncode == 2
    assert myx("user", "set", "bob", "--enable", "--disable").returncode == 2


def test_users_are_listed_shown_and_removed(gateway, myx):
    facts = {"kind": "person", "disabled": True, "display_name": "Bob", "last_login_at": "2026-01-01T00:00:00Z"}
    grants = [{"role": "operator", "selector": "env=prod"}, {"role": "viewer", "selector": "all"}]
    gateway.access.users["bob"] = {"name": "bob", "id": "u9", "grants": grants, **facts}
    assert myx("user", "list").stdout == (
        b"bob\tperson\tdisabled\t2026-01-01T00:00:00Z\tu9\tBob\toperator on env=prod, viewer on all\n"
    )
    assert json.loads(myx("user", "list", "-o", "json").stdout)["items"][0]["name"] == "bob"
    assert json.loads(myx("user", "show", "bob", "-o", "json").stdout)["grants"] == grants
    assert myx("user", "remove", "bob").returncode == 0
    assert gateway.access.users == {}


def test_a_token_is_shown_once_alone_on_standard_output(gateway, myx):
    done = myx("token", "create", "ci", "--user", "alice", "--role", "operator", "-l", "env=test", "--expires-in", "2h")
    assert done.returncode == 0
    assert done.stdout == b"myx_t1_secret\n"
    assert b"secret" not in done.stderr
    (asked,) = gateway.posts("/tokens")
    assert asked.json() == {
        "name": "ci",
        "user": "alice",
        "role": "operator",
        "selector": "env=test",
        "expires_in_s": 7200,
    }
    assert json.loads(myx("token", "create", "x", "-o", "json").stdout)["token"] == "myx_t2_secret"
    assert gateway.posts("/tokens")[1].json() == {"name": "x"}
    assert myx("token", "create", "y", "--expires-in", "never").returncode == 0
    assert gateway.posts("/tokens")[2].json()["expires_in_s"] is None
    assert b"secret" not in myx("token", "list").stdout


def test_whose_token_it_is_to_be_is_asked_in_the_words_of_the_option(gateway, myx):
    for user, said in ((None, b"whose token it is to be with --user NAME"), ({"name": "alice"}, b"name must be")):
        gateway.answers.append(("POST /tokens", problem(400, "REQUEST_INVALID", "name must be …")))
        gateway.answers.append(("GET /session", (200, {"me": {"name": "token:admin", "user": user}})))
        done = myx("token", "create", "ci")
        assert (done.returncode, said in done.stderr) == (2, True)


@pytest.mark.parametrize("command", [["token", "create", "ci"], ["login", "--user", "alice"]])
def test_how_long_a_token_is_valid_is_checked_before_anything_is_asked(gateway, myx, command):
    for time, said in (("400d", b"--expires-in: '400d' is too long: 1m to 365d"), ("5", b"is too short: 1m to 365d")):
        done = myx(*command, "--expires-in", time)
        assert (done.returncode, said in done.stderr) == (2, True)
    assert not gateway.requests


def test_a_token_goes_into_a_new_file_that_nobody_else_can_read(gateway, myx, tmp_path):
    done = myx("token", "create", "ci", "--to", str(tmp_path / "token"))
    assert (done.returncode, done.stdout) == (0, b"")
    assert (tmp_path / "token").read_text() == "myx_t1_secret\n"
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    done = myx("token", "create", "ci", "--to", str(tmp_path / "token"))
    assert (done.returncode, b"is not overwritten" in done.stderr) == (2, True)
    assert len(gateway.posts("/tokens")) == 1
    done = myx("token", "create", "ci", "--to", str(tmp_path / "no/token"))
    assert done.returncode == 125
    # A token that nobody has is revoked again.
    assert gateway.access.revoked == ["t2"]


def test_tokens_and_sessions_are_revoked(gateway, myx):
    myx("token", "create", "a")
    myx("token", "create", "b")
    assert myx("token", "revoke", "t1", "t2").returncode == 0
    assert myx("session", "revoke", "s8", "s9").returncode == 0
    assert gateway.access.revoked == ["t1", "t2", "s8", "s9"]
    done = myx("token", "revoke", "a")
    assert (done.returncode, b"there is no token a: what is wanted is an ID" in done.stderr) == (125, True)
    myx("token", "list", "--all")
    assert gateway.requests[-1].query["user"] == ["*"]


def test_what_a_token_may_not_do_is_done_after_the_password_was_asked_for(gateway, myx):
    gateway.access.persons_only = True
    done = myx("token", "create", "ci")
    assert done.returncode == 125
    assert b"this is for somebody who has logged in" in done.stderr
    for arguments in (("token", "create", "ci"), ("token", "revoke", "t1"), ("session", "revoke", "s9")):
        terminal = OnTerminal(myx, *arguments)
        terminal.until("password of alice:")
        terminal.type(f"{PASSWORD}\n".encode())
        code, screen = terminal.end()
        assert (code, PASSWORD in screen) == (0, False)
    assert gateway.access.revoked == ["t1", "s9"]
    assert gateway.access.sessions == 0


def test_ones_own_password_is_changed_at_the_terminal(gateway, myx):
    assert myx("password").returncode == 2
    for second, code in ((NEW, 0), ("another", 2)):
        terminal = OnTerminal(myx, "password")
        for prompt, typed in (("password of alice:", PASSWORD), ("new password:", NEW), ("the same again:", second)):
            terminal.until(prompt)
            terminal.type(f"{typed}\n".encode())
        ended, screen = terminal.end()
        assert (ended, NEW in screen, PASSWORD in screen) == (code, False, False)
        assert ("API tokens live on" in screen) == (code == 0)
    assert gateway.access.changed == [{"old_password": PASSWORD, "new_password": NEW}]
    assert gateway.access.sessions == 0
