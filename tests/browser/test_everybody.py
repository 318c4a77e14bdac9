"""For everybody: in Chinese, on a phone, in the dark, by screen reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

AXE = Path(__file__).resolve().parents[2] / "dashboard/node_modules/axe-core/axe.min.js"
PAGES = (
    *("/", "/servers", "/servers/local", "/servers/local?tab=facts", "/servers/local?tab=history", "/servers/new"),
    *("/run", "/commands", "/jobs", "/deployments", "/deployments/new", "/upgrades", "/schedules", "/playbooks"),
    *("/credentials", "/users", "/tokens", "/sessions", "/audit", "/account"),
)
PHONE = {"viewport": {"width": 375, "height": 720}, "has_touch": True}


def settle(page: Any) -> None:
    """Until the page is drawn: it has its heading, and no grey boxes any more."""
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator(".mantine-Skeleton-root")).to_have_count(0)


def serious(page: Any) -> list[str]:
    """What axe finds that keeps people out."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} {node['any'][0]['message'] if node['any'] else ''}"
        for one in found["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(visit: Callable[..., Any], admin_password: str, scheme: str) -> None:
    visitor = visit(color_scheme=scheme, reduced_motion="reduce")
    visitor.page.goto("/login")
    expect(visitor.page.get_by_role("button", name="Sign in")).to_be_visible()
    found = {"/login": serious(visitor.page)}
    visitor.sign_in("admin", admin_password)
    for path in PAGES:
        visitor.page.goto(path)
        settle(visitor.page)
        found[path] = serious(visitor.page)
    assert "\n".join(f"{path}: {fault}" for path, faults in found.items() for fault in faults) == ""


def test_everything_fits_on_a_phone(visit: Callable[..., Any], admin_password: str) -> None:
    visitor = visit(**PHONE)
    visitor.sign_in("admin", admin_password)
    wide = {}
    for path in PAGES:
        visitor.page.goto(path)
        settle(visitor.page)
        width = visitor.page.evaluate("document.documentElement.scrollWidth")
        if width > 375:
            wide[path] = width
    assert wide == {}
    visitor.page.goto("/")
    visitor.page.get_by_role("button", name="Menu").click()
    visitor.page.get_by_role("navigation").get_by_role("link", name="Servers").click()
    expect(visitor.page.get_by_role("link", name="local", exact=True)).to_be_visible()
    expect(visitor.page.get_by_role("navigation")).not_to_be_in_viewport()


def test_a_chinese_browser_gets_chinese_and_the_choice_is_kept(visit: Callable[..., Any], admin_password: str) -> None:
    visitor = visit(locale="zh-CN")
    page = visitor.page
    page.goto("/login")
    expect(page.get_by_role("heading", name="登录 MyX")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.get_by_label("用户名").fill("admin")
    page.locator("input[name=password]").fill(admin_password)
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("heading", name="总览")).to_be_visible()
    page.goto("/servers")
    expect(page.get_by_role("link", name="添加服务器")).to_be_visible()

    page.get_by_role("button", name="语言").click()
    page.get_by_role("menuitem", name="English").click()
    expect(page.get_by_role("heading", name="Servers")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Servers")).to_be_visible()


def test_the_theme_is_chosen_and_kept(page: Any) -> None:
    page.get_by_role("button", name="Appearance").click()
    page.get_by_role("menuitem", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
