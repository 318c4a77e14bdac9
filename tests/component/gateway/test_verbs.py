"""What `python -m myx_gateway` does but serve: migrations with the first admin, and a lost password."""

import io
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from myx_gateway import __main__ as program
from myx_gateway import migrations
from myx_kit.files import write_private
from myx_testkit.postgres import Database

PASSWORD = "the-first-password-of-tests"
NEW = "another-good-password"
Run = Callable[..., int]


@pytest.fixture
def run(postgres: Database, tmp_path: Path, tls_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a verb with a database that is empty at first and, on standard input, what is given."""
    token, password = tmp_path / "token", tmp_path / "password"
    write_private(token, "a-token-of-sixteen-or-more")
    write_private(password, PASSWORD)
    settings = {
        "TLS_DIR": str(tls_dir),
        "REGISTRY_TARGET": "127.0.0.1:1",
        "HEARTBEAT_TARGET": "127.0.0.1:1",
        "EXECUTOR_TARGET": "127.0.0.1:1",
        "ADMIN_TOKEN_FILE": str(token),
        "FIRST_ADMIN_PASSWORD_FILE": str(password),
        "DATABASE_URL_FILE": str(postgres.url_file),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"MYX_GATEWAY_{name}", value)

    def main(*arguments: str, typed: str = "") -> int:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        return program.main(list(arguments))

    return main


def accounts(postgres: Database) -> list[tuple[str, bool, str]]:
    with psycopg.connect(postgres.url) as connection:
        return connection.execute("select name, disabled, password_hash from gateway.account").fetchall()


def test_migrating_makes_the_first_admin_once(run: Run, postgres: Database) -> None:
    assert run("migrate") == 0
    ((name, disabled, hashed),) = accounts(postgres)
    assert (name, disabled, hashed.startswith("$argon2id$")) == ("admin", False, True)
    assert run("migrate") == 0
    assert accounts(postgres) == [(name, disabled, hashed)]
    assert run("migrate", "--down-to", "base") == 0


def test_an_admin_who_was_renamed_away_does_not_come_back(run: Run, postgres: Database) -> None:
    assert run("migrate") == 0
    with psycopg.connect(postgres.url) as connection:
        connection.execute("update gateway.account set name = 'root', deleted_at = now()")
    assert run("migrate") == 0
    assert [row[0] for row in accounts(postgres)] == ["root"]


def test_a_weak_first_password_is_told(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, postgres: Database
) -> None:
    write_private(tmp_path / "password", "admin")
    assert run("migrate") == 1
    said = capsys.readouterr().err
    assert "PASSWORD_WEAK" in said
    assert "must have 12 characters" in said
    assert accounts(postgres) == []


def test_a_lost_password_is_replaced_from_standard_input(
    run: Run, postgres: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("migrate") == 0
    before = accounts(postgres)
    with psycopg.connect(postgres.url) as connection:
        connection.execute("update gateway.account set disabled = true")
        connection.execute(
            "insert into gateway.session (id, account_id, secret_sha256, address, user_agent, expires_at)"
            " select gen_random_uuid(), id, 'x', '', '', now() + interval '1 day' from gateway.account"
        )
    assert run("set-password", "admin", typed=f"{NEW}\n") == 0
    ((name, disabled, hashed),) = accounts(postgres)
    assert (name, disabled) == ("admin", False)
    assert hashed != before[0][2]
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("select count(*) from gateway.session").fetchone() == (0,)
        noted = connection.execute("select principal, operation, resource, result from gateway.audit_entry").fetchall()
        assert noted == [("local", "users.recover", "admin", "ok")]
    printed = "".join(capsys.readouterr())
    assert "admin has a new password" in printed
    assert NEW not in printed


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("admin", "", "no password was given"),
        ("admin", "short\n", "the password must have 12 characters"),
        ("nobody", f"{NEW}\n", "there is no such user"),
        ("Not A Name", f"{NEW}\n", "there is no such user"),
    ],
)
def test_what_cannot_be_done_is_told_without_the_password(
    run: Run, postgres: Database, capsys: pytest.CaptureFixture[str], name: str, typed: str, said: str
) -> None:
    migrations.upgrade(postgres.url)
    assert run("migrate") == 0
    assert run("set-password", name, typed=typed) == 1
    printed = capsys.readouterr().err
    assert said in printed
    assert not typed or typed.strip() not in printed


def test_a_wrong_file_is_told_before_anything_starts(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("check-config") == 0
    (tmp_path / "password").chmod(0o644)
    assert run("check-config") == 1
    assert "must belong to this user and have mode 600" in capsys.readouterr().err
