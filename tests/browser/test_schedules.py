"""Schedules in the dashboard."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from myx_testkit.rest import Rest

sys.path.insert(0, str(Path(__file__).parent))
from work_pages import WITHIN_MS, state


@pytest.fixture
def name(new_name: Callable[[str, str], str]) -> str:
    """A name for a schedule."""
    return new_name("schedules", "nightly")


def add(rest: Rest, name: str, **more: Any) -> None:
    work = {"job": {"selector": "name=local", "work": {"command": {"command": "true"}}}}
    rest.post("/schedules", {"name": name, "cron": "30 2 * * *", "time_zone": "UTC", "work": work, **more})


def test_a_schedule_is_added_with_its_next_times_seen_before(page: Page, rest: Rest, name: str) -> None:
    page.goto("/schedules/new")
    page.get_by_role("textbox", name="Name", exact=True).fill(name)
    cron = page.get_by_role("combobox", name="Time (cron)")
    cron.fill("61 2 * * *")
    expect(page.get_by_text("minute").first).to_be_visible(timeout=WITHIN_MS)
    cron.fill("30 2 * * *")
    page.get_by_role("combobox", name="Time zone").fill("Asia/Tokyo")
    times = page.get_by_test_id("next-times")
    expect(times).to_contain_text("Next times (Asia/Tokyo)", timeout=WITHIN_MS)
    expect(times.get_by_role("listitem")).to_have_count(5)
    expect(times).to_contain_text("2:30")
    page.get_by_label("Command", exact=True).fill("echo backup")
    page.locator("[data-selector-input]").fill("name=local")
    page.get_by_role("button", name="Add the schedule").click()
    page.wait_for_url(f"**/schedules/{name}", timeout=WITHIN_MS)
    made = rest.get(f"/schedules/{name}")
    assert (made["cron"], made["time_zone"], made["owner"]) == ("30 2 * * *", "Asia/Tokyo", "user:admin")
    assert made["work"]["job"]["work"]["command"]["args"] == ["-c", "echo backup"]


def test_those_behind_pages_that_are_short_or_empty_are_shown(page: Page, rest: Rest, name: str) -> None:
    add(rest, name)
    real = rest.get(f"/schedules/{name}")
    pages = {
        "": ([], "1"),
        "1": ([{**real, "id": "a", "name": "first"}], "2"),
        "2": ([{**real, "id": "b", "name": "last"}], None),
    }

    def answer(route: Any) -> None:
        # Where hundreds of schedules of others lie between those that somebody may see.
        token = re.findall(r"page_token=(\d+)", route.request.url)
        items, following = pages[token[0] if token else ""]
        route.fulfill(json={"items": items, "next_page_token": following})

    page.route(re.compile(r"/api/v1/schedules\?page_size"), answer)
    page.goto("/schedules")
    expect(page.get_by_role("link", name="first")).to_be_visible()
    expect(page.get_by_role("link", name="last")).to_be_visible()


def test_it_is_paused_changed_and_removed(page: Page, rest: Rest, name: str) -> None:
    add(rest, name)
    page.goto("/schedules")
    page.get_by_role("link", name=name).click()
    state(page, "enabled")
    page.get_by_role("button", name="Pause").click()
    state(page, "paused")
    assert rest.get(f"/schedules/{name}")["paused"]
    page.get_by_role("button", name="Go on").click()
    state(page, "enabled")
    page.get_by_role("button", name="Change the time").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Time (cron)").fill("0 4 * * MON")
    expect(dialog.get_by_test_id("next-times")).to_contain_text("Monday", timeout=WITHIN_MS)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0, timeout=WITHIN_MS)
    assert rest.get(f"/schedules/{name}")["cron"] == "0 4 * * MON"
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    page.wait_for_url("**/schedules", timeout=WITHIN_MS)
    expect(page.get_by_role("link", name=name)).to_have_count(0)


def test_a_change_on_top_of_somebody_elses_is_refused_and_explained(page: Page, rest: Rest, name: str) -> None:
    add(rest, name)
    page.goto(f"/schedules/{name}")
    page.get_by_role("button", name="Change the time").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Time (cron)").fill("0 5 * * *")
    # Held, so that the page does not learn of it by itself meanwhile.
    page.route(
        "**/api/v1/schedules/*", lambda route: route.abort() if route.request.method == "GET" else route.continue_()
    )
    rest.patch(f"/schedules/{name}", {"cron": "0 6 * * *"})
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("ETAG_MISMATCH", timeout=WITHIN_MS)
    assert rest.get(f"/schedules/{name}")["cron"] == "0 6 * * *"


@pytest.mark.long
def test_a_time_that_has_come_is_shown_with_the_job_that_it_started(page: Page, rest: Rest, name: str) -> None:
    add(rest, name, cron="* * * * *")
    page.goto(f"/schedules/{name}")
    fires = page.get_by_role("region", name="What became of its times")
    # A minute begins within a minute.
    expect(fires.locator("[data-state='started']").first).to_be_visible(timeout=2 * WITHIN_MS)
    fires.get_by_role("link", name="the job").first.click()
    state(page, "success")
