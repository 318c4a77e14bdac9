"""HTTP answers of every legal form, and of illegal ones."""

import socket
import threading

import pytest

from myx_cli.http1 import Connection, ProtocolError


@pytest.fixture
def downloaded():
    """Calls `download` against a server that says `content` and closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def ask(content, take):
        def serve():
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(content)

        thread = threading.Thread(target=serve)
        thread.start()
        connection = Connection("http", "127.0.0.1", listener.getsockname()[1], 5, 5)
        try:
            return connection.download("/x", {}, take)
        finally:
            connection.close()
            thread.join(5)

    yield ask
    listener.close()


@pytest.fixture
def answered():
    """Calls `request` against a server that says `content` in pieces of `size` bytes and closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked = []

    def ask(content, size=1 << 20, requests=1):
        def serve():
            peer, _ = listener.accept()
            with peer:
                asked.append(peer.recv(65536))
                for start in range(0, len(content), size):
                    peer.sendall(content[start : start + size])

        thread = threading.Thread(target=serve)
        thread.start()
        connection = Connection("http", "127.0.0.1", listener.getsockname()[1], 5, 5)
        try:
            return [connection.request("GET", "/x", {"A": "b"}, None) for _ in range(requests)], connection
        finally:
            connection.close()
            thread.join(5)

    yield ask
    listener.close()


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
        (b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 204\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, b"until the end"),
        (b"HTTP/1.0 404 No\r\n\r\nx", 404, b"x"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\n!", 201, b"!"),
        (
            b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: z\r\n\r\n",
            200,
            b"abc0123456789",
        ),
    ],
)
def test_answers_are_read_whole(answered, content, status, body, size):
    (response,), _ = answered(content, size)
    assert (response.status, response.body) == (status, body)


def test_one_connection_carries_several_answers(answered):
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
    last = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n2"
    responses, connection = answered(one + last, requests=2)
    assert [response.body for response in responses] == [b"1", b"2"]
    assert not connection.reusable


def test_what_follows_an_upgrade_is_kept(answered):
    (response,), connection = answered(b"HTTP/1.1 101 Switch\r\nUpgrade: websocket\r\n\r\n\x82\x00")
    assert response.headers["upgrade"] == "websocket"
    assert connection.take_over()[1] == b"\x82\x00"


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: " + b"b" * 70000,
    ],
)
def test_what_is_not_http_is_refused(answered, content):
    with pytest.raises(ProtocolError):
        answered(content)


@pytest.mark.parametrize("content", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"])
def test_an_answer_that_breaks_off_is_a_lost_connection(answered, content):
    with pytest.raises(ConnectionError):
        answered(content)


def test_cookies_are_all_there(answered):
    head = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nX: y\r\nset-cookie: b=2\r\nX: z\r\nContent-Length: 0\r\n\r\n"
    (response,), _ = answered(head)
    assert response.headers["set-cookie"] == "a=1; Path=/\nb=2"
    assert response.headers["x"] == "z"


@pytest.mark.parametrize(
    ("content", "status", "taken", "body"),
    [
        (
            b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            200,
            [b"abc", b"de"],
            b"",
        ),
        (b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", 200, [b"abc"], b"abc"),
        (b"HTTP/1.1 403\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 403, [], b"abc"),
    ],
)
def test_a_download_is_given_out_as_it_comes_and_a_refusal_is_not(downloaded, content, status, taken, body):
    pieces = []
    response = downloaded(content, pieces.append)
    assert (response.status, pieces, response.body) == (status, taken, body)


def test_a_download_that_breaks_off_is_an_error(downloaded):
    with pytest.raises(ConnectionResetError):
        downloaded(b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", lambda _piece: None)
