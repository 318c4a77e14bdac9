"""Patience: when it pauses, for how long, and when it gives up."""

import pytest

from myx_cli import follow
from myx_cli.follow import Follower, Patience


class Clock:
    def __init__(self):
        self.now_s = 0.0
        self.pauses = []

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now_s += seconds


@pytest.fixture
def notes(monkeypatch):
    told = []
    monkeypatch.setattr(follow, "note", told.append)
    return told


def test_pauses_grow_and_stay_within_the_limit(notes):
    clock = Clock()
    patience = Patience(20, clock.sleep, clock)
    while patience.pause("lost", 20):
        pass
    assert clock.now_s == pytest.approx(20)
    for pause, middle in zip(clock.pauses, (0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2), strict=False):
        assert 0.74 * middle <= pause <= 1.26 * middle
    assert max(clock.pauses) <= 2.51


def test_trouble_is_told_once_and_so_is_its_end(notes):
    clock = Clock()
    patience = Patience(120, clock.sleep, clock)
    for _ in range(8):
        assert patience.pause("lost", 120)
    patience.progress()
    patience.progress()
    assert len(notes) == 2
    assert notes[0].startswith("lost; trying again for up to 11")
    assert notes[1] == "connected again"


def test_progress_gives_the_full_time_again(notes):
    clock = Clock()
    patience = Patience(1, clock.sleep, clock)
    for _ in range(10):
        assert patience.pause("lost", 1)
        patience.progress()
        clock.now_s += 5
    assert notes == []


class Recorder:
    def __init__(self):
        self.seen = []

    def data(self, stream, offset, parts):
        self.seen.append((stream, offset, b"".join(parts)))

    def gap(self, start, end, reason):
        self.seen.append(("gap", start, end, reason))


def binary(stream, offset, data):
    return 2, memoryview(bytes([stream]) + offset.to_bytes(8, "big") + data)


def text(content):
    return 1, memoryview(content)


def follower(offset=0):
    recorder = Recorder()
    return Follower(None, "id", recorder, Patience(1), offset), recorder


def test_neighbours_of_one_stream_are_handed_on_together():
    it, recorder = follower()
    it._take([binary(1, 0, b"ab"), binary(1, 2, b"cd"), binary(2, 4, b"e"), binary(1, 5, b"f"), binary(1, 6, b"")])
    assert recorder.seen == [(1, 0, b"abcd"), (2, 4, b"e"), (1, 5, b"f")]
    assert it.offset == 6


def test_what_was_seen_is_cut_off_and_what_is_missing_is_a_gap():
    it, recorder = follower(4)
    it._take([binary(1, 0, b"abcd"), binary(1, 2, b"cdef"), binary(2, 9, b"x")])
    assert recorder.seen == [(1, 4, b"ef"), ("gap", 6, 9, "not sent by MyX"), (2, 9, b"x")]
    it._take([text(b'{"type":"gap","from":5,"to":20,"reason":"limit"}'), binary(1, 20, b"z")])
    assert recorder.seen[3:] == [("gap", 10, 20, "limit"), (1, 20, b"z")]


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"type":"final"}', b'{"type":"final","offset":1,"command":3}', b'{"type":"gap","from":"x","to":1}'],
)
def test_text_that_is_not_myxs_ends_it(content):
    it, _ = follower()
    with pytest.raises(follow.Failure, match="is the address right"):
        it._take([text(content)])


def test_unknown_events_are_passed_over():
    it, recorder = follower()
    it._take([text(b'{"type":"ping"}'), text(b'{"type":"event","seq":1}'), binary(7, 0, b"?"), binary(1, 1, b"a")])
    assert recorder.seen == [(1, 1, b"a")]
