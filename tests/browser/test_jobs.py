"""One job in the dashboard: how it goes, and what can be done with it."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from myx_testkit.agent import RealAgent
from myx_testkit.rest import Rest

sys.path.insert(0, str(Path(__file__).parent))
from work_pages import WITHIN_MS, job, shell, state, terminal_ends, terminal_text, wait_final

pytestmark = pytest.mark.usefixtures("web_agents")


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file whose appearance ends the scripts that wait for it."""
    path = tmp_path / "gate"
    yield path
    path.touch()


def waiting_for(gate: Path) -> str:
    return f"until [ -e '{gate}' ]; do sleep 0.1; done"


def button(page: Page, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def test_a_job_is_paused_goes_on_and_takes_another_width(page: Page, rest: Rest, gate: Path) -> None:
    job_id = job(rest, waiting_for(gate), concurrency="1")
    page.goto(f"/jobs/{job_id}")
    state(page, "running")
    expect(page.get_by_test_id("ended")).to_have_text("0 of 3 have ended")
    button(page, "Pause").click()
    state(page, "paused")
    assert rest.get(f"/jobs/{job_id}")["counts"] == {"running": 1, "waiting": 2}
    button(page, "How many at once").click()
    page.get_by_role("dialog").get_by_label("At once").fill("3")
    button(page, "Save").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    button(page, "Go on").click()
    expect(page.locator("main [data-state='running'] b")).to_have_text("3", timeout=WITHIN_MS)
    assert rest.get(f"/jobs/{job_id}")["options"]["concurrency"] == "3"
    gate.touch()
    state(page, "success")


def test_a_cancelled_job_is_cancelling_until_its_agents_prove_the_end(
    page: Page, rest: Rest, web_agents: dict[str, RealAgent], gate: Path
) -> None:
    job_id = job(rest, f"trap '' TERM; {waiting_for(gate)}", "name=web-1")
    page.goto(f"/jobs/{job_id}")
    expect(page.get_by_test_id("terminal")).to_have_attribute("data-stream", "live", timeout=WITHIN_MS)
    process = web_agents["web-1"].program.pid
    os.kill(process, signal.SIGSTOP)
    try:
        button(page, "Cancel it").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("1 running target is asked to end")
        expect(dialog).not_to_contain_text("waiting")
        expect(dialog.get_by_role("button", name="Back")).to_be_visible()
        page.get_by_label("Seconds between TERM and KILL").fill("1")
        dialog.get_by_role("button", name="Cancel it").click()
        state(page, "cancelling")
        expect(button(page, "Cancel it")).to_have_count(0)
        assert rest.get(f"/jobs/{job_id}")["status"] == "cancelling"
    finally:
        os.kill(process, signal.SIGCONT)
    state(page, "cancelled")
    assert wait_final(rest, f"/jobs/{job_id}")["counts"] == {"cancelled": 1}


def cancel_command(page: Page, command_id: str, *, grace: str) -> None:
    """Once it runs; returns when it is cancelled."""
    page.goto(f"/commands/{command_id}")
    expect(page.get_by_test_id("stream-state")).to_have_attribute("data-kind", "live", timeout=WITHIN_MS)
    button(page, "Cancel it").click()
    page.get_by_label("Seconds between TERM and KILL").fill(grace)
    page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
    state(page, "cancelled")


def test_a_cancelled_command_says_who_asked_and_that_its_end_was_proved(page: Page, rest: Rest, gate: Path) -> None:
    command_id = shell(rest, "web-2", f"echo started; trap '' TERM; {waiting_for(gate)}")
    cancel_command(page, command_id, grace="1")
    changes = page.get_by_role("region", name="What happened")
    expect(changes.locator("[data-state='cancelling']")).to_be_visible(timeout=WITHIN_MS)
    expect(changes).to_contain_text("user:admin")
    expect(page.get_by_test_id("receipt")).to_contain_text("KILL")


def test_a_cancellation_without_a_time_of_grace_is_still_asked_for_before_it_is_forced(page: Page, rest: Rest) -> None:
    command_id = shell(rest, "web-2", "trap 'echo goodbye; exit 0' TERM; echo started; while :; do sleep 0.1; done")
    cancel_command(page, command_id, grace="")
    terminal_ends(page)
    assert "goodbye" in terminal_text(page)


def test_what_failed_is_run_again_as_a_new_job(page: Page, rest: Rest, tmp_path: Path) -> None:
    # The first of the three to come fails.
    first = tmp_path / "first"
    job_id = job(rest, f"mkdir '{first}' 2>/dev/null && exit 3; exit 0", concurrency="1")
    assert wait_final(rest, f"/jobs/{job_id}")["counts"] == {"success": 2, "failed": 1}
    page.goto(f"/jobs/{job_id}")
    state(page, "partial")
    expect(page.get_by_test_id("output-of")).to_have_text("web-1")
    button(page, "Run again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("checkbox")).to_have_count(1)
    dialog.get_by_role("button", name="Run again").click()
    page.wait_for_url(lambda url: "/jobs/" in url and not url.endswith(job_id), timeout=WITHIN_MS)
    again = wait_final(rest, "/jobs/" + page.url.rsplit("/", 1)[1])
    assert (again["retry_of"], again["counts"]) == (job_id, {"success": 1})
    state(page, "success")


def test_the_list_of_jobs_leads_to_each_and_is_filtered_by_state(page: Page, rest: Rest) -> None:
    job_id = job(rest, "exit 4")
    wait_final(rest, f"/jobs/{job_id}")
    page.goto("/jobs?status=failed")
    table = page.get_by_role("table", name="Jobs")
    expect(table.get_by_role("link", name="exit 4").first).to_be_visible(timeout=WITHIN_MS)
    expect(table.locator("[data-state='success']")).to_have_count(0)
    table.get_by_role("link", name="exit 4").first.click()
    state(page, "failed")


HOSTS = 5000


def test_a_grid_of_thousands_is_one_surface_and_stays_quick(page: Page, rest: Rest) -> None:
    job_id = job(rest, "true", "name=web-1")
    real = wait_final(rest, f"/jobs/{job_id}")
    target = rest.get(f"/jobs/{job_id}/targets")["items"][0]

    def tell(socket: WebSocketRoute) -> None:
        states = ("success", "failed", "running", "waiting")
        hosts = [
            {
                **target,
                "number": n,
                "server_name": f"host-{n}",
                "status": states[n % 4],
                "command_id": "",
                "revision": 1,
            }
            for n in range(1, HOSTS + 1)
        ]
        for start in range(0, HOSTS, 200):
            socket.send(json.dumps({"type": "targets", "targets": hosts[start : start + 200]}))
        counts = dict.fromkeys(states, HOSTS // 4)
        socket.send(
            json.dumps({"type": "job", "job": {**real, "status": "running", "target_count": HOSTS, "counts": counts}})
        )

    # The stream of a fleet that no test machine can hold; all else is real.
    page.route_web_socket(f"**/jobs/{job_id}/stream*", tell)
    page.goto(f"/jobs/{job_id}")
    grid = page.get_by_test_id("host-grid")
    expect(grid).to_have_attribute("aria-label", f"{HOSTS} hosts; arrow keys choose one", timeout=WITHIN_MS)
    assert page.locator("main *").count() < 600
    assert grid.locator("canvas").count() == 1
    grid.focus()
    frames = page.evaluate(FRAMES_UNTIL_SHOWN, ["End", f"host-{HOSTS}"])
    assert frames < 20
    page.locator("main [data-state='failed'][aria-pressed]").click()
    expect(grid).to_have_attribute("aria-label", f"{HOSTS // 4} hosts; arrow keys choose one")
    page.get_by_label("Find a host").fill("host-4997")
    expect(grid).to_have_attribute("aria-label", "1 host; arrow keys choose one")


# Presses a key in the grid and counts the frames until the text under it says so: the page paints and answers.
FRAMES_UNTIL_SHOWN = """async ([key, text]) => {
  const grid = document.querySelector('[data-testid=host-grid]');
  const story = document.querySelector('[data-testid=grid-story]');
  grid.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  for (let frames = 0; frames < 300; frames += 1) {
    if (story.textContent.includes(text)) return frames;
    await new Promise(requestAnimationFrame);
  }
  return 300;
}"""
