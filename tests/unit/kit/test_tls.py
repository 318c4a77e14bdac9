import datetime as dt
import hashlib
import ssl

import pytest
from cryptography import x509

from myx_kit import tls
from myx_kit.tls import ca_path, certificate_path, ensure_tls, key_path, make_agent_certificate


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    ensure_tls(tmp_path / "tls", ["registry", "nats"])
    return tmp_path / "tls"


def test_folder_and_keys_are_private(folder):
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in folder.iterdir()} == {
        "ca.crt", "ca.key", "registry.crt", "registry.key", "nats.crt", "nats.key"
    }  # fmt: skip


def test_names_are_in_the_certificate(folder):
    certificate = x509.load_pem_x509_certificate(certificate_path(folder, "registry").read_bytes())
    assert certificate.subject.rfc4514_string() == "CN=registry"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["registry", "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


@pytest.mark.parametrize("name", ["registry", "localhost", "127.0.0.1"])
def test_pythons_ssl_believes_both_sides(folder, name):
    _handshake(folder, "registry", "nats", name)


def test_a_stranger_is_not_believed(folder, tmp_path):
    ensure_tls(tmp_path / "other", ["registry"])
    with pytest.raises(ssl.SSLError):
        _handshake(tmp_path / "other", "registry", "nats", "registry", client_folder=folder)


def test_doing_it_again_changes_nothing(folder):
    before = snapshot(folder)
    ensure_tls(folder, ["registry", "nats"])
    assert snapshot(folder) == before


def test_a_new_name_leaves_the_others_alone(folder):
    before = snapshot(folder)
    ensure_tls(folder, ["registry", "nats", "gateway"])
    after = snapshot(folder)
    assert before.items() <= after.items()
    _handshake(folder, "gateway", "nats", "gateway")


@pytest.mark.parametrize("damage", ["missing", "garbled", "swapped"])
def test_a_damaged_pair_is_made_anew(folder, damage):
    before = snapshot(folder)
    path = key_path(folder, "registry")
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"nonsense" if damage == "garbled" else before["nats.key"])
    ensure_tls(folder, ["registry", "nats"])
    assert snapshot(folder)["nats.crt"] == before["nats.crt"]
    _handshake(folder, "registry", "nats", "registry")


def test_a_new_authority_makes_all_anew(folder):
    before = snapshot(folder)
    (folder / "ca.key").unlink()
    ensure_tls(folder, ["registry", "nats"])
    assert not before.items() & snapshot(folder).items()
    _handshake(folder, "registry", "nats", "registry")


def test_what_is_about_to_expire_is_renewed(folder, monkeypatch):
    before = snapshot(folder)
    monkeypatch.setattr(tls, "_RENEW_BEFORE", dt.timedelta(days=3651))
    ensure_tls(folder, ["registry"])
    after = snapshot(folder)
    assert after["ca.crt"] == before["ca.crt"]
    assert after["registry.crt"] != before["registry.crt"]
    assert after["nats.crt"] == before["nats.crt"]


def test_an_agents_certificate_has_the_fingerprint_that_peers_will_see():
    certificate_pem, key_pem, fingerprint = make_agent_certificate("web-1")
    assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate_pem)).hexdigest() == fingerprint
    assert key_pem.startswith("-----BEGIN PRIVATE KEY-----")
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    assert certificate.not_valid_after_utc - dt.datetime.now(dt.UTC) > dt.timedelta(days=3600)


def test_an_agents_certificate_loads_into_pythons_ssl(tmp_path):
    certificate_pem, key_pem, _ = make_agent_certificate("web-1")
    (tmp_path / "both.pem").write_text(certificate_pem + key_pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "both.pem")


def _handshake(folder, server, client, server_hostname, client_folder=None):
    client_folder = client_folder or folder
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate_path(folder, server), key_path(folder, server))
    server_context.load_verify_locations(ca_path(folder))
    server_context.verify_mode = ssl.CERT_REQUIRED
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_cert_chain(certificate_path(client_folder, client), key_path(client_folder, client))
    client_context.load_verify_locations(ca_path(client_folder))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client_context.wrap_bio(to_client, to_server, server_hostname=server_hostname),
        server_context.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert sides[1].getpeercert()["subject"] == ((("commonName", client),),)
