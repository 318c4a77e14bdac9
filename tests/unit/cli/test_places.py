"""Places of files as people write them, and what takes them."""

import io

import pytest

from myx_cli.archives import pack
from myx_cli.audit_trail import check_export
from myx_cli.commands.log_download import _Part
from myx_cli.endpoint import standalone_file
from myx_cli.errors import Failure, UsageError
from myx_cli.hashing import open_file
from myx_cli.places import expanded
from myx_cli.secrets import from_file
from myx_cli.variables import extra_vars

NOBODYS = "~nosuchuser/x"


@pytest.mark.parametrize(
    "take",
    [
        lambda: open_file(NOBODYS, 10),
        lambda: check_export(NOBODYS, None),
        lambda: from_file(NOBODYS, "--key-file"),
        lambda: extra_vars([f"@{NOBODYS}"]),
        lambda: pack(NOBODYS, io.BytesIO()),
    ],
)
def test_the_home_of_a_user_that_is_none_is_said(take):
    with pytest.raises(UsageError, match="~nosuchuser/x: there is no user"):
        take()


def test_a_home_is_looked_up(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x") == tmp_path / "x"


def test_in_a_folder_that_was_removed_there_is_no_standalone_here(monkeypatch, tmp_path):
    monkeypatch.delenv("MYX_HOME", raising=False)
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    found = standalone_file()
    assert found is None or not found.is_relative_to(folder)


def test_a_gap_that_cannot_be_noted_is_a_sentence(tmp_path):
    with _Part(tmp_path / "log", "0190") as part:
        part.path.with_suffix(".new").mkdir()
        with pytest.raises(Failure, match="cannot be written: Is a directory; what is there is kept"):
            part.gap(0, 5, "lost")
