import json
import re

import pytest

from myx_agent.config import Config, ConfigError, load, parse

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
