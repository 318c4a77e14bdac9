"""What the browser tests of running things have in common."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from myx_testkit.rest import Rest
from myx_testkit.wait import until_sync

# Loaded machines are slow; conditions end a wait as soon as they hold.
WITHIN_MS = 60_000
FINAL = ("success", "failed", "cancelled", "partial", "stopped")
CORPUS = Path(__file__).resolve().parents[2] / "dashboard/src/terminal/corpus.json"


def shell(rest: Rest, server: str, script: str) -> str:
    """Start a shell script on one server; the command's id."""
    return str(rest.post("/commands", {"server": server, "command": "sh", "args": ["-c", script]})["id"])


def job(rest: Rest, script: str, selector: str = "role=web", **options: Any) -> str:
    """Start a shell script on the servers that a selector matches; the job's id."""
    work = {"command": {"command": "sh", "args": ["-c", script]}}
    return str(rest.post("/jobs", {"selector": selector, "work": work, "options": options})["id"])


def wait_final(rest: Rest, path: str, within_s: float = 60) -> dict[str, Any]:
    """A command or job once it is final."""
    until_sync(lambda: rest.get(path)["status"] in FINAL, within_s, interval_s=0.1, what=f"{path} ends")
    found: dict[str, Any] = rest.get(path)
    return found


def terminal_ends(page: Page) -> None:
    """Wait until the whole output is on the screen."""
    expect(page.get_by_test_id("terminal")).to_have_attribute("data-stream", "ended", timeout=WITHIN_MS)


def terminal_text(page: Page) -> str:
    """All that the terminal can scroll to, by its Copy button, which waits until what came is painted."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible(timeout=WITHIN_MS)
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text.replace("\r\n", "\n")


def corpus() -> list[dict[str, Any]]:
    """Escapes that would do harm: `name`, `bytes` (one character each, `times` over), what is `left`."""
    items: list[dict[str, Any]] = json.loads(CORPUS.read_text())["harmful"]
    return items


def state(page: Page, name: str) -> None:
    """Wait until the heading says that state."""
    expect(page.locator(f"main [data-state='{name}']").first).to_be_visible(timeout=WITHIN_MS)


AXE = Path(__file__).resolve().parents[2] / "dashboard/node_modules/axe-core/axe.min.js"


def serious(page: Page) -> list[str]:
    """What axe finds that keeps people out."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
