"""Certificates: a small CA for one machine and tests, and an agent's self-signed one. ECDSA P-256."""

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from myx_kit.files import write_private

CA_FILE = "ca.crt"
_CA_KEY_FILE = "ca.key"
_CA_DAYS = 7300
# Long: services read theirs at the start only, and may run for years.
_LEAF_DAYS = 3650
_AGENT_DAYS = 3650
_RENEW_BEFORE = dt.timedelta(days=730)
# Clocks of other machines may be a little behind.
_BACKDATE = dt.timedelta(hours=1)


def ca_path(tls_dir: Path) -> Path:
    """The certificate that all peers are checked against."""
    return tls_dir / CA_FILE


def certificate_path(tls_dir: Path, name: str) -> Path:
    """The certificate of the service `name`."""
    return tls_dir / f"{name}.crt"


def key_path(tls_dir: Path, name: str) -> Path:
    """The private key of the service `name`, mode 600."""
    return tls_dir / f"{name}.key"


def ensure_tls(tls_dir: Path, names: Iterable[str]) -> None:
    """Make `tls_dir` hold a CA and, for each name, a certificate and key for both client and server use.

    The common name and a DNS name of each certificate are its service name; localhost and 127.0.0.1 are in it too. What
    is there and good for two years more is kept, what is missing, damaged or about to expire is made anew; a new CA
    makes all certificates new. Keys have mode 600. One caller at a time.
    """
    tls_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _load_pair(tls_dir / CA_FILE, tls_dir / _CA_KEY_FILE)
    if authority is None or _expires_soon(authority[0]):
        authority = _make_ca()
        _write_pair(tls_dir / CA_FILE, tls_dir / _CA_KEY_FILE, *authority)
    for name in names:
        pair = _load_pair(certificate_path(tls_dir, name), key_path(tls_dir, name))
        if pair is None or _expires_soon(pair[0]) or not _issued_by(pair[0], authority[0]):
            _write_pair(certificate_path(tls_dir, name), key_path(tls_dir, name), *_make_leaf(name, *authority))


def make_agent_certificate(common_name: str) -> tuple[str, str, str]:
    """A self-signed certificate for an agent: (certificate PEM, PKCS 8 private key PEM, SHA-256 of the DER in hex).

    Good for ten years: peers pin its fingerprint and check no name and no date.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(common_name, common_name, _AGENT_DAYS, key.public_key())
    certificate = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )
    fingerprint = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    return _certificate_pem(certificate).decode(), _key_pem(key).decode(), fingerprint


_Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _make_ca() -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder("MyX CA", "MyX CA", _CA_DAYS, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _make_leaf(name: str, ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(name), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(name, "MyX CA", _LEAF_DAYS, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return certificate, key


def _builder(subject: str, issuer: str, days: int, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _load_pair(certificate_file: Path, key_file: Path) -> _Pair | None:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return certificate, key


def _write_pair(
    certificate_file: Path, key_file: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    write_private(key_file, _key_pem(key))
    write_private(certificate_file, _certificate_pem(certificate), mode=0o644)


def _expires_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - dt.datetime.now(dt.UTC) < _RENEW_BEFORE


def _issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
