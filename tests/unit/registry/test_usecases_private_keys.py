"""Keys as ssh-keygen, OpenSSL and PuTTY write them."""

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from myx_kit.errors import InvalidArgument
from myx_registry.usecases.private_keys import fingerprint

PASS = "correct horse"
KEYS = {
    "rsa": rsa.generate_private_key(65537, 2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
FORMATS = {
    "openssh": form.PrivateFormat.OpenSSH,
    "pkcs8": form.PrivateFormat.PKCS8,
    "traditional": form.PrivateFormat.TraditionalOpenSSL,
}
FORMS = [(key, how) for key in KEYS for how in FORMATS if (key, how) != ("ed25519", "traditional")]


def pem(key: str, how: str, passphrase: str = "") -> str:
    lock = form.BestAvailableEncryption(passphrase.encode()) if passphrase else form.NoEncryption()
    return KEYS[key].private_bytes(form.Encoding.PEM, FORMATS[how], lock).decode()


def refusal(text: str, passphrase: str = "") -> InvalidArgument:
    with pytest.raises(InvalidArgument, match="CREDENTIAL_INVALID") as caught:
        fingerprint(text, passphrase, "secret")
    error = caught.value
    assert error.__context__ is None or error.__suppress_context__
    told = f"{error} {error.fields}"
    assert PASS not in told
    assert not any(line in told for line in text.splitlines()[1:-1] if line)
    return error


def expected(key: str, folder: Path) -> str:
    public = KEYS[key].public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    (folder / "key.pub").write_bytes(public)
    told = subprocess.run(["ssh-keygen", "-lf", folder / "key.pub"], capture_output=True, text=True, check=True)
    return told.stdout.split()[1]


@pytest.mark.parametrize(("key", "how"), FORMS)
def test_a_key_in_each_form_has_the_fingerprint_that_openssh_prints(key: str, how: str, tmp_path: Path) -> None:
    assert fingerprint(pem(key, how), "", "secret") == expected(key, tmp_path)


@pytest.mark.parametrize(("key", "how"), FORMS)
def test_an_encrypted_key_opens_with_its_passphrase_only(key: str, how: str, tmp_path: Path) -> None:
    text = pem(key, how, PASS)
    assert fingerprint(text, PASS, "secret") == expected(key, tmp_path)
    missing, wrong = refusal(text), refusal(text, "wrong")
    assert missing.fields == wrong.fields == {"field": "secret.passphrase"}
    assert "give its passphrase" in missing.message
    assert "does not open" in wrong.message


def test_a_key_that_ssh_keygen_made_is_read(tmp_path: Path) -> None:
    for kind in ("rsa", "ecdsa", "ed25519"):
        path = tmp_path / kind
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", PASS, "-a", "20", "-f", path], check=True)
        told = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True).stdout
        assert fingerprint(path.read_text(), PASS, "secret") == told.split()[1]


def test_a_passphrase_for_a_key_without_one_is_refused() -> None:
    assert refusal(pem("ed25519", "openssh"), PASS).fields == {"field": "secret.passphrase"}


@pytest.mark.parametrize(("key", "how"), FORMS)
def test_a_part_of_a_key_is_refused(key: str, how: str) -> None:
    lines = pem(key, how).splitlines()
    for cut in (lines[:1], lines[:-1], [lines[0], *lines[2:]], [lines[0], lines[-1]], [lines[0], "%%%%", lines[-1]]):
        refusal("\n".join(cut) + "\n")


def test_kinds_that_openssh_does_not_take_are_refused_by_name() -> None:
    curves = [ec.generate_private_key(ec.SECP256K1()), ed448.Ed448PrivateKey.generate()]
    for key in (*curves, dsa.generate_private_key(1024)):
        text = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()).decode()
        assert "not supported" in refusal(text).message


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no private key"),
        ("hello", "no private key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "PuTTY"),
        ("ssh-ed25519 AAAA me\n", "public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "public key"),
    ],
)
def test_what_is_no_private_key_is_told_apart(text: str, word: str) -> None:
    error = refusal(text)
    assert word in error.message
    assert error.fields == {"field": "secret.private_key"}


def test_a_passphrase_that_would_cost_minutes_is_refused_at_once() -> None:
    body = base64.b64decode("".join(pem("ed25519", "openssh", PASS).splitlines()[1:-1]))
    at = body.index(b"bcrypt") + 6 + 4 + 4 + 16
    costly = body[:at] + (1 << 30).to_bytes(4) + body[at + 4 :]
    lines = [base64.b64encode(costly).decode()]
    text = "\n".join(["-----BEGIN OPENSSH PRIVATE KEY-----", *lines, "-----END OPENSSH PRIVATE KEY-----\n"])
    assert "too costly" in refusal(text, PASS).message


def der(tag: int, *parts: bytes) -> bytes:
    """One element; the parts together have fewer than 128 bytes."""
    content = b"".join(parts)
    return bytes([tag, len(content)]) + content


@pytest.mark.parametrize(
    ("oid", "numbers"),
    [
        ("2a864886f70d01050c", [1 << 30]),
        ("2b06010401da47040b", [1 << 20, 8, 4]),
        ("2a864886f70d010c0103", [1 << 25]),
    ],
)
def test_a_pem_passphrase_that_would_cost_minutes_is_refused_at_once(oid: str, numbers: list[int]) -> None:
    salt, integers = der(0x04, b"saltsalt"), [der(0x02, number.to_bytes(5)) for number in numbers]
    derivation = der(0x30, der(0x06, bytes.fromhex(oid)), der(0x30, salt, *integers))
    algorithm = der(0x30, der(0x06, bytes.fromhex("2a864886f70d01050d")), der(0x30, derivation))
    body = base64.b64encode(der(0x30, algorithm, der(0x04, bytes(16)))).decode()
    text = f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n-----END ENCRYPTED PRIVATE KEY-----\n"
    assert "too costly" in refusal(text, PASS).message


def test_random_bytes_in_the_form_of_an_encrypted_key_end_in_a_refusal() -> None:
    for number in range(300):
        noise = bytes((number * 7 + place * 13) % 256 for place in range(number))
        for kind in ("ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY", "RSA PRIVATE KEY"):
            magic = b"openssh-key-v1\0" if kind.startswith("OPENSSH") else b"0\x82"
            text = base64.b64encode(magic + noise).decode()
            refusal(f"-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n", PASS)
