import errno
import json
import time

import pytest

from myx_agent.supervisor import store as store_module
from myx_agent.supervisor.store import Limits, Store

LIMITS = Limits(1 << 30, 1000, 0, 5, 3600, 10)


@pytest.fixture
def spool(tmp_path):
    (tmp_path / "commands").mkdir()
    return tmp_path


def finished(spool, store, name, size, ended_at=None):
    folder = spool / "commands" / name
    folder.mkdir()
    (folder / "log").write_bytes(b"x" * size)
    (folder / "index").write_bytes(b"")
    stream = {"bytes": size, "sha256": "…", "dropped": 0}
    empty = {"bytes": 0, "sha256": "…", "dropped": 0}
    record = {"end": size, "kept": size, "gap": None, "result": {"stdout": stream, "stderr": empty}}
    (folder / "result.json").write_text(json.dumps(record))
    store.add_finished(name, ended_at or time.time(), size)


def test_the_oldest_logs_give_way_and_their_results_say_it(spool):
    store = Store(str(spool), LIMITS)
    for name in ("a", "b", "c"):
        finished(spool, store, name, 300)
    assert store.make_room(400)

    record = json.loads((spool / "commands/a/result.json").read_text())
    assert record["gap"] == {"from": 0, "to": 300, "reason": "spool_limit"}
    assert (record["result"]["stdout"]["bytes"], record["result"]["stdout"]["dropped"]) == (0, 300)
    assert not (spool / "commands/a/log").exists()
    assert (spool / "commands/b/log").exists()
    assert store.used == 1000


def test_on_a_full_disk_the_log_that_gives_way_makes_room_to_say_so(spool, monkeypatch):
    store = Store(str(spool), LIMITS)
    finished(spool, store, "a", 900)
    folder = spool / "commands/a"
    write_whole = store_module.layout.write_whole

    def write_where_there_is_room(path, data):
        if (folder / "log").exists():
            raise OSError(errno.ENOSPC, "full")
        write_whole(path, data)

    monkeypatch.setattr(store_module.layout, "write_whole", write_where_there_is_room)
    assert store.make_room(400)
    assert json.loads((folder / "result.json").read_text())["kept"] == 0


def test_there_is_no_room_when_nothing_can_give_way(spool):
    store = Store(str(spool), LIMITS)
    assert store.make_room(900)
    assert not store.make_room(101)
    store.give_back(900)
    assert store.make_room(1000)


def test_no_more_are_kept_than_allowed(spool):
    store = Store(str(spool), LIMITS)
    for number in range(8):
        finished(spool, store, str(number), 10)

    assert sorted(path.name for path in (spool / "commands").iterdir()) == ["3", "4", "5", "6", "7"]
    assert (store.finished_count, store.used) == (5, 50)
    assert store.was_released("0")


def test_old_ones_go(spool):
    store = Store(str(spool), LIMITS)
    finished(spool, store, "old", 10, time.time() - 3601)
    finished(spool, store, "new", 10)
    store.expire()

    assert [path.name for path in (spool / "commands").iterdir()] == ["new"]


def test_released_ids_are_remembered_over_a_restart_and_bounded(spool, monkeypatch):
    monkeypatch.setattr(store_module, "MAX_TOMBSTONES", 10)
    store = Store(str(spool), LIMITS)
    for number in range(50):
        store.release(f"id{number}")
    again = Store(str(spool), LIMITS)
    again.load_released()

    assert [again.was_released(f"id{number}") for number in (0, 39, 40, 49)] == [False, False, True, True]
    assert len((spool / "released").read_text().splitlines()) <= 21
