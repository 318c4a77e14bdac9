import os
import shutil
import stat
from pathlib import Path
from typing import NamedTuple

import pytest

from myx_standalone import place
from myx_standalone.errors import StandaloneError
from myx_standalone.home import Home

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def state_below(folder: Path) -> dict[Path, tuple[int, ...]]:
    """All that a change would show in; looking moves the times of access only."""
    found = {item: item.lstat() for item in folder.rglob("*")}
    return {
        item: (s.st_ino, s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
        for item, s in found.items()
    }


def refused(path: Path) -> str:
    """The sentence of a refusal, which changes nothing."""
    before = state_below(path.parent)
    with pytest.raises(StandaloneError) as caught:
        place.claim(place.resolved(path))
    assert state_below(path.parent) == before
    sentence = str(caught.value)
    assert sentence.endswith("name another folder with MYX_HOME")
    return sentence


@pytest.mark.parametrize("contents", [[], ["lost+found"]])
def test_a_missing_and_an_empty_folder_are_taken_and_known_again(tmp_path: Path, contents: list[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(0o755)
    for name in contents:
        (empty / name).mkdir()
    for path in (tmp_path / "deep" / "数据 é", empty):
        place.claim(path)
        assert mode(path) == 0o700
        assert mode(path / place.MARK) == 0o600
        (path / "file").touch()
        path.chmod(0o755)
        place.claim(path)
        assert mode(path) == 0o700


def test_a_folder_with_files_of_others_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "precious").touch()
    folder.chmod(0o1777)
    assert "is shared with other users" in refused(folder)
    folder.chmod(0o755)
    assert "is not empty and not a folder of MyX" in refused(folder)
    (folder / "precious").unlink()
    folder.chmod(0o1777)
    assert "is shared with other users" in refused(folder)


def test_a_home_from_before_there_was_a_mark_is_known(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    home.make_secrets()
    (home.path / place.MARK).unlink()
    home.prepare()
    assert (home.path / place.MARK).exists()


def test_files_in_its_place_or_above_it_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file is not a folder" in refused(tmp_path / "file")
    assert "(Not a directory)" in refused(tmp_path / "file" / "home")
    assert "(File name too long)" in refused(tmp_path / ("x" * 300))


def test_links_lead_to_the_home_or_to_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "absent" / "home")
    place.claim(place.resolved(tmp_path / "link"))
    assert (tmp_path / "absent" / "home" / place.MARK).exists()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(StandaloneError, match="loop is no folder"):
        place.resolved(tmp_path / "loop")
    with pytest.raises(StandaloneError, match="is no folder"):
        place.resolved(Path("~no-such-user/x"))


@needs_root
def test_a_folder_of_another_user_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 65534, 65534)
    sentence = refused(tmp_path / "home")
    assert "belongs to the user nobody, and this is the user root: run MyX as that user" in sentence


@needs_root
def test_folders_that_this_user_cannot_enter_or_write_are_sentences(tmp_path: Path) -> None:
    closed = Path("/root/nope") if mode(Path("/root")) == 0o700 else tmp_path
    pid = os.fork()
    if not pid:
        said = []
        try:
            os.setresuid(65534, 65534, 65534)
            for path in (closed, Path("/usr/nope")):
                try:
                    place.claim(path)
                except StandaloneError as error:
                    said.append(str(error))
        finally:
            os._exit(0 if len(said) == 2 else 1)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable_is_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "not writable" in refused(tmp_path / "home")
    assert "not writable" in refused(tmp_path)


def test_a_file_system_without_room_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**9, 10**9 - 12_000_000, 12_000_000))
    (tmp_path / "empty").mkdir()
    for name in ("missing", "empty"):
        assert "(12 MB free, 134 MB needed)" in refused(tmp_path / name)


def test_a_disk_that_is_full_meanwhile_is_a_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(StandaloneError, match=r"/x/y cannot be used \(No space left on device\)"),
        place.sentences(tmp_path),
    ):
        raise OSError(28, "No space left on device", "/x/y")
