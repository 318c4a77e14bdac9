"""The dashboard's files: what is served, how long it may be kept, and what the page may do."""

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from myx_gateway.dashboard import Dashboard

SCRIPT = "console.log('MyX');\n" * 200


class Answer:
    """What came of a request."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, {}, b""

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")


async def behind(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"the application"})


async def ask(dashboard: Dashboard, path: str, method: str = "GET", **headers: str) -> Answer:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    answer = Answer()
    scope = {"type": "http", "method": method, "path": path, "headers": given}
    await dashboard(scope, None, answer.send)  # type: ignore[arg-type]
    return answer


@pytest.fixture
def dashboard(tmp_path: Path) -> Dashboard:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text('<meta name="csp-nonce" content="__CSP_NONCE__">')
    (tmp_path / "assets/index-abc.js").write_text(SCRIPT)
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / "stamp").write_text("digest")
    return Dashboard(behind, tmp_path)


@pytest.mark.parametrize(
    "path",
    ["/", "/servers", "/servers/web-1", "/servers/web1.example.com", "/commands/01900000-0000-7000-8000-000000000000"],
)
async def test_every_page_of_the_dashboard_gets_the_index_with_a_nonce_of_its_own(
    dashboard: Dashboard, path: str
) -> None:
    one, other = [await ask(dashboard, path, accept="text/html") for _ in range(2)]
    assert (one.status, one.headers["cache-control"]) == (200, "no-store")
    nonce, second = [re.findall(r'content="([\w-]{22})"', answer.body.decode())[0] for answer in (one, other)]
    assert nonce != second
    assert f"'nonce-{nonce}'" in one.headers["content-security-policy"]


async def test_scripts_come_from_our_files_only(dashboard: Dashboard) -> None:
    policy = (await ask(dashboard, "/")).headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert "unsafe" not in rules["style-src"]
    assert (rules["frame-ancestors"], rules["base-uri"], rules["connect-src"]) == ("'none'", "'none'", "'self'")


async def test_what_carries_its_hash_in_its_name_is_kept_for_ever(dashboard: Dashboard) -> None:
    answer = await ask(dashboard, "/assets/index-abc.js")
    assert answer.body.decode() == SCRIPT
    assert "immutable" in answer.headers["cache-control"]
    assert "javascript" in answer.headers["content-type"]


async def test_what_does_not_is_asked_for_again(dashboard: Dashboard) -> None:
    answer = await ask(dashboard, "/favicon.svg")
    assert answer.headers["cache-control"] == "no-cache"
    again = await ask(dashboard, "/favicon.svg", if_none_match=answer.headers["etag"])
    assert (again.status, again.body) == (304, b"")


async def test_files_travel_compressed(dashboard: Dashboard) -> None:
    answer = await ask(dashboard, "/assets/index-abc.js", accept_encoding="gzip, br")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body).decode() == SCRIPT
    assert len(answer.body) < len(SCRIPT) / 10


@pytest.mark.parametrize(
    "path", ["/stamp", "/assets/../stamp", "/../dashboard.py", "/assets/old-123.js", "/assets/index-abc.js.map"]
)
async def test_nothing_else_is_served(dashboard: Dashboard, path: str) -> None:
    answer = await ask(dashboard, path)
    assert (answer.status, answer.body) == (418, b"the application")


@pytest.mark.parametrize("path", ["/api/v1/servers", "/api", "/rpc", "/healthz", "/readyz"])
async def test_addresses_of_programs_are_left_to_the_application(dashboard: Dashboard, path: str) -> None:
    assert (await ask(dashboard, path, accept="text/html")).status == 418


async def test_a_program_that_mistypes_an_address_gets_no_page(dashboard: Dashboard) -> None:
    assert (await ask(dashboard, "/servers", accept="application/json")).status == 418
    assert (await ask(dashboard, "/servers", "POST", accept="text/html")).status == 418


async def test_without_a_build_the_page_says_so(tmp_path: Path) -> None:
    dashboard = Dashboard(behind, tmp_path / "nowhere")
    answer = await ask(dashboard, "/")
    assert not dashboard.is_built
    assert answer.status == 200
    assert "make dashboard" in answer.body.decode()


async def test_over_tls_browsers_are_told_to_stay_with_it(tmp_path: Path) -> None:
    assert "strict-transport-security" in (await ask(Dashboard(behind, tmp_path, secure=True), "/")).headers
    assert "strict-transport-security" not in (await ask(Dashboard(behind, tmp_path), "/")).headers
