"""Requests over a kept connection that breaks."""

import socket
import threading

import pytest

from myx_cli.api import Client
from myx_cli.endpoint import Endpoint
from myx_cli.errors import Unreachable
from myx_testkit.wait import until_sync

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
ENDS = "hang up"


@pytest.fixture
def served():
    """A client of a server that answers the connections by these lists, one after the other, and what it was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[str] = []
    threads = []

    def serve(connections):
        for answers in connections:
            peer, _ = listener.accept()
            with peer:
                for answer in answers:
                    head = peer.recv(65536).decode()
                    asked.append(head.partition(" /")[0])
                    if answer is ENDS:
                        break
                    peer.sendall(answer)

    def start(*connections):
        threads.append(threading.Thread(target=serve, args=(connections,), daemon=True))
        threads[-1].start()
        port = listener.getsockname()[1]
        return Client(Endpoint("http", "127.0.0.1", port, "", "", "the test")), asked

    yield start
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    listener.close()


def test_a_read_and_what_has_a_key_are_sent_again(served):
    client, asked = served([EMPTY, ENDS], [EMPTY, ENDS], [EMPTY])
    client.get("/a")
    client.get("/b")
    client.post("/c", {}, idempotency_key="k")
    assert asked == ["GET", "GET", "GET", "POST", "POST"]
    client.close()


@pytest.mark.parametrize("method", ["patch", "put", "post"])
def test_a_change_whose_answer_is_lost_is_not_sent_again(served, method):
    client, asked = served([EMPTY, ENDS])
    client.get("/a")
    with pytest.raises(Unreachable, match="it is not known whether MyX did it") as caught:
        getattr(client, method)("/b", {})
    assert caught.value.maybe_sent
    assert asked == ["GET", method.upper()]


def test_a_change_goes_over_a_new_connection_when_the_kept_one_was_closed(served):
    client, asked = served([EMPTY], [EMPTY])
    client.get("/a")
    until_sync(client._connection.is_over)
    client.delete("/b")
    assert asked == ["GET", "DELETE"]
    client.close()
