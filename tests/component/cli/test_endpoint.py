"""Where `myx` looks for MyX, what it refuses, and that the token stays with it."""

import json
import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NO_ADDRESS = {"MYX_URL": "", "MYX_TOKEN": ""}


def write(path, url, token="tok-3f9a71c0de", mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"url": url, "token": token}))
    path.chmod(mode)
    return path


def test_myx_home_is_looked_in_first(gateway, myx, tmp_path):
    write(tmp_path / "home/standalone.json", gateway.url)
    write(tmp_path / ".myx/standalone.json", "http://127.0.0.1:9")
    done = myx("status", env={**NO_ADDRESS, "MYX_HOME": str(tmp_path / "home")})
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_folder_here_or_above_is_looked_in(gateway, myx, tmp_path):
    write(tmp_path / ".myx/standalone.json", gateway.url)
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    myx.cwd = deep
    done = myx("status", env=NO_ADDRESS)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_checkout_of_the_program_is_looked_in_last(gateway, tmp_path):
    """A virtual environment in a checkout finds the checkout's .myx from anywhere."""
    venv = tmp_path / "checkout/.venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", venv], check=True)
    write(tmp_path / "checkout/.myx/standalone.json", gateway.url)
    source = os.pathsep.join(sys.path)
    done = subprocess.run(
        [venv / "bin/python", "-m", "myx_cli", "status"],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": source},
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_options_and_variables_come_before_files(gateway, myx, tmp_path):
    write(tmp_path / ".myx/standalone.json", "http://127.0.0.1:9")
    assert myx("status").returncode == 0
    token_file = tmp_path / "token"
    token_file.write_text("tok-3f9a71c0de\n")
    done = myx("--url", gateway.url, "status", "--token-file", str(token_file), env=NO_ADDRESS)
    assert (done.returncode, done.stderr) == (0, b"")


def test_nothing_found_says_what_to_do(myx):
    done = myx("status", env={**NO_ADDRESS, "MYX_HOME": "/nonexistent"})
    assert done.returncode == 125
    assert done.stderr == b"myx: /nonexistent/standalone.json does not exist: is MyX running (make up)?\n"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610, 0o700 | 0o002])
def test_a_file_that_others_can_read_is_refused(gateway, myx, tmp_path, mode):
    path = write(tmp_path / ".myx/standalone.json", gateway.url, mode=mode)
    done = myx("status", env=NO_ADDRESS)
    assert done.returncode == 125
    assert done.stderr == f"myx: {path} can be read or changed by other users: it is not used; chmod 600 it\n".encode()
    assert not gateway.requests


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(gateway, myx, tmp_path):
    os.chown(write(tmp_path / ".myx/standalone.json", gateway.url), 12345, 12345)
    done = myx("status", env=NO_ADDRESS)
    assert done.returncode == 125
    assert b"belongs to another user (uid 12345)" in done.stderr
    assert not gateway.requests


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": "http://127.0.0.1:1"}', "null"])
def test_a_damaged_file_is_named(myx, tmp_path, content):
    path = write(tmp_path / ".myx/standalone.json", "")
    path.write_text(content)
    done = myx("status", env=NO_ADDRESS)
    assert done.returncode == 125
    assert b"is damaged" in done.stderr


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("127.0.0.1:8470", b"is not a URL"),
        ("ftp://x", b"is not a URL"),
        ("http://127.0.0.1:99999", b"is not a URL"),
        ("http://user:pw-4711@127.0.0.1", b"credentials go into MYX_TOKEN"),
        ("http://127.0.0.1/?token=pw-4711", b"credentials go into MYX_TOKEN"),
        ("http://example.com", b"in the clear"),
    ],
)
def test_a_bad_address_is_refused_without_showing_it(myx, url, said):
    done = myx("status", env={"MYX_URL": url})
    assert done.returncode == 2
    assert said in done.stderr
    assert b"4711" not in done.stderr


def test_a_token_is_never_sent_to_an_address_from_elsewhere(gateway, myx, tmp_path):
    write(tmp_path / ".myx/standalone.json", "http://127.0.0.1:9")
    done = myx("--url", gateway.url, "status", env=NO_ADDRESS)
    assert done.returncode == 2
    assert b"no token" in done.stderr
    assert not gateway.requests


def test_redirects_are_not_followed(gateway, myx):
    gateway.answers.append(("GET /status", (307, {})))
    done = myx("status")
    assert done.returncode == 125
    assert b"sends elsewhere (HTTP status 307)" in done.stderr


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b"\xff", b'"x"'])
def test_what_is_not_myx_is_recognised(gateway, myx, answer):
    gateway.answers.append(("GET /status", (200, answer)))
    done = myx("status")
    assert done.returncode == 125
    assert b"did not answer as MyX does" in done.stderr


def test_the_token_shows_up_nowhere(gateway, myx, tmp_path):
    gateway.answers += [("GET /status", (500, {"detail": "internal error", "request_id": "r1"}))]
    outputs = [myx("status"), myx("status", env={"MYX_URL": "http://127.0.0.1:9"}), myx("command", "show", "nope")]
    outputs.append(myx("status", env={"MYX_TOKEN": "tok-3f9a71c0de\x01"}))
    assert [done.returncode for done in outputs] == [125] * 4
    assert b"internal error (request r1)" in outputs[0].stderr
    for done in outputs:
        assert b"3f9a71c0de" not in done.stdout + done.stderr
    for request in gateway.requests:
        assert "3f9a71c0de" not in request.path


@pytest.fixture
def certificate(tmp_path):
    """A self-made certificate for localhost: files of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(private)
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_https_is_spoken_and_certificates_are_checked(gateway, myx, certificate):
    content = os.urandom(300_000)

    async def script(stream):
        await stream.data(1, content)
        await stream.final()

    gateway.script = script
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    gateway.listen_tls(context)
    url = gateway.url.replace("127.0.0.1", "localhost")
    trusting = {"MYX_URL": url, "SSL_CERT_FILE": str(certificate[0])}
    done = myx("run", "local", "--", "x", env=trusting)
    assert (done.returncode, done.stdout, done.stderr) == (0, content, b"")
    done = myx("run", "local", "--", "x", env={"MYX_URL": url})
    assert done.returncode == 125
    assert b"its certificate is not trusted" in done.stderr
    done = myx("status", env={**trusting, "MYX_URL": gateway.url})
    assert done.returncode == 125
    assert b"its certificate is not trusted" in done.stderr
    done = myx("status", env={"MYX_URL": url.replace("https", "http")})
    assert done.returncode == 125
    assert done.stderr.count(b"\n") == 1
