import json
import re

import pytest

from myx_agent.config import Config, ConfigError, load, parse, write

GOOD = {"agent_token": "t" * 32, "secret_key": "s" * 32, "rpc_port": 24351, "rpc_path": "a3f8b9c2d1e4f607"}


def parsed(**changes):
    return parse(json.dumps(GOOD | changes).encode(), "config.json")


def test_four_keys_suffice():
    assert parsed() == Config(**GOOD)


def test_the_seeds_own_path_of_twelve_characters_is_good():
    assert parsed(rpc_path="a3f8b9c2d1e4").rpc_path == "a3f8b9c2d1e4"


@pytest.mark.parametrize("key", GOOD)
@pytest.mark.parametrize("value", ["missing", None, ""])
def test_a_missing_or_empty_key_is_named(key, value):
    document = {name: given for name, given in GOOD.items() if name != key}
    if value != "missing":
        document[key] = value
    with pytest.raises(ConfigError, match=rf"^config\.json: {key} is (missing|empty)$"):
        parse(json.dumps(document).encode(), "config.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("agent_token", "short"),
        ("agent_token", "with blanks in it, long enough"),
        ("agent_token", "ümläut-token-long-enough"),
        ("agent_token", 12345678901234567890),
        ("secret_key", "short"),
        ("rpc_port", 0),
        ("rpc_port", 65536),
        ("rpc_port", "24351"),
        ("rpc_port", 1.5),
        ("rpc_port", True),
        ("rpc_path", "short"),
        ("rpc_path", "with/slash/in/it"),
        ("rpc_path", "x" * 65),
        ("rpc_path", "ünïcödé-ünïcödé"),
        ("spool_dir", "relative"),
        ("certificate_path", ""),
        ("max_body_bytes", 0),
        ("max_body_bytes", "8 MiB"),
        ("min_free_bytes", -1),
        ("refusal_delay_s", -1),
        ("signature_tolerance_s", 0),
        ("require_signature", "yes"),
        ("log_level", "loud"),
        ("max_running", 0),
        ("files_dir", "relative"),
        ("upgrade_guard_path", "relative"),
        ("max_uploads", 0),
        ("previous", {"agent_token": "o" * 32}),
    ],
)
def test_a_malformed_value_is_named_by_its_key_and_not_shown(key, value):
    with pytest.raises(ConfigError) as caught:
        parsed(**{key: value})

    text = str(caught.value)
    assert re.match(f"config.json: {key} ", text)
    assert "\n" not in text
    if key in {"agent_token", "secret_key", "rpc_path"} and isinstance(value, str) and len(value) > 5:
        assert value not in text


def test_an_unknown_key_is_named():
    with pytest.raises(ConfigError, match=r"config\.json: rpc_prot is not a known key"):
        parsed(rpc_prot=1)


class TestIgnorable:
    """What a newer release wrote must not keep an older one, that came back, from serving."""

    def test_a_key_that_is_named_there_is_skipped(self):
        assert parsed(newer=1, newest={"a": 1}, ignorable=["newer", "newest"]) == Config(
            **GOOD, ignorable=("newer", "newest")
        )

    def test_a_key_that_is_not_named_there_is_still_refused(self):
        with pytest.raises(ConfigError, match=r"config\.json: newest is not a known key"):
            parsed(newer=1, newest=1, ignorable=["newer"])

    def test_a_key_that_is_known_is_checked_all_the_same(self):
        with pytest.raises(ConfigError, match="max_running must be positive"):
            parsed(max_running=0, ignorable=["max_running"])
        with pytest.raises(ConfigError, match="agent_token is malformed"):
            parsed(agent_token="short", ignorable=["agent_token"])

    @pytest.mark.parametrize("value", ["newer", [1], {}])
    def test_what_is_no_list_of_names_is_refused(self, value):
        with pytest.raises(ConfigError, match=r"config\.json: ignorable "):
            parsed(ignorable=value)


class TestPrevious:
    PAIR = {"certificate_path": "/c", "key_path": "/k"}  # noqa: RUF012 - only read

    def test_it_may_hold_what_a_newer_release_put_there(self):
        before = {"agent_token": "o" * 32, "secret_key": "p" * 32, **self.PAIR, "newer": 1}

        assert parsed(previous=before, rotation_id="r").previous.agent_token == "o" * 32

    @pytest.mark.parametrize("secret", ["short", "with blanks in it, long enough"])
    def test_its_secrets_are_checked_and_not_shown(self, secret):
        with pytest.raises(ConfigError) as caught:
            parsed(previous={"agent_token": "o" * 32, "secret_key": secret, **self.PAIR})

        assert str(caught.value) == "config.json: previous is malformed"


def test_a_document_is_written_whole_and_private_or_not_at_all(tmp_path):
    path = tmp_path / "config.json"
    assert write(path, GOOD | {"newer": 1, "ignorable": ["newer"]}) == load(path)
    assert json.loads(path.read_text())["newer"] == 1
    assert path.stat().st_mode & 0o777 == 0o600

    before = path.read_bytes()
    with pytest.raises(ConfigError):
        write(path, GOOD | {"rpc_port": 0})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe"])
def test_what_is_no_object_is_said(text):
    with pytest.raises(ConfigError, match=r"config\.json: not "):
        parse(text, "config.json")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o602])
def test_a_file_that_others_may_open_is_refused(tmp_path, mode):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(GOOD))
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:o}"):
        load(path)
    path.chmod(0o600)
    assert load(path) == Config(**GOOD)
