"""Settings that cannot be right are told before anything starts."""

from pathlib import Path

import pytest

from myx_gateway.settings import GatewaySettings, parse_names, parse_networks
from myx_gateway.tls import read_certificate
from myx_kit.errors import FailedPrecondition
from myx_kit.tls import certificate_path, ensure_tls, key_path

GIVEN = {
    "TLS_DIR": "/tls",
    "REGISTRY_TARGET": "a:1",
    "HEARTBEAT_TARGET": "b:1",
    "EXECUTOR_TARGET": "c:1",
    "ADMIN_TOKEN_FILE": "/token",
    "DATABASE_URL_FILE": "/url",
}


def load(monkeypatch: pytest.MonkeyPatch, **more: str) -> GatewaySettings:
    for name, value in {**GIVEN, **more}.items():
        monkeypatch.setenv(f"MYX_GATEWAY_{name}", value)
    return GatewaySettings.load()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"TLS_CERT_FILE": "/a"}, "go together"),
        ({"PUBLIC_URL": "myx.example.com"}, "PUBLIC_URL: must be https://host"),
        ({"PUBLIC_URL": "https://myx.example.com/path"}, "PUBLIC_URL: must be https://host"),
        ({"TRUSTED_PROXIES": "10.0.0.0/33"}, "TRUSTED_PROXIES: must be networks"),
        ({"HOST_NAMES": "myx, myx.example.com:8470"}, "HOST_NAMES: must be names"),
        ({"SESSION_IDLE_S": "0"}, "SESSION_IDLE_S"),
    ],
)
def test_wrong_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: dict[str, str], said: str
) -> None:
    with pytest.raises(SystemExit):
        load(monkeypatch, **more)
    assert said in capsys.readouterr().err


def test_people_come_over_tls_by_our_certificate_or_by_a_public_url(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not load(monkeypatch).secure
    assert not load(monkeypatch, PUBLIC_URL="http://myx.example.com").secure
    assert load(monkeypatch, PUBLIC_URL="HTTPS://MyX.example.com/").public_url == "https://myx.example.com"
    assert load(monkeypatch, PUBLIC_URL="https://myx.example.com").secure
    assert load(monkeypatch, PUBLIC_URL="", TLS_CERT_FILE="/a", TLS_KEY_FILE="/b").secure


def test_host_names(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_names(load(monkeypatch, HOST_NAMES="MyX, myx.example.com,").host_names) == ("myx", "myx.example.com")


def test_networks() -> None:
    assert [str(network) for network in parse_networks("10.0.0.0/8, ::1,")] == ["10.0.0.0/8", "::1/128"]


def test_a_certificate_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    ensure_tls(tmp_path, ("gateway", "other"))
    certificate, key = certificate_path(tmp_path, "gateway"), key_path(tmp_path, "gateway")
    read_certificate(certificate, key)
    for wrong in (key_path(tmp_path, "other"), tmp_path / "none"):
        with pytest.raises(FailedPrecondition):
            read_certificate(certificate, wrong)
    with pytest.raises(FailedPrecondition, match="no certificate with its key"):
        read_certificate(key, key)
    key.chmod(0o644)
    with pytest.raises(FailedPrecondition, match="must belong to this user"):
        read_certificate(certificate, key)
