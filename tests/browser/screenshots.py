"""`make screenshots`: each main page in both themes, with real servers and real work, into build/screenshots.

screenshots.py [--out FOLDER] [--language en-US] [--width 1280] [PAGE …]
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright

from myx_testkit import chromium
from myx_testkit.agent import RealAgent
from myx_testkit.bundle import agent_bundle
from myx_testkit.joined import join
from myx_testkit.rest import Rest
from myx_testkit.standalone import Standalone

ROOT = Path(__file__).resolve().parents[2]
SERVERS = {
    "web-1": {"role": "web", "env": "prod"},
    "web-2": {"role": "web", "env": "prod"},
    "web-3": {"role": "web", "env": "test"},
    "db-1": {"role": "db", "env": "prod"},
    "db-2": {"role": "db", "env": "test"},
}
SHOWN_WITHIN_MS = 60_000
COLOURFUL = """printf '\\033[1mChecking the disks\\033[0m\\n'
for mount in / /var /home; do printf '  %-8s \\033[32mok\\033[0m\\n' $mount; done
printf '\\033[33mwarning:\\033[0m /tmp is 71 %% full\\n' >&2
printf 'done\\n'
"""


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build/screenshots")
    parser.add_argument("--language", default="en-US")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("pages", nargs="*", help="names of pages; none: all")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="myx-screenshots-") as folder, running(Path(folder)) as myx:
        places = {**PLACES, **work(Rest(myx.port, myx.home.token))}
        chosen = {name: path for name, path in places.items() if not arguments.pages or name in arguments.pages}
        for scheme in ("light", "dark"):
            shoot(myx, chosen, scheme, arguments)
    return 0


PLACES = {
    "fleet": "/",
    "servers": "/servers",
    "server": "/servers/web-1",
    "server-facts": "/servers/local?tab=facts",
    "server-history": "/servers/web-3?tab=history",
    "server-work": "/servers/web-1?tab=work",
    "add-server": "/servers/new",
    "run": "/run?selector=role%3Dweb",
    "commands": "/commands",
    "jobs": "/jobs",
    "deployments": "/deployments",
    "new-deployment": "/deployments/new?server=web-1",
    "upgrades": "/upgrades",
    "schedules": "/schedules",
    "playbooks": "/playbooks",
    "credentials": "/credentials",
    "users": "/users",
    "tokens": "/tokens",
    "sessions": "/sessions",
    "audit": "/audit",
    "account": "/account",
}


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Standalone]:
    """A whole MyX with several agents, one of which is away."""
    myx = Standalone(folder / "home", environment={"MYX_AGENT_BUNDLE_DIR": str(agent_bundle())})
    agents: list[RealAgent] = []
    try:
        myx.start()
        for name, labels in SERVERS.items():
            agents.append(join(myx, folder / name, name, labels))
        agents[-1].stop()
        yield myx
    finally:
        for agent in agents:
            agent.close()
        myx.stop()


def work(rest: Rest) -> dict[str, str]:
    """Do some of everything; the addresses of what was made."""
    rest.post("/servers/db-2/check")
    rest.post(
        "/servers",
        {"name": "new-1", "address": "127.0.0.9", "labels": {"role": "spare"}, "credential": {"password": "-"}},
    )
    rest.post("/servers/pause", {"servers": ["web-3"], "for_s": 7200, "reason": "new disks"})
    rest.post(
        "/users",
        {
            "name": "alice",
            "display_name": "Alice Li",
            "password": "a long good password",
            "grants": [{"role": "operator", "selector": "role=web"}],
        },
    )
    rest.post("/users", {"name": "deploy-bot", "kind": "program", "grants": [{"role": "operator", "selector": "all"}]})
    rest.post("/tokens", {"name": "pipeline", "user": "deploy-bot", "role": "operator"})
    rest.post(
        "/schedules",
        {
            "name": "nightly",
            "cron": "0 3 * * *",
            "time_zone": "Europe/Berlin",
            "work": {"job": {"selector": "env=prod", "work": {"command": {"command": "uptime"}}}},
        },
    )
    command = rest.post("/commands", {"server": "web-1", "command": "sh", "args": ["-c", COLOURFUL]})
    rest.post("/commands", {"server": "web-2", "command": "sleep", "args": ["3600"]})
    rest.post("/commands", {"server": "web-1", "command": "false"})
    job = rest.post(
        "/jobs",
        {
            "name": "disk report",
            "selector": "all",
            "options": {"concurrency": "3"},
            "work": {"command": {"command": "sh", "args": ["-c", COLOURFUL], "offline": "skip"}},
        },
    )
    deployment = rest.post("/deployments", {"server": "new-1", "kind": "install_agent"})
    until(lambda: rest.get(f"/jobs/{job['id']}")["status"] in {"success", "partial", "failed"})
    until(lambda: rest.get(f"/deployments/{deployment['id']}")["status"] in {"failed", "success"})
    return {
        "command": f"/commands/{command['id']}",
        "job": f"/jobs/{job['id']}",
        "deployment": f"/deployments/{deployment['id']}",
    }


def until(done: Callable[[], bool]) -> None:
    """Wait, a minute at most; pictures are taken of what is there then."""
    end = time.monotonic() + 60
    while not done() and time.monotonic() < end:
        time.sleep(0.5)


def shoot(myx: Standalone, places: dict[str, str], scheme: str, arguments: Any) -> None:
    """A picture of each place."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium.PATH, args=chromium.ARGUMENTS)
        context = browser.new_context(
            base_url=f"http://127.0.0.1:{myx.port}",
            color_scheme=scheme,
            locale=arguments.language,
            viewport={"width": arguments.width, "height": 800},
            reduced_motion="reduce",
        )
        context.set_default_timeout(SHOWN_WITHIN_MS)
        page = context.new_page()
        page.goto("/login")
        page.locator("button[type=submit]").wait_for()
        picture(page, arguments, "login", scheme)
        page.locator("input[name=username]").fill("admin")
        page.locator("input[name=password]").fill((myx.home.path / "admin-password").read_text().strip())
        page.locator("button[type=submit]").click()
        page.wait_for_url("**/")
        for name, path in places.items():
            page.goto(path)
            expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=SHOWN_WITHIN_MS)
            expect(page.locator(".mantine-Skeleton-root")).to_have_count(0, timeout=SHOWN_WITHIN_MS)
            page.wait_for_timeout(800)
            picture(page, arguments, name, scheme)
        browser.close()


def picture(page: Page, arguments: Any, name: str, scheme: str) -> None:
    """One file."""
    path = arguments.out / f"{name}-{scheme}.png"
    page.screenshot(path=path)
    sys.stdout.write(f"{path}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
