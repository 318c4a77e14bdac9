"""HTTP/1.1 over one socket, as little of it as a JSON API needs (RFC 9112).

Own code because of the start-up time of a command line: importing `http.client` (with `email` and `ssl`) takes as long
as all the rest of `myx run`. TLS is imported only when the address asks for it.
"""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO, NamedTuple

_HEAD_LIMIT_BYTES = 64 * 1024
_BODY_LIMIT_BYTES = 64 * 1024 * 1024
_RECEIVE_BYTES = 64 * 1024
_SEND_BYTES = 256 * 1024
# For MyX to take what it has not taken yet, and to answer, when a large body was sent.
_UPLOAD_TIMEOUT_S = 300.0
SWITCHING_PROTOCOLS = 101


class ProtocolError(Exception):
    """The other side is no HTTP/1.1 server, or broke off, or sends more than is sensible."""


class Response(NamedTuple):
    """`headers` by lower-case name; of a name that comes twice the last one counts, of `set-cookie` all, by line."""

    status: int
    headers: dict[str, str]
    body: bytes


class Upload(NamedTuple):
    """A body that is read while it is sent: `size` bytes from the beginning of `file`."""

    file: BinaryIO
    size: int


class Connection:
    """One request at a time. After ProtocolError or OSError it can only be closed."""

    def __init__(
        self, scheme: str, host: str, port: int, connect_timeout_s: float, answer_timeout_s: float, *, ca: str = ""
    ) -> None:
        """Connects. With `ca` (PEM) no other authority is trusted. OSError (TLS failures included)."""
        self.sock = socket.create_connection((host, port), connect_timeout_s)
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "https":
                import ssl

                self.sock = ssl.create_default_context(cadata=ca or None).wrap_socket(self.sock, server_hostname=host)
            self.sock.settimeout(answer_timeout_s)
        except BaseException:
            self.sock.close()
            raise
        bracketed = f"[{host}]" if ":" in host else host
        self._host = bracketed if port == (443 if scheme == "https" else 80) else f"{bracketed}:{port}"
        self._buffer = bytearray()
        self.reusable = True

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes | Upload | None) -> Response:
        """The answer; a 101 leaves what follows it to `take_over`."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {body.size if isinstance(body, Upload) else len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode("ascii")
        if isinstance(body, Upload):
            return self._upload(head, body)
        self.sock.sendall(head + (body or b""))
        return self._response()

    def download(self, target: str, headers: dict[str, str], take: Callable[[bytes], object]) -> Response:
        """A GET whose body is given to `take` as it comes; that of a refusal is in the answer."""
        lines = [f"GET {target} HTTP/1.1", f"Host: {self._host}", *(f"{name}: {headers[name]}" for name in headers)]
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        status, answered = self._head()
        if status >= 300 or "chunked" not in answered.get("transfer-encoding", "").lower():
            body = self._body(status, answered)
            if status < 300:
                take(body)
            return Response(status, answered, body)
        for piece in self._pieces():
            take(piece)
        return Response(status, answered, b"")

    def _upload(self, head: bytes, body: Upload) -> Response:
        """Sends head and body; what was answered before all was taken is the answer, too."""
        self.sock.settimeout(_UPLOAD_TIMEOUT_S)
        self.reusable = False
        try:
            self.sock.sendall(head)
            body.file.seek(0)
            left = body.size
            while left and (piece := body.file.read(min(_SEND_BYTES, left))):
                self.sock.sendall(piece)
                left -= len(piece)
            if left:
                raise ProtocolError
        except OSError as error:
            with suppress(OSError, ProtocolError):
                return self._response()
            raise error from None
        return self._response()

    def _response(self) -> Response:
        status, answered = self._head()
        while 100 <= status < 200 and status != SWITCHING_PROTOCOLS:
            status, answered = self._head()
        if answered.get("connection", "").lower() == "close":
            self.reusable = False
        return Response(status, answered, self._body(status, answered))

    def is_over(self) -> bool:
        """Whether the other side has closed it, or says what nobody asked for."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(self._buffer or poll.poll(0))

    def take_over(self) -> tuple[socket.socket, bytes]:
        """The socket and what was read from it beyond the last answer."""
        return self.sock, bytes(self._buffer)

    def close(self) -> None:
        """Ends the connection."""
        self.sock.close()

    def _head(self) -> tuple[int, dict[str, str]]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _HEAD_LIMIT_BYTES:
                raise ProtocolError
            self._receive()
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise ProtocolError
        if words[0] == "HTTP/1.0":
            self.reusable = False
        headers: dict[str, str] = {}
        for name, _, value in (line.partition(":") for line in lines):
            key = name.strip().lower()
            before = f"{headers[key]}\n" if key == "set-cookie" and key in headers else ""
            headers[key] = before + value.strip()
        return int(words[1]), headers

    def _body(self, status: int, headers: dict[str, str]) -> bytes:
        if status in {SWITCHING_PROTOCOLS, 204, 304}:
            return b""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks()
        if "content-length" in headers:
            return self._exactly(_size(headers["content-length"], 10))
        self.reusable = False
        while self._more():
            pass
        return self._exactly(len(self._buffer))

    def _chunks(self) -> bytes:
        whole = bytearray()
        for piece in self._pieces():
            whole += piece
            if len(whole) > _BODY_LIMIT_BYTES:
                raise ProtocolError
        return bytes(whole)

    def _pieces(self) -> Iterator[bytes]:
        while size := _size(self._line().partition(b";")[0].decode("latin-1"), 16):
            yield self._exactly(size)
            if self._line():
                raise ProtocolError
        while self._line():
            pass

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _HEAD_LIMIT_BYTES:
                raise ProtocolError
            self._receive()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _exactly(self, size: int) -> bytes:
        if size > _BODY_LIMIT_BYTES:
            raise ProtocolError
        while len(self._buffer) < size:
            self._receive()
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    def _receive(self) -> None:
        if not self._more():
            raise ConnectionResetError("the connection was closed")

    def _more(self) -> bool:
        if len(self._buffer) > _BODY_LIMIT_BYTES:
            raise ProtocolError
        data = self.sock.recv(_RECEIVE_BYTES)
        self._buffer += data
        return bool(data)


def _size(text: str, base: int) -> int:
    text = text.strip()
    try:
        size = int(text, base) if text.isalnum() else -1
    except ValueError:
        size = -1
    if size < 0:
        raise ProtocolError
    return size
