"""Pages about one piece of work: in both themes, by screen reader, on a phone, in Chinese."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from myx_testkit.rest import Rest
from myx_testkit.standalone import Standalone

sys.path.insert(0, str(Path(__file__).parent))
from work_pages import WITHIN_MS, job, serious, shell, wait_final

PHONE = {"viewport": {"width": 375, "height": 720}, "has_touch": True}
NAME = "seen-by-everybody"


@pytest.fixture
def work(rest: Rest) -> Iterator[dict[str, str]]:
    """Addresses of a job that failed, a command that succeeded, a deployment that ended and a schedule."""
    failed = job(rest, "echo broken; exit 3", "name=local")
    done = shell(rest, "local", "printf '\\033[31mred\\033[0m\\n'; echo side >&2")
    # Check mode: it changes nothing on this machine, however far it comes.
    caddy = {"kind": "caddy", "method": "agent", "check": True, "extra_vars": {"caddy_config": ":0"}}
    deployment = rest.post("/deployments", {"server": "local", **caddy})["id"]
    command = {"command": {"server": "local", "command": "true"}}
    rest.post("/schedules", {"name": NAME, "cron": "30 2 * * *", "work": command})
    wait_final(rest, f"/jobs/{failed}")
    wait_final(rest, f"/commands/{done}")
    wait_final(rest, f"/deployments/{deployment}", 120)
    yield {
        "job": f"/jobs/{failed}",
        "command": f"/commands/{done}",
        "deployment": f"/deployments/{deployment}",
        "schedule": f"/schedules/{NAME}",
        "new schedule": "/schedules/new",
    }
    rest.delete(f"/schedules/{NAME}")


def signed_in(visit: Callable[..., Any], myx: Standalone, **options: Any) -> Page:
    visitor = visit(**options)
    visitor.sign_in("admin", (myx.home.path / "admin-password").read_text().strip())
    page: Page = visitor.page
    return page


def settle(page: Page, path: str) -> None:
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=WITHIN_MS)
    if path.startswith(("/jobs/", "/commands/", "/deployments/")):
        expect(page.locator(".xterm-rows")).to_be_visible(timeout=WITHIN_MS)
    expect(page.locator(".mantine-Skeleton-root")).to_have_count(0, timeout=WITHIN_MS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    visit: Callable[..., Any], myx: Standalone, work: dict[str, str], scheme: str
) -> None:
    page = signed_in(visit, myx, color_scheme=scheme, reduced_motion="reduce")
    found = {}
    for name, path in work.items():
        settle(page, path)
        found[name] = serious(page)
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_it_fits_on_a_phone(visit: Callable[..., Any], myx: Standalone, work: dict[str, str]) -> None:
    page = signed_in(visit, myx, **PHONE)
    wide = {}
    for name, path in work.items():
        settle(page, path)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 375:
            wide[name] = width
    assert wide == {}


def test_it_is_told_in_chinese(visit: Callable[..., Any], myx: Standalone, rest: Rest, work: dict[str, str]) -> None:
    # signed_in() reads English labels, so the language is chosen afterwards.
    page = signed_in(visit, myx)
    page.evaluate("localStorage.setItem('myx-language', 'zh-CN')")
    settle(page, work["job"])
    expect(page.get_by_role("button", name="再次运行")).to_be_visible(timeout=WITHIN_MS)
    expect(page.locator("main [data-state='failed']").first).to_contain_text("失败")
    settle(page, work["command"])
    expect(page.get_by_role("heading", name="回执")).to_be_visible(timeout=WITHIN_MS)
    expect(page.get_by_test_id("stream-state")).to_contain_text("输出已完整显示", timeout=WITHIN_MS)
    settle(page, work["deployment"])
    expect(page.locator("[data-step=choose]")).to_contain_text("选择途径")
    sleeping = shell(rest, "local", "sleep 300")
    page.goto(f"/commands/{sleeping}")
    expect(page.get_by_test_id("next")).to_contain_text("接下来： 运行至结束", timeout=WITHIN_MS)
    rest.post(f"/commands/{sleeping}/cancel", {"grace_s": 0})
    expect(page.get_by_test_id("next")).to_have_count(0, timeout=WITHIN_MS)
    page.goto("/run")
    page.get_by_role("button", name="查看目标列表").click()
    expect(page.get_by_text("请填写要运行的内容。")).to_be_visible(timeout=WITHIN_MS)
