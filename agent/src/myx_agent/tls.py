"""The agent's certificate: what the control plane gave, or a self-signed one made at first start."""

import hashlib
import ssl
import subprocess
import sys
from asyncio import sslproto
from pathlib import Path

from myx_agent.config import Config

_SUBJECT = "myx-agent"
_OPENSSL_TIMEOUT_S = 60
_CRYPTOGRAPHY_PROGRAM = """
import datetime, os, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "myx-agent")])
now = datetime.datetime.now(datetime.timezone.utc)
crt = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    .not_valid_after(now + datetime.timedelta(days=3650)).sign(key, hashes.SHA256()))
with open(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
    f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
with open(sys.argv[2], "wb") as f:
    f.write(crt.public_bytes(serialization.Encoding.PEM))
"""


class CertificateError(Exception):
    """One line for the operator."""


def ensure_certificate(config: Config) -> None:
    """Make a self-signed certificate (ECDSA P-256) unless there is one. Raises CertificateError."""
    certificate, key = Path(config.certificate_path), Path(config.key_path)
    if certificate.exists() and key.exists():
        return
    if certificate.exists() or key.exists():
        there, missing = (certificate, key) if certificate.exists() else (key, certificate)
        raise CertificateError(f"{there} exists but {missing} does not")
    try:
        for folder in {certificate.parent, key.parent}:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new_certificate, new_key = certificate.with_suffix(".crt.new"), key.with_suffix(".key.new")
        new_key.unlink(missing_ok=True)
        _make(new_certificate, new_key)
        new_key.chmod(0o600)
        new_key.rename(key)
        new_certificate.rename(certificate)
    except OSError as error:
        raise CertificateError(f"cannot write the certificate: {error}") from None


class Identity:
    """The certificate that new connections are shown: `context`, for each handshake asked anew."""

    def __init__(self, config: Config) -> None:
        """Raises CertificateError."""
        self.context = make_context(config)

    def take(self, config: Config) -> None:
        """From now on the certificate of this configuration is shown. Raises CertificateError."""
        self.context = make_context(config)  # a fresh one: OpenSSL keeps a certificate for each kind of key


def make_context(config: Config) -> ssl.SSLContext:
    """The server's TLS context. Raises CertificateError."""
    # A TLS connection of asyncio reserves this much, 256 KiB by default; the control plane keeps connections open.
    sslproto.SSLProtocol.max_size = 16 * 1024
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.certificate_path, config.key_path)
    except (OSError, ssl.SSLError) as error:
        raise CertificateError(f"cannot use the certificate {config.certificate_path}: {error}") from None
    return context


def check_pair(certificate: Path, key: Path) -> str:
    """The SHA-256 of the certificate in a file, whose key is in the other. Raises CertificateError."""
    try:
        # A password keeps OpenSSL from asking the terminal for one.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        first = ssl.PEM_cert_to_DER_cert(_first_certificate(certificate.read_text(encoding="ascii")))
    except (OSError, ssl.SSLError, ValueError):
        raise CertificateError("certificate and key are no pair in PEM form") from None
    return hashlib.sha256(first).hexdigest()


def _first_certificate(text: str) -> str:
    start = text.index(ssl.PEM_HEADER)
    return text[start : text.index(ssl.PEM_FOOTER, start) + len(ssl.PEM_FOOTER)]


def _make(certificate: Path, key: Path) -> None:
    openssl = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", str(key), "-out", str(certificate), "-days", "3650", "-subj", f"/CN={_SUBJECT}",
    ]  # fmt: skip
    library = [sys.executable, "-c", _CRYPTOGRAPHY_PROGRAM, str(key), str(certificate)]
    for program in (openssl, library):
        try:
            done = subprocess.run(
                program,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_OPENSSL_TIMEOUT_S,
                check=False,
                umask=0o077,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and certificate.exists() and key.exists():
            return
        key.unlink(missing_ok=True)
    raise CertificateError(
        "there is no certificate and none can be made: install the openssl program or the Python package cryptography"
    )
