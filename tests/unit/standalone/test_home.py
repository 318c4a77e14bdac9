import json
import os
import socket
import stat
from pathlib import Path

import pytest

from myx_standalone.errors import StandaloneError
from myx_standalone.home import Home


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_made_closed_and_repaired(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    home.prepare()
    home.path.chmod(0o755)
    home.secrets.rmdir()
    home.prepare()
    assert mode(home.path) == 0o700
    assert mode(home.secrets) == 0o700


def test_two_cannot_run_on_one_folder(tmp_path: Path) -> None:
    home = Home(tmp_path)
    expected = rf"runs on {tmp_path} already \(process {os.getpid()}\): stop that one, or name another folder"
    with home.locked(), pytest.raises(StandaloneError, match=expected), home.locked():
        pass
    with home.locked():
        assert mode(tmp_path / "lock") == 0o600


def test_a_folder_in_use_is_refused_without_a_trace_in_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.refuse_if_in_use()
    home.prepare()
    home.refuse_if_in_use()
    with home.locked(), pytest.raises(StandaloneError, match=rf"already \(process {os.getpid()}\)"):
        home.refuse_if_in_use()


def test_secrets_are_made_once_and_closed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.make_secrets()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    home.make_secrets()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    secret = {path.name for path in before if mode(path) == 0o600}
    assert {"admin.token", "registry.keys", "executor.keys", "ca.key", "gateway.key"} <= secret


def test_ports_are_kept_and_a_taken_one_is_replaced(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.pick_ports()
    assert len(set(first.values())) == len(first)
    assert home.pick_ports() == first
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["nats"]))
        other.listen()
        second = home.pick_ports()
    assert {name for name in first if first[name] != second[name]} == {"nats"}


@pytest.mark.parametrize("damage", ["", "[]", '{"nats": "x", "registry": 99999999}'])
def test_a_damaged_ports_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    home = Home(tmp_path)
    home.ports_file.write_text(damage)
    assert home.pick_ports() == json.loads(home.ports_file.read_text())


def test_the_address_and_token_are_announced_to_this_user_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.make_secrets()
    home.announce("http://127.0.0.1:1")
    facts = json.loads(home.standalone_file.read_text())
    assert (facts["url"], facts["token"], facts["pid"]) == ("http://127.0.0.1:1", home.token, os.getpid())
    assert mode(home.standalone_file) == 0o600
    home.withdraw()
    home.withdraw()
    assert not home.standalone_file.exists()
