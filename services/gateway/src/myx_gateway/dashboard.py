"""The dashboard's files: built into this package, kept in memory, served to everybody. They hold no data of anybody.

Only what was built can be asked for, by its exact path: nothing is looked up in a file system. Any other address that a
browser opens is one of the dashboard's own pages and gets its index, so that links into it work.
"""

import gzip
import hashlib
import mimetypes
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

BUILT: Final = Path(__file__).with_name("dashboard_files")
_INDEX: Final = "index.html"
# What belongs to programs; the rest of the addresses is for people.
_PROGRAMS: Final = ("/api", "/rpc", "/healthz", "/readyz")
# Written by the build for itself.
_NOT_SERVED: Final = frozenset({"stamp"})
_NONCE: Final = b"__CSP_NONCE__"
_COMPRESSED: Final = (".js", ".css", ".html", ".svg", ".json")
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_COMMON: Final = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_HSTS: Final = {"strict-transport-security": "max-age=31536000"}
# Scripts only from our own files. <style> elements only with the nonce, which Mantine and xterm put on theirs;
# attributes `style="…"` are let in because xterm sets some that way: they can be made by a script or by markup of ours
# only, since the dashboard inserts no HTML.
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'nonce-{nonce}'",
        "style-src-attr 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_NOT_BUILT: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>MyX</title>
<h1>MyX runs, without its dashboard</h1>
<p>The dashboard was not built into this installation. Where npm packages can be had, <code>make dashboard</code> builds
it; then start MyX again. The command line works: <code>.venv/bin/myx --help</code>. So does the API, below
<code>/api/v1</code>.</p>
<div lang="zh-CN"><h1>MyX 正在运行，但没有仪表盘</h1>
<p>此安装未构建仪表盘。在可以获取 npm 软件包的环境中执行 <code>make dashboard</code>，然后重新启动 MyX。
命令行与 API 均可正常使用。</p></div>
</html>
""".encode()


@dataclass(frozen=True)
class _File:
    body: bytes
    zipped: bytes | None
    media_type: str
    etag: str
    caching: str


class Dashboard:
    """In front of the application: answers GET and HEAD of the dashboard's addresses, passes everything else on."""

    def __init__(self, app: ASGIApp, folder: Path = BUILT, *, secure: bool = False) -> None:
        """`secure`: people reach us over TLS only."""
        self._app = app
        self._common = {**_COMMON, **_HSTS} if secure else _COMMON
        self._files = _read(folder)

    @property
    def is_built(self) -> bool:
        """Whether there is a dashboard in this installation."""
        return f"/{_INDEX}" in self._files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        response = self._answer(scope) if scope["type"] == "http" else None
        if response is None:
            await self._app(scope, receive, send)
        else:
            await response(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        path = scope["path"]
        if scope["method"] not in {"GET", "HEAD"} or _is_for_programs(path):
            return None
        headers = dict(scope["headers"])
        file = self._files.get(path)
        if file is not None and path != f"/{_INDEX}":
            return _file(file, headers, self._common)
        # Names of servers have dots: only below assets/ is there certainly no page.
        is_page = b"text/html" in headers.get(b"accept", b"") and not path.startswith("/assets/")
        return self._page() if is_page or path == "/" else None

    def _page(self) -> Response:
        nonce = secrets.token_urlsafe(16)
        index = self._files.get(f"/{_INDEX}")
        body = _NOT_BUILT if index is None else index.body.replace(_NONCE, nonce.encode())
        headers = {**self._common, "content-security-policy": _POLICY.format(nonce=nonce), "cache-control": "no-store"}
        return Response(body, media_type="text/html", headers=headers)


def _is_for_programs(path: str) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in _PROGRAMS)


def _file(file: _File, headers: dict[bytes, bytes], common: Mapping[str, str]) -> Response:
    own = {**common, "cache-control": file.caching, "etag": file.etag, "vary": "accept-encoding"}
    if headers.get(b"if-none-match", b"").decode("latin-1") == file.etag:
        return Response(status_code=304, headers=own)
    own["content-security-policy"] = "default-src 'none'; frame-ancestors 'none'"
    if file.zipped is not None and b"gzip" in headers.get(b"accept-encoding", b""):
        return Response(file.zipped, media_type=file.media_type, headers={**own, "content-encoding": "gzip"})
    return Response(file.body, media_type=file.media_type, headers=own)


def _read(folder: Path) -> dict[str, _File]:
    """Every file by its address."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in _NOT_SERVED:
            found[f"/{name}"] = _prepared(path, name)
    return found


def _prepared(path: Path, name: str) -> _File:
    body = path.read_bytes()
    # Vite puts the hash of what is inside into the names below assets/.
    caching = _FOR_EVER if name.startswith("assets/") else _ASK_AGAIN
    zipped = gzip.compress(body, 6, mtime=0) if name.endswith(_COMPRESSED) and len(body) > 1000 else None
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return _File(body, zipped, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"', caching)
