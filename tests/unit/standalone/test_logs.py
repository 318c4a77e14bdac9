import os
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


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    kept = Logs(tmp_path)
    assert not kept.tail("x")
    kept.path("x").write_bytes(b"a" * 5000 + b"\xff end\n")
    assert kept.tail("x").endswith("� end")
