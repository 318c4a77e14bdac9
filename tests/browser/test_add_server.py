"""From an address and a login to a first command: a real host, its host key, the install step by step."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from myx_testkit.bundle import agent_bundle
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab
from myx_testkit.standalone import Standalone

INSTALLED_WITHIN_MS = 240_000
pytestmark = pytest.mark.timeout(500)


@pytest.fixture(scope="module")
def myx(host_lab: HostLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A MyX that has the agent's bundle to give."""
    deployment = Standalone(
        tmp_path_factory.mktemp("myx") / "home", environment={"MYX_AGENT_BUNDLE_DIR": str(agent_bundle())}
    )
    deployment.start()
    yield deployment
    deployment.stop()


def test_a_server_is_added_its_host_key_compared_and_the_install_watched(
    page: Page, host_lab: HostLab, host: Host
) -> None:
    page.get_by_role("link", name="Add a server").click()
    page.get_by_label("Name").fill("first")
    page.get_by_label("Address").fill(host.address)
    page.get_by_role("textbox", name="Private key").fill(host_lab.other_key.read_text())
    page.get_by_label("Labels").fill("role=web\nenv=test")
    page.get_by_role("button", name="Add and look at the host key").click()

    # The key that the host really has is shown, before anything is sent there.
    expect(page.get_by_text(host.fingerprint)).to_be_visible()
    expect(page).to_have_url(re.compile("server=first"))
    page.reload()
    expect(page.get_by_text(host.fingerprint)).to_be_visible()
    page.get_by_role("button", name="trust it and install").click()

    # The wrong key is told where it hurts, with what helps.
    expect(page.get_by_text("What helps:").first).to_be_visible(timeout=INSTALLED_WITHIN_MS)
    expect(page.locator("[data-step][data-status=failed]")).to_have_count(1)

    # Mended through the API, as another administrator would; then once more, watched to its end.
    mend(page, host_lab)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("[data-step][data-status=running], [data-step][data-status=success]").first).to_be_visible()
    expect(page.get_by_text("The agent runs and answers")).to_be_visible(timeout=INSTALLED_WITHIN_MS)
    expect(page.locator("[data-step][data-status=failed]")).to_have_count(0)

    page.get_by_role("link", name="Open the server").click()
    expect(page.get_by_role("heading", name="first")).to_be_visible()
    expect(page.locator("[data-state=online]").first).to_be_visible()
    expect(page.get_by_text("role=web")).to_be_visible()


def mend(page: Page, host_lab: HostLab) -> None:
    """Give the server the key that opens it, with the session of the page."""
    answer = page.evaluate(
        """async (key) => {
            const {csrf_token: csrf} = await (await fetch('/api/v1/session')).json();
            const headers = {'Content-Type': 'application/json', 'X-CSRF-Token': csrf};
            const body = JSON.stringify({credential: {private_key: key}});
            return (await fetch('/api/v1/servers/first', {method: 'PATCH', headers, body})).status;
        }""",
        host_lab.key.read_text(),
    )
    assert answer == 200
