import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from myx_standalone import logs
from myx_standalone.logs import Logs


def test_a_log_that_grew_is_moved_aside_under_its_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LIMIT_BYTES", 10)
    kept = Logs(tmp_path)
    descriptor = kept.open("x")
    os.write(descriptor, b"twelve bytes")
    kept.shorten()
    os.write(descriptor, b"more")
    os.close(descriptor)
    assert kept.path("x").read_bytes() == b"more"
    assert (tmp_path / "x.log.1").read_bytes() == b"twelve bytes"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_log_is_cut_short_where_there_is_no_room_for_its_older_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logs, "LIMIT_BYTES", 10)
    monkeypatch.setattr(shutil, "copyfile", full)
    kept = Logs(tmp_path)
    for name in ("x", "y"):
        kept.path(name).write_bytes(b"twelve bytes")
    kept.shorten()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x.log": b"", "y.log": b""}


def test_one_log_that_cannot_be_shortened_leaves_the_others_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LIMIT_BYTES", 10)
    kept = Logs(tmp_path)
    for name in ("a", "z"):
        (tmp_path / f"{name}.log").symlink_to(tmp_path / "nowhere")
    kept.path("x").write_bytes(b"twelve bytes")
    kept.shorten()
    assert kept.path("x").read_bytes() == b""


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    kept = Logs(tmp_path)
    assert not kept.tail("x")
    kept.path("x").write_bytes(b"a" * 5000 + b"\xff end\n")
    assert kept.tail("x").endswith("� end")
