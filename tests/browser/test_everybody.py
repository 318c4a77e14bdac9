"""For everybody: in Chinese, on a phone, in the dark, by screen reader."""

from collections.abc import Callable, Iterator
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
# Mantine's menus hold something besides their items that can have the focus.
OF_MENUS = "aria-required-children"
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


def opened(page: Any) -> Iterator[str]:
    """Opens one after the other what opens over a page; its name, while it is there."""
    for path, button in (
        *(("/users", "Add a user"), ("/tokens", "New token"), ("/credentials", "Add a login"), ("/audit", "Verify")),
        *(("/servers/local", "Pause checks"), ("/servers/local", "Check now")),
    ):
        page.goto(path)
        settle(page)
        page.get_by_role("button", name=button).first.click()
        expect(page.locator("[role=dialog], [role=status]:visible").first).to_be_visible()
        yield f"{path}: {button}"
    for button in ("Account of admin", "Language", "Appearance", "More"):
        page.goto("/servers/local")
        settle(page)
        page.get_by_role("button", name=button).click()
        expect(page.get_by_role("menu")).to_be_visible()
        yield f"menu: {button}"
    for item in ("Change …", "Host key …", "Remove …"):
        page.goto("/servers/local")
        settle(page)
        page.get_by_role("button", name="More").click()
        page.get_by_role("menuitem", name=item).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        yield item
    page.goto("/servers")
    settle(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "keys"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="online: why").hover()
    expect(page.get_by_role("tooltip")).to_be_visible()
    yield "the story of a state"
    page.goto("/run?line=true&selector=name%3Dlocal")
    page.get_by_role("button", name="Show who is meant").click()
    expect(page.get_by_test_id("review-count")).to_be_visible()
    yield "review"


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_axe_finds_nothing_serious_in_dialogs_menus_and_cards(
    visit: Callable[..., Any], admin_password: str, scheme: str
) -> None:
    visitor = visit(color_scheme=scheme, reduced_motion="reduce")
    visitor.sign_in("admin", admin_password)
    found = {name: serious(visitor.page) for name in opened(visitor.page)}
    assert len(found) == 16
    found = {name: [one for one in faults if not one.startswith(OF_MENUS)] for name, faults in found.items()}
    assert {name: faults for name, faults in found.items() if faults} == {}


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
    page.locator("input[name=password]").fill("wrong")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("alert")).to_contain_text("用户名或密码错误")
    expect(page.get_by_test_id("detail")).to_have_count(0)
    page.locator("input[name=password]").fill(admin_password)
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("heading", name="总览")).to_be_visible()
    page.goto("/servers?selector=role%3D")
    expect(page.get_by_role("link", name="添加服务器")).to_be_visible()
    expect(page.get_by_text("无法解析选择器。 At character")).to_be_visible()

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
