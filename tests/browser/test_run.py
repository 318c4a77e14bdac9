"""Running things on several servers from the dashboard."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from myx_testkit.rest import Rest

sys.path.insert(0, str(Path(__file__).parent))
from work_pages import WITHIN_MS, state, terminal_ends, terminal_text, wait_final

pytestmark = pytest.mark.usefixtures("web_agents")


def fill(page: Page, line: str, selector: str) -> None:
    page.goto("/run")
    page.get_by_label("Command", exact=False).first.fill(line)
    page.locator("[data-selector-input]").fill(selector)


def review(page: Page) -> None:
    page.get_by_role("button", name="Show who is meant").click()
    expect(page.get_by_test_id("review-count")).to_be_visible(timeout=WITHIN_MS)


def start(page: Page) -> str:
    """Confirm the list; the job's id."""
    page.get_by_role("dialog").get_by_role("button", name="Run on").click()
    page.wait_for_url("**/jobs/*", timeout=WITHIN_MS)
    return page.url.rsplit("/", 1)[1]


def test_a_command_runs_on_several_once_its_list_was_confirmed_and_each_output_can_be_read(
    page: Page, rest: Rest
) -> None:
    before = len(rest.get("/jobs")["items"])
    fill(page, "echo from $PPID; echo oops >&2", "role=web")
    expect(page.get_by_test_id("matched")).to_have_text("web-1, web-2, web-3", timeout=WITHIN_MS)
    review(page)
    expect(page.get_by_test_id("review-count")).to_contain_text("3 servers")
    assert len(rest.get("/jobs")["items"]) == before
    job_id = start(page)
    state(page, "success")
    assert wait_final(rest, f"/jobs/{job_id}")["counts"] == {"success": 3}
    seen = set()
    grid = page.get_by_test_id("host-grid")
    # What the page shows by itself is the one that ran when it came.
    grid.focus()
    page.keyboard.press("Home")
    for name in ("web-1", "web-2", "web-3"):
        expect(page.get_by_test_id("output-of")).to_have_text(name)
        terminal_ends(page)
        text = terminal_text(page)
        assert "oops" in text
        seen.add(text.split("from ")[1].split()[0])
        grid.focus()
        page.keyboard.press("ArrowRight")
    # Each agent started its own.
    assert len(seen) == 3


def test_the_same_outputs_are_one_group(page: Page, rest: Rest) -> None:
    fill(page, 'echo same; [ "$(cat /proc/sys/kernel/ostype)" = Linux ]', "role=web")
    review(page)
    job_id = start(page)
    wait_final(rest, f"/jobs/{job_id}")
    page.get_by_text("Same output", exact=True).click()
    groups = page.get_by_test_id("groups")
    expect(groups.get_by_text("3 hosts")).to_be_visible(timeout=WITHIN_MS)
    groups.get_by_role("button", name="Show").click()
    terminal_ends(page)
    assert terminal_text(page) == "same\n"


def test_a_list_that_changed_meanwhile_starts_nothing_and_the_new_one_is_shown(page: Page, rest: Rest) -> None:
    jobs = len(rest.get("/jobs")["items"])
    rest.post("/servers", {"name": "late", "address": "192.0.2.1", "labels": {"role": "none"}})
    try:
        fill(page, "true", "role=web or name=late and role=web")
        review(page)
        rest.patch("/servers/late", {"labels": {"role": "web"}})
        page.get_by_role("dialog").get_by_role("button", name="Run on 3 servers").click()
        expect(page.get_by_text("Nothing was started.")).to_be_visible(timeout=WITHIN_MS)
        assert len(rest.get("/jobs")["items"]) == jobs
        page.get_by_role("button", name="Look again").click()
        expect(page.get_by_test_id("review-count")).to_contain_text("4 servers", timeout=WITHIN_MS)
    finally:
        rest.delete("/servers/late")


def test_what_is_not_right_is_said_before_anything_is_asked(page: Page, rest: Rest) -> None:
    jobs = len(rest.get("/jobs")["items"])
    page.goto("/run")
    page.get_by_label("Run limit").fill("soon")
    page.get_by_role("button", name="Show who is meant").click()
    for text in ("Say what is to be run.", "Say which servers are meant.", "Write it as 90"):
        expect(page.get_by_text(text).first).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert len(rest.get("/jobs")["items"]) == jobs


def test_who_may_only_look_is_offered_nothing_to_start_or_end(as_user: Callable[..., Any], rest: Rest) -> None:
    viewer = as_user("viewer", "role=web").page
    body = {"selector": "role=web", "work": {"command": {"command": "sleep", "args": ["60"]}}}
    job_id = rest.post("/jobs", body)["id"]
    try:
        viewer.goto("/run")
        expect(viewer.get_by_text("You may not run anything")).to_be_visible(timeout=WITHIN_MS)
        viewer.goto(f"/jobs/{job_id}")
        expect(viewer.get_by_test_id("host-grid")).to_be_visible(timeout=WITHIN_MS)
        for name in ("Pause", "Cancel it", "How many at once", "Run again"):
            expect(viewer.get_by_role("button", name=name)).to_have_count(0)
    finally:
        rest.post(f"/jobs/{job_id}/cancel", {"grace_s": 0})
        wait_final(rest, f"/jobs/{job_id}")


def test_an_operator_of_a_part_runs_on_that_part_whatever_the_selector_says(
    as_user: Callable[..., Any], rest: Rest
) -> None:
    operator = as_user("operator", "name=web-2").page
    fill(operator, "echo mine", "all")
    review(operator)
    expect(operator.get_by_test_id("review-count")).to_contain_text("1 server")
    job_id = start(operator)
    assert wait_final(rest, f"/jobs/{job_id}")["target_count"] == 1
    assert [one["server_name"] for one in rest.get(f"/jobs/{job_id}/targets")["items"]] == ["web-2"]
