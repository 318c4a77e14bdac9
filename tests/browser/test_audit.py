"""The audit trail: found by filters, looked into, taken along."""

import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from myx_testkit.rest import Refused, Rest


@pytest.fixture
def audited(rest: Rest, new_name: Callable[[str, str], str]) -> str:
    """A user that was made once, and could not be made a second time."""
    name = new_name("users", "audited")
    rest.post("/users", {"name": name, "password": secrets.token_urlsafe(16), "grants": []})
    with pytest.raises(Refused):
        rest.post("/users", {"name": name, "password": secrets.token_urlsafe(16), "grants": []})
    return name


def test_the_trail_is_found_by_filters_that_stand_in_the_address(page: Page, audited: str) -> None:
    page.goto("/audit")
    entries = page.get_by_role("table", name="Audit").get_by_role("row").filter(has_text=audited)
    expect(entries).to_have_count(2)
    page.get_by_label("Who").fill("user:nobody")
    expect(page.get_by_text("Nothing was done that fits this filter.")).to_be_visible()
    page.get_by_label("Who").fill("token:admin")
    page.get_by_label("What", exact=True).fill("users.create")
    page.get_by_label("On", exact=True).fill(audited)
    expect(page.get_by_role("row")).to_have_count(3)
    page.get_by_label("Result").select_option("refused")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(entries).to_contain_text("USER_EXISTS")
    expect(page).to_have_url(re.compile(r"operation=users\.create.*result=refused"))
    page.reload()
    expect(entries).to_contain_text("USER_EXISTS")
    expect(page.get_by_role("row")).to_have_count(2)


def test_an_entry_says_what_was_asked_for_and_where_it_stands_in_the_chain(page: Page, audited: str) -> None:
    page.goto(f"/audit?target={audited}&result=ok")
    page.get_by_role("button", name="users.create").click()
    entry = page.get_by_role("dialog", name=re.compile(r"users\.create · \d+"))
    expect(entry.locator("pre")).to_contain_text(audited)
    expect(entry.get_by_text(re.compile(r"^[0-9a-f]{64}$"))).to_be_visible()


def test_the_whole_trail_is_exported(page: Page, audited: str, tmp_path: Path) -> None:
    page.goto("/audit")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    file = tmp_path / "trail"
    download.value.save_as(file)
    *entries, end = [json.loads(line) for line in file.read_text().splitlines()]
    assert end["count"] == len(entries)
    assert [one["seq"] for one in entries] == list(range(entries[0]["seq"], entries[0]["seq"] + len(entries)))
    assert [one["result"] for one in entries if audited in one["targets"]] == ["ok", "refused"]
