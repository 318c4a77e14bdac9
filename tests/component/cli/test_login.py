"""`myx login`, contexts, and that tokens stay where they belong."""

import json
import ssl

import pytest
from cli_fake_access import PASSWORD
from cli_terminal import OnTerminal
from test_endpoint import certificate, write  # noqa: F401 (a fixture)

NOTHING = {"MYX_URL": "", "MYX_TOKEN": ""}
BOOK = ".config/myx/contexts.json"


@pytest.fixture
def bare(myx):
    """`myx` without an address or token in its environment."""
    myx.env |= NOTHING
    return myx


def book(myx):
    return json.loads((myx.cwd / BOOK).read_text())


def log_in(bare, gateway, *more, password=PASSWORD):
    options = ("--user", "alice", "--password-stdin", *more)
    return bare("login", gateway.url, *options, given=f"{password}\n".encode())


def test_a_login_makes_a_token_for_this_machine_and_keeps_it_for_this_user_alone(gateway, bare):
    done = log_in(bare, gateway)
    assert (done.returncode, done.stderr) == (0, b"")
    name = gateway.url.removeprefix("http://")
    assert done.stdout.decode() == f"logged in at {gateway.url} as user:alice; context {name} is in use\n"
    path = bare.cwd / BOOK
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    kept = book(bare)
    assert kept["current"] == name
    assert kept["contexts"][name] == {
        "url": gateway.url,
        "token": "myx_t1_secret",
        "token_id": "t1",
        "user": "alice",
        "ca": "",
    }
    # The session was only needed for the token.
    assert gateway.access.sessions == 0
    assert bare("status").returncode == 0
    assert gateway.requests[-1].headers["authorization"] == "Bearer myx_t1_secret"


def test_name_and_password_are_asked_for_on_the_terminal_and_the_password_is_not_shown(gateway, bare):
    terminal = OnTerminal(bare, "login", gateway.url, env=NOTHING)
    terminal.until("user:")
    terminal.type(b"alice\n")
    terminal.until("password:")
    terminal.type(PASSWORD.encode() + b"\n")
    code, screen = terminal.end()
    assert code == 0, screen
    assert "logged in" in screen
    assert PASSWORD not in screen


def test_a_wrong_password_is_said_and_nothing_is_kept(gateway, bare):
    done = log_in(bare, gateway, password="not it 0815")
    assert (done.returncode, done.stderr) == (125, b"myx: name or password is wrong\n")
    assert not (bare.cwd / BOOK).exists()


@pytest.mark.parametrize("way", ["stdin", "terminal"])
def test_a_token_that_somebody_else_made_is_taken_from_the_terminal_or_standard_input(gateway, bare, way):
    gateway.access.tokens["myx_given_4711"] = {"id": "given"}
    if way == "stdin":
        done = bare("login", gateway.url, "--token", given=b"myx_given_4711\n")
        assert (done.returncode, done.stderr) == (0, b"")
    else:
        terminal = OnTerminal(bare, "login", gateway.url, "--token", env=NOTHING)
        terminal.until("token:")
        terminal.type(b"myx_given_4711\n")
        assert terminal.end()[0] == 0
    (kept,) = book(bare)["contexts"].values()
    assert (kept["token"], kept["token_id"], kept["user"]) == ("myx_given_4711", "", "alice")


def test_a_token_that_does_not_open_is_not_kept(gateway, bare):
    done = bare("login", gateway.url, "--token", given=b"myx_wrong_4711\n")
    assert done.returncode == 125
    assert b"refused the token" in done.stderr
    assert b"4711" not in done.stderr
    assert not (bare.cwd / BOOK).exists()


def test_a_password_is_never_sent_in_the_clear_to_another_host(bare):
    done = bare("login", "http://example.com", "--user", "alice", "--password-stdin", given=b"x\n")
    assert done.returncode == 2
    assert b"in the clear" in done.stderr


def test_the_token_may_be_less_than_its_user(gateway, bare):
    done = log_in(bare, gateway, "--role", "viewer", "-l", "env=test", "--expires-in", "8h", "--token-name", "night")
    assert done.returncode == 0
    (made,) = gateway.posts("/tokens")
    assert made.json() == {"name": "night", "role": "viewer", "selector": "env=test", "expires_in_s": 28800}


def test_logging_in_again_replaces_the_token_and_revokes_the_one_before(gateway, bare):
    gateway.access.persons_only = True
    log_in(bare, gateway)
    done = bare("login", "--user", "alice", "--password-stdin", given=f"{PASSWORD}\n".encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert gateway.access.revoked == ["t1"]
    (kept,) = book(bare)["contexts"].values()
    assert kept["token_id"] == "t2"


def test_the_order_in_which_places_are_looked_at(gateway, bare):
    gateway.access.tokens |= {f"myx_{name}_1": {"id": name} for name in ("env", "used", "named", "varied", "home")}
    for name in ("used", "named", "varied"):
        bare("login", gateway.url, "--token", "--context", name, given=f"myx_{name}_1".encode())
    bare("context", "use", "used")
    home = {"MYX_HOME": str(write(bare.cwd / "home/standalone.json", gateway.url, "myx_home_1").parent)}
    environment = {"MYX_URL": gateway.url, "MYX_TOKEN": "myx_env_1"}
    for arguments, env, expected in [
        ([], {**home, "MYX_CONTEXT": "varied", **environment}, "env"),
        (["--context", "named"], {**home, "MYX_CONTEXT": "varied"}, "named"),
        ([], {**home, "MYX_CONTEXT": "varied"}, "varied"),
        ([], home, "used"),
    ]:
        assert bare(*arguments, "status", env=env).returncode == 0
        assert gateway.requests[-1].headers["authorization"] == f"Bearer myx_{expected}_1"
    assert bare("context", "use", "--none").returncode == 0
    assert bare("status", env=home).returncode == 0
    assert gateway.requests[-1].headers["authorization"] == "Bearer myx_home_1"


def test_two_places_at_once_are_refused_rather_than_guessed(gateway, bare):
    log_in(bare, gateway, "--context", "prod")
    count = len(gateway.requests)
    for arguments, env, said in [
        (["--context", "prod"], {"MYX_URL": gateway.url, "MYX_TOKEN": "x"}, b"MYX_URL and --context"),
        (["--context", "prod", "--url", gateway.url], {"MYX_TOKEN": "x"}, b"--url and --context"),
        ([], {"MYX_TOKEN": "tok-elsewhere-4711"}, b"the token from MYX_TOKEN would go to the context prod"),
        (["--context", "nope"], {}, b"there is no context 'nope'; those there are: prod"),
        ([], {"MYX_CONTEXT": "nope"}, b"there is no context 'nope'"),
    ]:
        done = bare(*arguments, "status", env=env)
        assert done.returncode in {2, 125}
        assert said in done.stderr
        assert b"4711" not in done.stderr
    assert len(gateway.requests) == count


def test_a_myx_that_is_named_by_its_home_is_never_another_one_that_is_in_use(gateway, bare):
    log_in(bare, gateway, "--context", "prod")
    write(bare.cwd / "home/standalone.json", "http://127.0.0.1:1", "myx_home_1")
    count = len(gateway.requests)
    for folder in ("home", "not started yet"):
        home = {"MYX_HOME": str(bare.cwd / folder)}
        for command in (["run", "local", "--", "true"], ["login", "--user", "alice", "--password-stdin"]):
            done = bare(*command, env=home, given=PASSWORD.encode())
            assert done.returncode == 2
            assert b"MYX_HOME and the context prod, which is in use, say different places" in done.stderr
    assert len(gateway.requests) == count
    assert bare("--context", "prod", "status", env=home).returncode == 0
    assert bare("status", env={**home, "MYX_CONTEXT": "prod"}).returncode == 0
    assert bare("status", env={**home, "MYX_URL": gateway.url, "MYX_TOKEN": "tok-3f9a71c0de"}).returncode == 0


def test_contexts_are_listed_shown_and_forgotten_without_their_tokens(gateway, bare):
    log_in(bare, gateway, "--context", "prod")
    gateway.access.tokens["myx_given_4711"] = {"id": "given"}
    bare("login", gateway.url, "--token", "--context", "test", given=b"myx_given_4711")
    outputs = [bare("context", "list"), bare("context", "show", "prod"), bare("context", "list", "-o", "json")]
    outputs += [bare("context", "show", "-o", "json")]
    assert [line.split(b"\t") for line in outputs[0].stdout.splitlines()] == [
        [b"", b"prod", b"alice", gateway.url.encode()],
        [b"*", b"test", b"alice", gateway.url.encode()],
    ]
    assert b"t1, made by myx login" in outputs[1].stdout
    assert json.loads(outputs[3].stdout)["name"] == "test"
    for done in outputs:
        assert done.returncode == 0
        assert b"secret" not in done.stdout + done.stderr
        assert b"4711" not in done.stdout
    done = bare("context", "remove", "prod", "test")
    assert b"prod: its token t1 stays valid" in done.stderr
    assert bare("context", "list").stdout == b""
    assert gateway.access.revoked == []
    assert bare("context", "use").returncode == 2


def test_a_logout_revokes_the_token_and_forgets_it(gateway, bare):
    gateway.access.persons_only = True
    log_in(bare, gateway, "--context", "prod")
    done = bare("logout")
    assert (done.returncode, done.stdout) == (0, b"context prod is forgotten; its token is revoked\n")
    assert done.stderr == b""
    assert gateway.access.revoked == ["t1"]
    assert book(bare) == {"current": "", "contexts": {}}
    assert bare("logout").returncode == 125


def test_logins_within_one_second_give_their_tokens_different_names(gateway, bare):
    for number in range(3):
        log_in(bare, gateway, "--context", f"c{number}")
    names = [asked.json()["name"] for asked in gateway.posts("/tokens")]
    assert len({name.rpartition(", ")[2] for name in names}) == 3, names


def test_a_logout_says_what_counts_from_then_on(gateway, bare):
    log_in(bare, gateway, "--context", "prod")
    log_in(bare, gateway, "--context", "test")
    done = bare("logout", "prod")
    assert done.stderr.decode() == f"myx: from now on: {gateway.url} with the token from the context test\n"
    path = write(bare.cwd / ".myx/standalone.json", gateway.url, "myx_home_1")
    assert f"{gateway.url} with the token from {path}" in bare("logout").stderr.decode()


def test_a_logout_from_a_myx_that_is_away_keeps_the_token_unless_forced(gateway, bare):
    log_in(bare, gateway, "--context", "prod")
    gateway.answers += [("DELETE /tokens/.*", "drop")] * 4
    done = bare("logout")
    assert done.returncode == 125
    assert b"nothing was forgotten (--force forgets it all the same)" in done.stderr
    assert "prod" in book(bare)["contexts"]
    done = bare("logout", "--force")
    assert done.returncode == 0
    assert b"could not be revoked" in done.stdout
    assert book(bare)["contexts"] == {}


def test_a_token_that_is_not_valid_any_more_is_forgotten(gateway, bare):
    log_in(bare, gateway, "--context", "prod")
    gateway.access.tokens.clear()
    done = bare("logout")
    assert (done.returncode, done.stdout) == (0, b"context prod is forgotten; its token was not valid any more\n")


def test_a_token_that_was_given_is_forgotten_and_stays_valid(gateway, bare):
    gateway.access.tokens["myx_given_4711"] = {"id": "given"}
    bare("login", gateway.url, "--token", "--context", "test", given=b"myx_given_4711")
    done = bare("logout", "test")
    assert done.returncode == 0
    assert b"was not made by myx login and stays valid" in done.stdout
    assert gateway.access.revoked == []


def test_whoami_says_who_may_do_what_and_where(gateway, bare):
    log_in(bare, gateway, "--context", "prod")
    done = bare("whoami")
    facts = dict(line.split("\t") for line in done.stdout.decode().splitlines())
    assert facts == {
        "name": "user:alice",
        "called": "Alice",
        "by": "token",
        "may": "operator on env=test",
        "address": gateway.url,
        "token from": "the context prod",
    }
    assert json.loads(bare("whoami", "-o", "json").stdout)["me"]["name"] == "user:alice"


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_contexts_that_others_can_read_are_refused(gateway, bare, mode):
    log_in(bare, gateway)
    (bare.cwd / BOOK).chmod(mode)
    for arguments in (["status"], ["context", "list"], ["logout"]):
        done = bare(*arguments)
        assert done.returncode == 125
        assert b"can be read or changed by other users" in done.stderr


@pytest.mark.parametrize("content", ["", "{", "[]", '{"contexts": 3}', '{"contexts": {"a": {"url": "x"}}}', "null"])
def test_damaged_contexts_are_named(bare, content):
    path = bare.cwd / BOOK
    path.parent.mkdir(parents=True)
    path.write_text(content)
    path.chmod(0o600)
    done = bare("status")
    assert done.returncode == 125
    assert b"contexts.json is damaged" in done.stderr


def test_the_configuration_folder_can_be_moved_and_be_a_link(gateway, bare, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    bare.env["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    (tmp_path / "xdg/myx").mkdir(parents=True)
    (elsewhere / "kept.json").write_text('{"contexts": {}}')
    (elsewhere / "kept.json").chmod(0o600)
    (tmp_path / "xdg/myx/contexts.json").symlink_to(elsewhere / "kept.json")
    assert log_in(bare, gateway).returncode == 0
    assert (tmp_path / "xdg/myx/contexts.json").is_symlink()
    assert json.loads((elsewhere / "kept.json").read_text())["current"]
    assert [path.name for path in elsewhere.iterdir()] == ["kept.json"]


def test_an_own_authority_is_kept_and_no_other_is_trusted(gateway, bare, certificate):  # noqa: F811
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    gateway.listen_tls(context)
    gateway.access.tokens["myx_given_4711"] = {"id": "given"}
    url = gateway.url = gateway.url.replace("127.0.0.1", "localhost")
    done = bare("login", url, "--token", given=b"myx_given_4711")
    assert done.returncode == 125
    assert b"its certificate is not trusted" in done.stderr
    done = bare("login", url, "--token", "--ca", str(certificate[0]), "--context", "own", given=b"myx_given_4711")
    assert (done.returncode, done.stderr) == (0, b"")
    certificate[0].rename(certificate[0].with_suffix(".moved"))
    assert bare("status").returncode == 0
    assert b"authority\tits own\n" in bare("context", "show").stdout
    done = bare("login", url, "--token", "--ca", str(certificate[1]), given=b"x")
    assert (done.returncode, b"holds no certificate" in done.stderr) == (2, True)
    # Once known, it need not be given again.
    assert bare("login", "--token", given=b"myx_given_4711").returncode == 0
    assert book(bare)["contexts"]["own"]["ca"].startswith("-----BEGIN CERTIFICATE-----")
