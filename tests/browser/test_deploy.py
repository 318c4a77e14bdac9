"""Deployments and playbooks in the dashboard, carried out by a real agent with a real Ansible."""

import contextlib
import io
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from myx_testkit.bundle import agent_bundle
from myx_testkit.joined import join, part
from myx_testkit.rest import Rest
from myx_testkit.standalone import Standalone

sys.path.insert(0, str(Path(__file__).parent))
from work_pages import WITHIN_MS, state, terminal_ends, terminal_text, wait_final

# The first play installs Ansible beside the agent.
PLAYED_WITHIN_MS = 180_000
pytestmark = pytest.mark.timeout(400)

SITE = """
- hosts: all
  gather_facts: false
  tasks:
    - name: bring the page
      ansible.builtin.copy:
        content: "colour {{ colour | default('none') }}\\n"
        dest: "{{ folder }}/page"
        mode: "0644"
    - name: look at it
      ansible.builtin.command: "cat {{ folder }}/page"
      changed_when: false
"""


@pytest.fixture(scope="module")
def myx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A MyX that has the agent's bundle to give, and a server `host` with an agent of its own."""
    environment = {"MYX_AGENT_BUNDLE_DIR": str(agent_bundle())}
    deployment = Standalone(tmp_path_factory.mktemp("myx") / "home", environment=environment)
    with contextlib.ExitStack() as ends:
        deployment.start()
        ends.callback(deployment.stop)
        agent = join(deployment, tmp_path_factory.mktemp("host"), "host", {"role": "web"})
        ends.callback(agent.close)
        yield deployment


@pytest.fixture(scope="module")
def site(myx: Standalone) -> None:
    """A project `site` with one playbook."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("playbooks/page.yml")
        member.size = len(SITE.encode())
        archive.addfile(member, io.BytesIO(SITE.encode()))
    headers = {"Authorization": f"Bearer {myx.home.token}", "Content-Type": "application/gzip"}
    url = f"http://127.0.0.1:{myx.port}/api/v1/playbooks/site"
    urllib.request.urlopen(urllib.request.Request(url, packed.getvalue(), headers, method="PUT"), timeout=60).close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the playbook puts its page."""
    return tmp_path


def test_a_playbook_is_run_from_its_page_and_shown_task_by_task(
    page: Page, rest: Rest, site: None, folder: Path
) -> None:
    page.goto("/playbooks")
    page.get_by_role("listitem").filter(has_text="page.yml").get_by_role("link", name="Run it").click()
    expect(page.locator("input[value='site/page.yml']:visible")).to_have_count(1, timeout=WITHIN_MS)
    page.get_by_label("Variables (JSON)").fill(f'{{"colour": "blue", "folder": "{folder}"}}')
    page.get_by_role("switch", name="Show differences").click()
    page.locator("[data-selector-input]").fill("name=host")
    page.get_by_role("button", name="Show who is meant").click()
    page.get_by_role("dialog").get_by_role("button", name="Run on 1 server").click()
    page.wait_for_url("**/jobs/*", timeout=WITHIN_MS)
    page.get_by_role("link", name="Open the deployment").click(timeout=WITHIN_MS)
    page.wait_for_url("**/deployments/*", timeout=WITHIN_MS)
    expect(page.locator("main [data-state='success']").first).to_be_visible(timeout=PLAYED_WITHIN_MS)
    expect(page.get_by_test_id("recap")).to_contain_text("changed 1", timeout=PLAYED_WITHIN_MS)
    tasks = page.get_by_role("table", name="Tasks")
    row = tasks.get_by_role("row").filter(has_text="bring the page")
    expect(row.locator("[data-state='changed']")).to_be_visible(timeout=WITHIN_MS)
    expect(tasks.get_by_role("row").filter(has_text="look at it").locator("[data-state='unchanged']")).to_be_visible()
    assert (folder / "page").read_text() == "colour blue\n"
    terminal_ends(page)
    assert "+colour blue" in terminal_text(page)


def test_an_upgrade_is_begun_from_the_page_of_a_server_and_listed(
    page: Page, rest: Rest, myx: Standalone, tmp_path: Path
) -> None:
    agent = join(myx, tmp_path / "away", "away")
    # Away, so that nothing on this machine is upgraded.
    agent.stop()
    try:
        rest.post("/servers/away/check")
        page.goto("/servers/away")
        page.get_by_role("button", name="More").click()
        page.get_by_role("menuitem", name="Upgrade the agent").click()
        page.get_by_role("button", name="Show who is meant").click()
        page.get_by_role("dialog").get_by_role("button", name="Run on 1 server").click()
        page.wait_for_url("**/jobs/*", timeout=WITHIN_MS)
        wait_final(rest, "/jobs/" + page.url.rsplit("/", 1)[1])
        page.goto("/upgrades")
        row = page.get_by_role("table", name="Deployments").get_by_role("row").filter(has_text="away")
        expect(row.locator("[data-state=failed]")).to_be_visible(timeout=WITHIN_MS)
        expect(row).to_contain_text("Choose the way")
    finally:
        part(myx, "away", agent)


def test_check_mode_says_what_would_change_and_changes_nothing(
    page: Page, rest: Rest, site: None, folder: Path
) -> None:
    page.goto("/run?servers=host&playbook=site/page.yml")
    page.get_by_label("Variables (JSON)").fill(f'{{"folder": "{folder}"}}')
    page.get_by_role("switch", name="Check mode").click()
    page.get_by_role("button", name="Show who is meant").click()
    page.get_by_role("dialog").get_by_role("button", name="Run on 1 server").click()
    page.wait_for_url("**/jobs/*", timeout=WITHIN_MS)
    page.get_by_role("link", name="Open the deployment").click(timeout=WITHIN_MS)
    expect(page.get_by_text("check mode: nothing was changed")).to_be_visible(timeout=WITHIN_MS)
    deployment: dict[str, Any] = wait_final(rest, "/deployments/" + page.url.rsplit("/", 1)[1], PLAYED_WITHIN_MS / 1000)
    # Reading what was not written fails in check mode too; the file is what counts.
    assert deployment["check"]
    assert not (folder / "page").exists()


def test_a_failed_deployment_says_why_and_what_helps_and_is_run_again_as_a_new_one(
    page: Page, rest: Rest, site: None, folder: Path
) -> None:
    missing = folder / "not-there-yet"
    body = {"server": "host", "kind": "playbook", "project": "site", "playbook": "page.yml"}
    first = rest.post("/deployments", {**body, "extra_vars": {"folder": str(missing)}})["id"]
    assert wait_final(rest, f"/deployments/{first}", PLAYED_WITHIN_MS / 1000)["status"] == "failed"
    page.goto(f"/deployments/{first}")
    state(page, "failed")
    expect(page.locator("[data-step][data-status='failed']")).to_have_count(1)
    expect(page.get_by_text("What helps:").first).to_be_visible()
    row = page.get_by_role("table", name="Tasks").get_by_role("row").filter(has_text="bring the page")
    expect(row.locator("[data-state='failed']")).to_be_visible(timeout=WITHIN_MS)
    missing.mkdir()
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("dialog").get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: "/deployments/" in url and not url.endswith(first), timeout=WITHIN_MS)
    second = wait_final(rest, "/deployments/" + page.url.rsplit("/", 1)[1], PLAYED_WITHIN_MS / 1000)
    assert (second["status"], second["retry_of"]) == ("success", first)
    state(page, "success")
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("dialog").get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: not url.endswith((first, second["id"])), timeout=WITHIN_MS)
    third = wait_final(rest, "/deployments/" + page.url.rsplit("/", 1)[1], PLAYED_WITHIN_MS / 1000)
    assert third["retry_of"] == second["id"]
    page.goto("/deployments?status=failed&server=host")
    expect(page.get_by_role("table", name="Deployments").get_by_role("link").first).to_be_visible(timeout=WITHIN_MS)
