"""Programs that deploy_xray.py fetches over HTTP and HTTPS, from a server that is well or not."""

import hashlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from myx_kit.tls import ca_path, certificate_path, key_path
from myx_testkit.apps import xray_standin
from myx_testkit.ports import free_port

PROGRAM = xray_standin()
DIGEST = hashlib.sha256(PROGRAM).hexdigest()
OTHER = "0" * 64


class Mirror(BaseHTTPRequestHandler):
    """A path is what happens to the program on its way."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append(self.path)
        getattr(self, self.path.partition("?")[0].strip("/").replace("-", "_"))()

    def whole(self):
        self._answer(200, PROGRAM, {"Content-Length": str(len(PROGRAM))})

    def moved(self):
        self._answer(302, b"", {"Location": "/whole", "Content-Length": "0"})

    def moved_to_a_file(self):
        self._answer(302, b"", {"Location": "file:///etc/passwd", "Content-Length": "0"})

    def around(self):
        self._answer(302, b"", {"Location": "/around", "Content-Length": "0"})

    def missing(self):
        self._answer(404, b"", {"Content-Length": "0"})

    def cut(self):
        self._answer(200, PROGRAM[:-7], {"Content-Length": str(len(PROGRAM))})

    def cut_in_a_chunk(self):
        chunk = f"{len(PROGRAM):x}\r\n".encode() + PROGRAM[:-7]
        self._answer(200, chunk, {"Transfer-Encoding": "chunked"})

    def no_http(self):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        self.close_connection = True

    def _answer(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *_words):
        pass


def served(context=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.seen = []
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mirror():
    yield from served()


@pytest.fixture
def tls_mirror(tls_dir):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_path(tls_dir, "gateway"), key_path(tls_dir, "gateway"))
    yield from served(context)


def fetched(host, url, sha256=DIGEST):
    port = free_port()
    config = {"inbounds": [{"protocol": "vless", "listen": "127.0.0.1", "port": port, "tag": "one"}]}
    wanted = {"url": url, "sha256": sha256, "config": config, "probe_stay_s": 0, "probe_timeout_s": 3}
    return host.run("deploy_xray", wanted)


def at(server, path, scheme="http"):
    return f"{scheme}://127.0.0.1:{server.server_port}/{path}"


def program_of(host):
    return (host.root / "opt/xray/current/bin/xray").read_bytes()


@pytest.mark.parametrize(("path", "asked"), [("whole", ["/whole"]), ("moved", ["/moved", "/whole"])])
def test_a_program_is_fetched_also_where_a_redirect_leads(host, mirror, path, asked):
    answer = fetched(host, at(mirror, path))

    assert (answer["failed"], answer["changed"]) == (False, True), answer
    assert program_of(host) == PROGRAM
    assert mirror.seen == asked


@pytest.mark.parametrize(
    ("path", "sha256", "words"),
    [
        ("whole", OTHER, f"has SHA-256 {DIGEST}, not {OTHER} as was asked for"),
        ("moved", OTHER, f"has SHA-256 {DIGEST}, not {OTHER} as was asked for"),
        ("missing", DIGEST, "cannot be downloaded: Not Found"),
        ("cut", DIGEST, "cannot be downloaded: the connection ended 7 bytes too early"),
        ("cut-in-a-chunk", DIGEST, "cannot be downloaded: IncompleteRead"),
        ("no-http", DIGEST, "cannot be downloaded: SSH-2.0-OpenSSH_9.9"),
        ("moved-to-a-file", DIGEST, "is not allowed"),
        ("around", DIGEST, "infinite loop"),
    ],
)
def test_what_cannot_be_fetched_whole_and_right_leaves_no_trace(host, mirror, path, sha256, words):
    tree = host.tree()

    answer = fetched(host, at(mirror, f"{path}?token=hidden-token"), sha256)

    assert answer["failed"]
    assert f"/{path} " in answer["message"]
    assert words in answer["message"]
    assert "hidden-token" not in answer["message"]
    assert host.tree() == tree


def test_a_server_that_is_not_there_is_said(host):
    answer = fetched(host, f"http://127.0.0.1:{free_port()}/xray")

    assert "cannot be downloaded: [Errno 111] Connection refused" in answer["message"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://127.0.0.1/xray", "must begin with https://, http:// or file://"),
        ("http://ops:hidden-word@127.0.0.1:{port}/whole", "must not hold a user name or password"),
        ("http://127.0.0.1:{port}/whole?token=hidden-word in two", "must be ASCII without blanks"),
        ("http://127.0.0.1:{port}/größe?token=hidden-word", "must be ASCII without blanks"),
        ("http://127.0.0.1:port/whole?token=hidden-word", "has no valid host and port"),
        ("http://[::1/whole?token=hidden-word", "has no valid host and port"),
        ("https:///whole?token=hidden-word", "has no valid host and port"),
    ],
)
def test_a_url_that_cannot_be_asked_is_refused_and_what_it_hides_is_not_shown(host, mirror, url, words):
    tree = host.tree()

    answer = fetched(host, url.replace("{port}", str(mirror.server_port)))

    assert answer["exit_code"] == 64
    assert words in answer["message"]
    assert "hidden-word" not in answer["message"]
    assert mirror.seen == []
    assert host.tree() == tree


def test_https_is_taken_from_a_server_whose_certificate_the_host_trusts(host, tls_mirror, tls_dir):
    unknown = fetched(host, at(tls_mirror, "whole", "https"))
    host.environment["SSL_CERT_FILE"] = str(ca_path(tls_dir))
    known = fetched(host, at(tls_mirror, "whole", "https"))

    assert "certificate verify failed" in unknown["message"]
    assert known["changed"], known
    assert program_of(host) == PROGRAM
