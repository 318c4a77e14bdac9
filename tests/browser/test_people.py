"""Users, tokens, sessions and shared logins by the forms of the dashboard."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from myx_testkit.rest import Refused, Rest
from myx_testkit.standalone import Standalone


@pytest.fixture
def person(new_name: Callable[[str, str], str]) -> str:
    """A name for a user."""
    return new_name("users", "p")


def row(page: Page, table: str, text: str) -> Locator:
    return page.get_by_role("table", name=table).get_by_role("row").filter(has_text=text)


def dialog(page: Page, title: str) -> Locator:
    found = page.get_by_role("dialog", name=title)
    expect(found).to_be_visible()
    return found


def test_a_user_is_added_may_what_was_given_and_is_shut_out(
    page: Page, rest: Rest, visit: Callable[..., Any], person: str
) -> None:
    password = secrets.token_urlsafe(16)
    page.goto("/users")
    page.get_by_role("button", name="Add a user").click()
    form = dialog(page, "Add a user")
    form.get_by_role("textbox", name="Name", exact=True).fill(person)
    form.get_by_label("Full name").fill("Zoë 王")
    form.locator("input[type=password]").fill("short")
    form.get_by_label("Role", exact=True).select_option("operator")
    form.locator("[data-selector-input]").fill("name=local")
    expect(form).to_contain_text("1 server")
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("12")
    assert person not in {user["name"] for user in rest.get("/users")["items"]}
    form.locator("input[type=password]").fill(password)
    form.get_by_role("button", name="Save").click()
    expect(form).not_to_be_visible()
    expect(row(page, "Users", person)).to_contain_text("name=local")
    made = rest.get(f"/users/{person}")
    assert (made["display_name"], made["grants"]) == ("Zoë 王", [{"role": "operator", "selector": "name=local"}])

    theirs = visit()
    theirs.sign_in(person, password)
    row(page, "Users", person).get_by_role("button", name=person).click()
    form = dialog(page, f"Change {person}")
    form.get_by_role("button", name="Add a role").click()
    form.get_by_label("Role", exact=True).nth(1).select_option("viewer")
    form.get_by_role("switch", name="Disabled").check(force=True)
    form.get_by_role("button", name="Save").click()
    expect(form).not_to_be_visible()
    expect(row(page, "Users", person).locator("[data-state='disabled']")).to_be_visible()
    assert rest.get(f"/users/{person}")["grants"][1] == {"role": "viewer", "selector": "all"}
    theirs.page.goto("/servers")
    theirs.page.wait_for_url("**/login**")

    row(page, "Users", person).get_by_role("button", name=person).click()
    dialog(page, f"Change {person}").get_by_role("button", name="Remove", exact=True).last.click()
    dialog(page, f"Remove {person}").get_by_role("button", name="Remove").click()
    expect(row(page, "Users", person)).to_have_count(0)
    assert person not in {user["name"] for user in rest.get("/users")["items"]}


def test_a_change_on_top_of_somebody_elses_is_refused(page: Page, rest: Rest, person: str) -> None:
    rest.post("/users", {"name": person, "password": secrets.token_urlsafe(16), "grants": []})
    page.goto("/users")
    row(page, "Users", person).get_by_role("button", name=person).click()
    form = dialog(page, f"Change {person}")
    form.get_by_label("Full name").fill("mine")
    rest.call("PATCH", f"/users/{person}", {"display_name": "theirs"})
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_role("alert")).to_be_visible()
    assert rest.get(f"/users/{person}")["display_name"] == "theirs"
    form.get_by_role("button", name="Cancel").click()
    row(page, "Users", person).get_by_role("button", name=person).click()
    form = dialog(page, f"Change {person}")
    expect(form.get_by_label("Full name")).to_have_value("theirs")
    form.get_by_label("Full name").fill("both")
    form.get_by_role("button", name="Save").click()
    expect(form).not_to_be_visible()
    assert rest.get(f"/users/{person}")["display_name"] == "both"


def test_a_token_is_shown_once_works_within_its_bounds_and_is_removed(page: Page, myx: Standalone, admin: Any) -> None:
    name = f"部署 {secrets.token_hex(3)}"
    page.goto("/tokens")
    page.get_by_role("button", name="New token").first.click()
    form = dialog(page, "New token")
    form.get_by_role("textbox", name="Name", exact=True).fill(name)
    form.locator("[data-selector-input]").fill("nonsense and")
    form.get_by_role("button", name="Make the token").click()
    expect(form.get_by_role("alert")).to_be_visible()
    form.locator("[data-selector-input]").fill("name=local")
    form.get_by_role("button", name="Make the token").click()
    expect(form).not_to_be_visible()
    shown = page.get_by_role("alert").filter(has_text=name)
    text = shown.locator("code").inner_text()
    # As on a page without TLS, which has no such clipboard.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    shown.get_by_role("button", name="Copy").click()
    expect(shown).to_contain_text("Copied")
    token = Rest(myx.port, text)
    assert [server["name"] for server in token.get("/servers")["items"]] == ["local"]
    with pytest.raises(Refused) as refused:
        token.post("/commands", {"server": "local", "command": "true"})
    assert refused.value.status == 403
    page.reload()
    expect(row(page, "API tokens", name)).to_be_visible()
    assert text not in page.content()
    row(page, "API tokens", name).get_by_role("button", name=f"Remove the token {name}").click()
    dialog(page, f"Remove the token {name}").get_by_role("button", name="Remove").click()
    expect(row(page, "API tokens", name)).to_have_count(0)
    with pytest.raises(Refused) as refused:
        token.get("/servers")
    assert refused.value.status == 401


def test_a_session_is_ended_from_another_browser_and_a_new_password_ends_the_rest(
    page: Page, rest: Rest, visit: Callable[..., Any], person: str
) -> None:
    old, new = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    rest.post("/users", {"name": person, "password": old, "grants": [{"role": "viewer", "selector": "all"}]})
    one, other = visit(), visit()
    one.sign_in(person, old)
    page.goto(f"/sessions?user={person}")
    table = page.get_by_role("table", name="Sessions")
    table.get_by_role("button", name="End").click()
    dialog(page, "End this session").get_by_role("button", name="End").click()
    expect(page.get_by_text("No sessions")).to_be_visible()
    one.page.goto("/servers")
    one.page.wait_for_url("**/login**")

    one.sign_in(person, old)
    other.sign_in(person, old)
    other.page.goto("/account")
    other.page.get_by_label("Password so far").fill("not the password")
    other.page.get_by_label("New password").fill(new)
    other.page.get_by_role("button", name="Change it").click()
    expect(other.page.locator("main").get_by_role("alert")).to_be_visible()
    other.page.get_by_label("Password so far").fill(old)
    other.page.get_by_role("button", name="Change it").click()
    expect(other.page.get_by_text("All your other sessions have ended")).to_be_visible()
    one.page.goto("/servers")
    one.page.wait_for_url("**/login**")
    one.sign_in(person, new)


def test_a_shared_login_goes_in_is_never_shown_and_is_removed(page: Page, rest: Rest) -> None:
    name, secret = f"ops-{secrets.token_hex(3)}", secrets.token_urlsafe(16)
    answers: list[str] = []
    page.on("response", lambda answer: answers.append(answer.url) if secret in str(answer.headers) else None)
    page.goto("/credentials")
    page.get_by_role("button", name="Add a login").first.click()
    form = dialog(page, "Add a login")
    form.get_by_role("textbox", name="Name", exact=True).fill(name)
    form.get_by_label("Private key").last.fill("no key at all")
    form.get_by_role("button", name="Save").click()
    expect(form.locator("[aria-invalid='true'], [role='alert']").first).to_be_visible()
    form.get_by_text("Password", exact=True).first.click()
    form.locator("input[type=password]").first.fill(secret)
    form.get_by_role("button", name="Save").click()
    expect(form).not_to_be_visible()
    expect(row(page, "SSH logins", name)).to_contain_text("0 servers")
    assert secret not in page.content()
    assert answers == []
    assert secret not in str(rest.get(f"/credentials/{name}"))
    row(page, "SSH logins", name).get_by_role("button", name="Remove").click()
    dialog(page, f"Remove {name}").get_by_role("button", name="Remove").click()
    expect(row(page, "SSH logins", name)).to_have_count(0)
    assert name not in {one["name"] for one in rest.get("/credentials")["items"]}
