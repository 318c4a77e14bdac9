import hashlib
import hmac
import stat

import pytest

from myx_agent import auth
from myx_agent.auth import Authenticator, Nonces, Throttle, Verdict
from myx_agent.config import Config

CONFIG = Config(agent_token="t" * 32, secret_key="s" * 32, rpc_port=1, rpc_path="x" * 16)
NOW = 1_700_000_000


@pytest.fixture
def nonces(tmp_path):
    nonces = Nonces(tmp_path / "nonces", 600)
    nonces.load(NOW)
    yield nonces
    nonces.close()


def header(number=1, at=NOW, key="s" * 32):
    nonce = f"{number:032x}"
    text = f"POST\n/p/rpc\n{at}\n{nonce}\n{hashlib.sha256(b'{}').hexdigest()}"
    return f"v1;t={at};n={nonce};s={hmac.new(key.encode(), text.encode(), 'sha256').hexdigest()}"


def check(authenticator, value):
    return authenticator.check_signature(value, "POST", "/p/rpc", b"{}")


def test_a_nonce_counts_once_also_after_a_restart(nonces, tmp_path):
    assert check(Authenticator(CONFIG, nonces, lambda: NOW), header()) is Verdict.OK
    assert check(Authenticator(CONFIG, nonces, lambda: NOW), header()) is Verdict.DENIED
    nonces.close()
    again = Nonces(tmp_path / "nonces", 600)
    again.load(NOW + 10)

    assert check(Authenticator(CONFIG, again, lambda: NOW), header()) is Verdict.DENIED
    assert check(Authenticator(CONFIG, again, lambda: NOW), header(2)) is Verdict.OK
    again.close()
    assert stat.S_IMODE((tmp_path / "nonces").stat().st_mode) == 0o600


def test_a_skewed_request_does_not_use_up_its_nonce(nonces):
    assert check(Authenticator(CONFIG, nonces, lambda: NOW + 301), header()) is Verdict.CLOCK_SKEW
    assert check(Authenticator(CONFIG, nonces, lambda: NOW + 300), header()) is Verdict.OK


def test_a_wrong_key_is_denied_whatever_its_clock(nonces):
    assert check(Authenticator(CONFIG, nonces, lambda: NOW + 9999), header(key="x" * 32)) is Verdict.DENIED


def test_no_signature_is_needed_unless_required(nonces):
    required = Config(agent_token="t" * 32, secret_key="s" * 32, rpc_port=1, rpc_path="x" * 16, require_signature=True)

    assert check(Authenticator(CONFIG, nonces, lambda: NOW), None) is Verdict.OK
    assert check(Authenticator(required, nonces, lambda: NOW), None) is Verdict.DENIED


def test_old_nonces_are_forgotten(nonces, tmp_path, monkeypatch):
    monkeypatch.setattr(auth, "_COMPACT_LINES", 0)
    for number in range(1, 100):
        assert nonces.add(f"{number:032x}", NOW + 10 * number, NOW + 10 * number)

    assert len((tmp_path / "nonces").read_text().splitlines()) < 130


def test_nonces_are_bounded_and_those_that_gave_way_cannot_be_replayed(nonces, monkeypatch):
    monkeypatch.setattr(auth, "_MAX_NONCES", 10)
    for number in range(20):
        assert nonces.add(f"{number:032x}", NOW + number, NOW)

    assert not nonces.add(f"{3:032x}", NOW + 3, NOW)
    assert not nonces.add(f"{15:032x}", NOW + 15, NOW)
    assert nonces.add("f" * 32, NOW + 20, NOW)


def test_refusals_get_slower_and_are_bounded():
    throttle = Throttle(free=2, first_s=0.5, longest_s=3)

    assert [throttle.delay_s("a") for _ in range(7)] == [0, 0, 0.5, 1, 2, 3, 3]
    assert throttle.delay_s("b") == 0
    for number in range(5000):
        throttle.delay_s(str(number))
    assert throttle.delay_s("a") == 0  # gave way to newer addresses
