"""A real Chromium in front of a real MyX with real agents."""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from myx_testkit import chromium
from myx_testkit.rest import Refused, Rest
from myx_testkit.standalone import Standalone

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD_WITHIN_S = 600
# A loaded machine draws slowly; nothing here waits that long where all is well.
WITHIN_MS = 30_000
TIMEOUT_S = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """More time than other tests have: browsers and whole systems start."""
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


def _skip(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def dashboard() -> None:
    """The dashboard of this checkout is built into the gateway."""
    if not Path(chromium.PATH).exists():
        _skip("there is no Chromium here (Debian: apt-get install chromium, or MYX_CHROMIUM=/path)")
    argv = [sys.executable, str(ROOT / "dashboard/build.py")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_WITHIN_S, check=False)
    if done.returncode != 0:
        _skip(done.stdout[-2000:])


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    """Chromium, for the tests of one file: its event loop would disturb the asynchronous tests of others."""
    playwright.expect.set_options(timeout=WITHIN_MS)
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium.PATH, args=chromium.ARGUMENTS)
        yield launched
        launched.close()


class Visitor:
    """Somebody in front of a browser window of their own."""

    def __init__(self, browser: "playwright.Browser", myx: Standalone, **options: object) -> None:
        settings = {"locale": "en-US", "viewport": {"width": 1280, "height": 820}, "color_scheme": "light", **options}
        self.url = f"http://127.0.0.1:{myx.port}"
        self.context = browser.new_context(base_url=self.url, **settings)
        self.context.set_default_timeout(WITHIN_MS)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._listen)

    def _listen(self, message: "playwright.ConsoleMessage") -> None:
        # The browser itself writes a line for each answer of 4xx; what a page of ours should never cause is the rest.
        if "Content Security Policy" in message.text or "Warning:" in message.text or "Trusted Type" in message.text:
            self.faults.append(message.text)

    def sign_in(self, name: str, password: str) -> None:
        """By the form; returns when the fleet is there."""
        self.page.goto("/login")
        self.page.get_by_label("Name").fill(name)
        self.page.locator("input[name=password]").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.url}/")
        # The address changes first: what is clicked before the form has gone may go with it.
        self.page.locator("input[name=password]").wait_for(state="detached")

    def enter(self, name: str, password: str) -> None:
        """Signed in without the form, which has tests of its own; returns when the fleet is there."""
        answer = self.context.request.post("/api/v1/session", data={"name": name, "password": password})
        assert answer.ok, answer.status
        self.page.goto("/")
        self.page.get_by_role("navigation").first.wait_for()

    def close(self) -> None:
        """Close the window. AssertionError: something went wrong in it that nobody looked at."""
        self.context.close()
        assert self.faults == []


@pytest.fixture
def visit(dashboard: None, browser: "playwright.Browser", myx: Standalone) -> Iterator[Callable[..., Visitor]]:
    """A window that nobody is signed in to; `locale`, `viewport`, `color_scheme` and others as of playwright."""
    opened: list[Visitor] = []

    def make(**options: object) -> Visitor:
        opened.append(Visitor(browser, myx, **options))
        return opened[-1]

    yield make
    for visitor in opened:
        visitor.close()


@pytest.fixture
def admin_password(myx: Standalone) -> str:
    """The first administrator's."""
    return (myx.home.path / "admin-password").read_text().strip()


@pytest.fixture
def admin(visit: Callable[..., Visitor], admin_password: str) -> Visitor:
    """The administrator, signed in."""
    visitor = visit()
    visitor.enter("admin", admin_password)
    return visitor


@pytest.fixture
def page(admin: Visitor) -> "playwright.Page":
    """The page of the administrator, who is signed in."""
    return admin.page


@pytest.fixture
def rest(myx: Standalone) -> Rest:
    """The public API with the token of the installation."""
    return Rest(myx.port, myx.home.token)


@pytest.fixture
def new_name(rest: Rest) -> Iterator[Callable[[str, str], str]]:
    """`new_name("users", "p")`: a name there that nobody has; what was called so is gone behind the test."""
    given: list[str] = []

    def make(collection: str, prefix: str) -> str:
        name = f"{prefix}-{secrets.token_hex(4)}"
        given.append(f"/{collection}/{name}")
        return name

    yield make
    for path in given:
        with contextlib.suppress(Refused):
            rest.delete(path)


@pytest.fixture
def as_user(visit: Callable[..., Visitor], rest: Rest) -> Iterator[Callable[..., Visitor]]:
    """`as_user("operator", "role=web")`: a new user with that role there, signed in; `more`: grants besides."""
    made: list[str] = []

    def make(role: str, selector: str = "all", more: Sequence[dict[str, str]] = (), **options: object) -> Visitor:
        name, password = f"u-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
        grants = [{"role": role, "selector": selector}, *more]
        made.append(rest.post("/users", {"name": name, "password": password, "grants": grants})["id"])
        visitor = visit(**options)
        visitor.enter(name, password)
        return visitor

    yield make
    for user in made:
        rest.delete(f"/users/{user}")
