from pathlib import Path

import pytest

from myx_kit.secretbox import SecretBox
from myx_registry.__main__ import main


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    SecretBox.create_file(tmp_path / "master.json")
    (tmp_path / "url").touch(0o600)
    (tmp_path / "url").write_text("postgresql://a:b@127.0.0.1/c")
    for name, value in (
        ("TLS_DIR", tmp_path),
        ("DATABASE_URL_FILE", tmp_path / "url"),
        ("MASTER_KEY_FILE", tmp_path / "master.json"),
    ):
        monkeypatch.setenv(f"MYX_REGISTRY_{name}", str(value))
    monkeypatch.setattr("myx_kit.logging.configure", lambda *_: None)
    return tmp_path


def test_good_settings_pass(files: Path) -> None:
    assert main(["check-config"]) == 0


def test_a_key_file_that_others_can_read_is_one_line_and_exit_1(files: Path, capsys) -> None:
    (files / "master.json").chmod(0o644)
    assert main(["check-config"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "mode 600" in told


def test_wrong_settings_are_a_line_each_and_exit_2(files: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.delenv("MYX_REGISTRY_TLS_DIR")
    monkeypatch.setenv("MYX_REGISTRY_POOL_SIZE", "many")
    monkeypatch.setenv("MYX_REGISTRY_TYPO", "1")
    with pytest.raises(SystemExit) as caught:
        main(["serve"])
    assert caught.value.code == 2
    assert sorted(line.split(":")[0] for line in capsys.readouterr().err.splitlines()) == [
        "MYX_REGISTRY_POOL_SIZE",
        "MYX_REGISTRY_TLS_DIR",
        "MYX_REGISTRY_TYPO",
    ]


def test_a_key_is_added_staged_and_used(files: Path, capsys) -> None:
    assert main(["rotate-master-key", "--add-only"]) == 0
    staged = capsys.readouterr().out.split()[0]
    assert SecretBox.from_file(files / "master.json").primary == "k1"
    assert main(["rotate-master-key", "--use", staged]) == 0
    assert SecretBox.from_file(files / "master.json").primary == staged
    assert main(["rotate-master-key"]) == 0
    assert SecretBox.from_file(files / "master.json").primary not in ("k1", staged)


def test_an_unknown_key_is_one_line_and_exit_1(files: Path, capsys) -> None:
    assert main(["rotate-master-key", "--use", "k9"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "MASTER_KEY_UNKNOWN" in told.err
