"""Nonces on a disk that takes nothing: the agent goes on in memory and says so once."""

import contextlib
import logging
import resource

import pytest

from myx_agent.auth import Nonces

NOW = 1_700_000_000
KEEP_S = 600


@contextlib.contextmanager
def full_disk(free_bytes=0):
    """No file of this process grows beyond `free_bytes`: the nearest to a full disk that needs no root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nonces"


@pytest.fixture
def opened(path):
    """Make Nonces on the same file, as after a restart."""
    made = []

    def open_nonces(now_s=NOW):
        nonces = Nonces(path, KEEP_S)
        made.append(nonces)
        nonces.load(now_s)
        return nonces

    yield open_nonces
    for nonces in made:
        nonces.close()


def name(number):
    return f"{number:032x}"


def test_a_restart_on_a_full_disk_keeps_what_was_seen(opened, caplog):
    before = opened()
    assert before.add(name(1), NOW, NOW)
    with full_disk():
        after = opened()

        assert not after.add(name(1), NOW, NOW)
        assert after.add(name(2), NOW, NOW)
        assert not after.add(name(2), NOW, NOW)
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING


def test_what_the_disk_kept_is_not_lost_by_a_restart_while_it_is_full(opened, path):
    before = opened()
    assert before.add(name(1), NOW, NOW)
    with full_disk():
        opened()

    assert name(1) in path.read_text()
    assert not path.with_suffix(".new").exists()
    assert not opened().add(name(1), NOW, NOW)


@pytest.mark.parametrize("free_bytes", [0, 50])
def test_a_disk_that_fills_up_stops_no_request_and_no_protection(opened, caplog, free_bytes):
    nonces = opened()
    with full_disk(free_bytes):  # 50: a line is written in part
        for number in range(5):
            assert nonces.add(name(number), NOW, NOW)
            assert not nonces.add(name(number), NOW, NOW)

    assert len(caplog.records) == 1


def test_everything_is_written_once_there_is_room_again(opened, caplog):
    caplog.set_level(logging.INFO)
    nonces = opened()
    with full_disk(50):
        for number in range(3):
            assert nonces.add(name(number), NOW, NOW)
    assert nonces.add(name(3), NOW + 60, NOW + 60)
    nonces.close()

    again = opened(NOW + 60)
    assert not any(again.add(name(number), NOW + 60, NOW + 60) for number in range(4))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_torn_line_of_a_crash_is_no_trouble(opened, path):
    path.write_text(f"{NOW} {name(1)}\n{NOW} {name(2)[:9]}")
    nonces = opened()

    assert not nonces.add(name(1), NOW, NOW)
    assert nonces.add(name(2), NOW, NOW)
    assert not opened().add(name(2), NOW, NOW)
