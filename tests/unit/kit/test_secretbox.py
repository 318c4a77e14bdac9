import json
import os

import pytest

from myx_kit.errors import FailedPrecondition, Internal
from myx_kit.secretbox import SecretBox

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
