"""Who is not signed in sees nothing, and who is comes back to where they wanted to go."""

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect


def test_a_wrong_password_is_told_and_the_right_one_leads_to_where_one_wanted_to_go(
    visit: Callable[..., Any], myx: Any
) -> None:
    visitor = visit()
    page = visitor.page
    page.goto("/servers?selector=name%3Dlocal")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    page.get_by_label("Name").fill("admin")
    page.locator("input[name=password]").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("name or password is wrong", ignore_case=True)
    expect(page.locator("input[name=password]")).to_have_value("")

    page.locator("input[name=password]").fill((myx.home.path / "admin-password").read_text().strip())
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/servers\?selector=name%3Dlocal"))
    expect(page.get_by_role("link", name="local", exact=True)).to_be_visible()


def test_a_link_to_somewhere_else_is_not_followed_after_the_login(visit: Callable[..., Any], myx: Any) -> None:
    visitor = visit()
    visitor.page.goto("/login?next=//example.org/")
    visitor.page.get_by_label("Name").fill("admin")
    visitor.page.locator("input[name=password]").fill((myx.home.path / "admin-password").read_text().strip())
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.page).to_have_url(f"{visitor.url}/")


def test_signing_out_ends_the_session(admin: Any) -> None:
    page = admin.page
    page.get_by_role("button", name="Account of admin").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login"))
    page.goto("/servers")
    expect(page).to_have_url(re.compile("/login"))


def test_a_session_that_could_not_be_ended_is_told(admin: Any) -> None:
    page = admin.page
    page.route("**/api/v1/session", lambda route: route.abort())
    page.get_by_role("button", name="Account of admin").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("alert", name="MyX cannot be reached")).to_be_visible()
    page.unroute("**/api/v1/session")
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page).to_have_url(re.compile("/login"))


def test_a_session_that_was_ended_elsewhere_leads_to_the_login_and_back(admin: Any, myx: Any) -> None:
    page = admin.page
    page.goto("/sessions")
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    admin.context.clear_cookies()
    page.get_by_role("link", name="Audit").click()
    expect(page).to_have_url(re.compile(r"/login\?next="))
    page.get_by_label("Name").fill("admin")
    page.locator("input[name=password]").fill((myx.home.path / "admin-password").read_text().strip())
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/audit"))


def test_no_secret_is_kept_where_scripts_can_read_it(page: Any) -> None:
    stored = page.evaluate("[document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)].join()")
    assert "myx_session" not in stored
    assert "csrf" not in stored.lower()
