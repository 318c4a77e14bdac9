import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from myx_kit.errors import FailedPrecondition, Internal
from myx_kit.master_keys import add_key, drop_key, use_key
from myx_kit.secretbox import KeyRing, SecretBox

PLACE = {"table": "agents", "column": "token", "row": "1"}
KEY, OTHER = os.urandom(32), os.urandom(32)


@pytest.fixture
def box():
    return SecretBox({"k1": KEY}, "k1")


@pytest.mark.parametrize("plaintext", [b"", b"secret", bytes(100_000)])
def test_what_was_sealed_is_opened(box, plaintext):
    sealed = box.seal(plaintext, **PLACE)
    assert plaintext == b"" or plaintext not in sealed
    assert box.open(sealed, **PLACE) == plaintext


def test_the_same_secret_is_sealed_differently_each_time(box):
    assert box.seal(b"s", **PLACE) != box.seal(b"s", **PLACE)


@pytest.mark.parametrize("change", [{"table": "servers"}, {"column": "secret"}, {"row": "2"}])
def test_a_secret_moved_elsewhere_is_not_opened(box, change):
    sealed = box.seal(b"s", **PLACE)
    with pytest.raises(Internal) as caught:
        box.open(sealed, **(PLACE | change))
    assert caught.value.reason == "SECRET_UNREADABLE"


def test_no_altered_or_cut_secret_is_opened(box):
    sealed = box.seal(b"secret", **PLACE)
    forms = [sealed[:n] for n in range(len(sealed))]
    forms += [sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :] for n in range(len(sealed))]
    for form in forms:
        with pytest.raises(Internal) as caught:
            box.open(form, **PLACE)
        assert caught.value.reason == "SECRET_UNREADABLE"


def test_keys_are_rotated_without_losing_a_secret(box):
    sealed = box.seal(b"s", **PLACE)
    rotated = SecretBox({"k1": KEY, "k2": OTHER}, "k2")
    assert rotated.open(sealed, **PLACE) == b"s"
    assert not rotated.is_current(sealed)
    again = rotated.seal(rotated.open(sealed, **PLACE), **PLACE)
    assert rotated.is_current(again)
    only_new = SecretBox({"k2": OTHER}, "k2")
    assert only_new.open(again, **PLACE) == b"s"
    with pytest.raises(Internal):
        only_new.open(sealed, **PLACE)


def test_a_key_file_is_made_once_and_read(tmp_path):
    path = tmp_path / "master.json"
    SecretBox.create_file(path)
    before = path.read_text()
    SecretBox.create_file(path)
    assert path.read_text() == before
    assert path.stat().st_mode & 0o777 == 0o600
    sealed = SecretBox.from_file(path).seal(b"s", **PLACE)
    assert SecretBox.from_file(path).open(sealed, **PLACE) == b"s"


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        "{}",
        "nonsense",
        '{"primary": "k1", "keys": []}',
        '{"primary": "k1", "keys": {"k1": 5}}',
        '{"primary": "k1", "keys": {"k1": "AAAA"}}',
        '{"primary": "k1", "keys": {"k1": "%%"}}',
        '{"keys": {}}',
        json.dumps({"primary": "k2", "keys": {"k1": "A" * 43 + "="}}),
        json.dumps({"primary": "é", "keys": {"é": "A" * 43 + "="}}),
    ],
)
def test_a_bad_key_file_is_refused_without_showing_it(tmp_path, document):
    path = tmp_path / "master.json"
    path.write_text(document)
    path.chmod(0o600)
    with pytest.raises(FailedPrecondition) as caught:
        SecretBox.from_file(path)
    assert caught.value.reason == "MASTER_KEY_INVALID"
    assert "AAAA" not in str(caught.value)


def test_a_running_box_takes_the_keys_of_a_changed_file(tmp_path):
    path = tmp_path / "master.json"
    SecretBox.create_file(path)
    box = SecretBox.from_file(path)
    old = box.seal(b"s", **PLACE)
    assert not box.reload()
    key_id = add_key(path)
    assert box.reload()
    assert (box.primary, box.key_ids) == (key_id, {"k1", key_id})
    assert not box.is_current(old)
    assert box.is_current(box.seal(b"s", **PLACE))
    assert box.open(old, **PLACE) == b"s"


def test_a_box_opens_what_another_process_sealed_with_a_newer_key(tmp_path):
    path = tmp_path / "master.json"
    SecretBox.create_file(path)
    box = SecretBox.from_file(path)
    add_key(path)
    sealed = SecretBox.from_file(path).seal(b"s", **PLACE)
    assert box.open(sealed, **PLACE) == b"s"
    assert box.is_current(sealed)


def test_a_key_that_left_the_file_opens_until_the_process_ends(tmp_path):
    path = tmp_path / "master.json"
    SecretBox.create_file(path)
    box = SecretBox.from_file(path)
    sealed = box.seal(b"s", **PLACE)
    add_key(path)
    drop_key(path, "k1")
    assert box.reload()
    assert box.open(sealed, **PLACE) == b"s"
    with pytest.raises(Internal):
        SecretBox.from_file(path).open(sealed, **PLACE)


@pytest.mark.parametrize("content", ["", "nonsense", '{"primary": "k9", "keys": {}}'])
def test_a_file_that_became_bad_leaves_the_keys_in_force(tmp_path, content):
    path = tmp_path / "master.json"
    SecretBox.create_file(path)
    box = SecretBox.from_file(path)
    sealed = box.seal(b"s", **PLACE)
    path.write_text(content)
    with pytest.raises(FailedPrecondition):
        box.reload()
    assert box.open(sealed, **PLACE) == b"s"
    assert box.is_current(box.seal(b"s", **PLACE))


def test_another_key_under_a_known_id_is_refused(tmp_path):
    path = tmp_path / "master.json"
    SecretBox.create_file(path)
    box = SecretBox.from_file(path)
    path.unlink()
    SecretBox.create_file(path)
    with pytest.raises(FailedPrecondition, match="a new key needs a new id"):
        box.reload()


def test_keys_are_staged_used_and_dropped_in_steps(tmp_path):
    path = tmp_path / "master.json"
    SecretBox.create_file(path)
    key_id = add_key(path, primary=False)
    assert SecretBox.from_file(path).primary == "k1"
    use_key(path, key_id)
    assert SecretBox.from_file(path).primary == key_id
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FailedPrecondition, match="MASTER_KEY_IN_USE"):
        drop_key(path, key_id)
    for change in (use_key, drop_key):
        with pytest.raises(FailedPrecondition, match="MASTER_KEY_UNKNOWN"):
            change(path, "k7")
    drop_key(path, "k1")
    assert SecretBox.from_file(path).key_ids == {key_id}


def test_keys_added_at_once_are_all_kept(tmp_path):
    path = tmp_path / "master.json"
    SecretBox.create_file(path)
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda _: add_key(path), range(16)))
    assert SecretBox.from_file(path).key_ids == {"k1", *added}


def test_a_file_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    for path in (tmp_path / "none.json", tmp_path / "no-folder" / "none.json"):
        with pytest.raises(FailedPrecondition, match=r"none\.json"):
            add_key(path)


def test_no_key_is_printed(tmp_path):
    ring = KeyRing({"k1": KEY}, "k1")
    assert repr(ring) == "KeyRing(primary='k1', ids=['k1'])"
    assert "k1" not in repr(SecretBox({"k1": KEY}, "k1"))
