"""Who is not signed in sees nothing, and who is comes back to where they wanted to go."""

import re
import secrets
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from myx_testkit.rest import Rest


def fill_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_wrong_password_is_told_and_the_right_one_leads_to_where_one_wanted_to_go(
    visit: Callable[..., Any], admin_password: str
) -> None:
    visitor = visit()
    page = visitor.page
    page.goto("/servers?selector=name%3Dlocal")
    expect(page).to_have_url(re.compile(r"/login\?next="))
    fill_in(page, "admin", "not the password")
    expect(page.get_by_role("alert")).to_contain_text("name or password is wrong", ignore_case=True)
    expect(page.locator("input[name=password]")).to_have_value("")

    page.locator("input[name=password]").fill(admin_password)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile(r"/servers\?selector=name%3Dlocal"))
    expect(page.get_by_role("link", name="local", exact=True)).to_be_visible()


def test_a_link_to_somewhere_else_is_not_followed_after_the_login(
    visit: Callable[..., Any], admin_password: str
) -> None:
    visitor = visit()
    visitor.page.goto("/login?next=//example.org/")
    fill_in(visitor.page, "admin", admin_password)
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


def test_a_session_that_was_ended_elsewhere_leads_to_the_login_and_back(admin: Any, admin_password: str) -> None:
    page = admin.page
    page.goto("/sessions")
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    admin.context.clear_cookies()
    page.get_by_role("link", name="Audit").click()
    expect(page).to_have_url(re.compile(r"/login\?next="))
    fill_in(page, "admin", admin_password)
    expect(page).to_have_url(re.compile("/audit"))


def test_a_login_in_another_tab_leaves_this_one_working(admin: Any, admin_password: str, rest: Rest) -> None:
    page, other = admin.page, admin.context.new_page()
    page.goto("/servers/local")
    expect(page.get_by_role("heading", name="local")).to_be_visible()
    other.goto("/login")
    fill_in(other, "admin", admin_password)
    expect(other.get_by_role("heading", name="Fleet")).to_be_visible()
    page.get_by_role("button", name="Pause checks").click()
    page.get_by_label("Reason").fill("from the first tab")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("from the first tab")).to_be_visible()
    # Events go on too, though the session that they came by has ended.
    rest.post("/servers/resume", {"servers": ["local"]})
    expect(page.get_by_text("from the first tab")).to_have_count(0)


def test_a_login_of_somebody_else_in_another_tab_makes_this_one_theirs(
    admin: Any, rest: Rest, new_name: Callable[[str, str], str]
) -> None:
    page, other = admin.page, admin.context.new_page()
    page.goto("/servers/local")
    name, password = new_name("users", "p"), secrets.token_urlsafe(16)
    rest.post("/users", {"name": name, "password": password, "grants": [{"role": "viewer", "selector": "all"}]})
    other.goto("/login")
    fill_in(other, name, password)
    expect(other.get_by_role("button", name=f"Account of {name}")).to_be_visible()
    # The stream of events that the other session had opened is shut.
    expect(page.get_by_role("button", name=f"Account of {name}")).to_be_visible()
    expect(page.get_by_role("button", name="Check now")).to_have_count(0)


def test_whoever_signs_in_after_somebody_sees_nothing_of_theirs(
    admin: Any, rest: Rest, new_name: Callable[[str, str], str]
) -> None:
    page = admin.page
    name, password = new_name("users", "p"), secrets.token_urlsafe(16)
    rest.post("/users", {"name": name, "password": password, "grants": [{"role": "viewer", "selector": "name=none"}]})
    page.goto("/servers/local")
    expect(page.get_by_text("127.0.0.1").first).to_be_visible()
    admin.context.clear_cookies()
    page.get_by_role("button", name="Check now").click()
    expect(page).to_have_url(re.compile(r"/login\?next=.*local"))
    fill_in(page, name, password)
    expect(page.get_by_role("button", name=f"Account of {name}")).to_be_visible()
    expect(page.get_by_role("heading", name="There is no server local")).to_be_visible()
    expect(page.get_by_text("127.0.0.1")).to_have_count(0)


def test_no_secret_is_kept_where_scripts_can_read_it(page: Any) -> None:
    stored = page.evaluate("[document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)].join()")
    assert "myx_session" not in stored
    assert "csrf" not in stored.lower()
