import os

import pytest

from myx_kit.errors import FailedPrecondition
from myx_kit.files import read_private, write_private


def test_what_is_written_is_private_and_read_back(tmp_path):
    path = tmp_path / "secret"
    write_private(path, "hunter2\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_private(path) == "hunter2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_writing_again_replaces_content_and_a_wider_mode(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert read_private(path) == "new"


def test_a_wide_umask_does_not_widen_it(tmp_path):
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604])
def test_a_file_that_others_can_reach_is_refused(tmp_path, mode):
    path = tmp_path / "secret"
    path.write_text("hunter2")
    path.chmod(mode)
    with pytest.raises(FailedPrecondition) as caught:
        read_private(path)
    assert caught.value.reason == "SECRET_FILE_EXPOSED"
    assert "hunter2" not in str(caught.value)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_file_without_text_is_refused(tmp_path, content):
    path = tmp_path / "secret"
    write_private(path, content)
    with pytest.raises(FailedPrecondition) as caught:
        read_private(path)
    assert caught.value.reason == "SECRET_FILE_UNREADABLE"


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(FailedPrecondition) as caught:
            read_private(path)
        assert caught.value.reason == "SECRET_FILE_UNREADABLE"
