"""A gateway that is killed and comes back costs nobody a reload."""

from typing import Any

from playwright.sync_api import expect

from myx_testkit.rest import Rest


def test_a_killed_gateway_is_told_and_the_page_heals_by_itself(admin: Any, myx: Any, rest: Rest) -> None:
    page = admin.page
    page.goto("/servers")
    expect(page.get_by_role("link", name="local", exact=True)).to_be_visible()
    # The connection breaks for as long as the gateway is away; held open here, so that the banner is surely seen.
    page.route("**/readyz", lambda route: route.abort())
    page.route("**/api/**", lambda route: route.abort())
    myx.kill9("gateway")
    page.get_by_label("Filter").fill("name=late")
    expect(page.get_by_test_id("connection")).to_contain_text("cannot be reached")
    myx.wait_until_well()
    rest.post("/servers", {"name": "late", "address": "127.0.0.9"})
    try:
        page.unroute("**/readyz")
        page.unroute("**/api/**")
        expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "ok")
        expect(page.get_by_role("link", name="late")).to_be_visible()
    finally:
        rest.delete("/servers/late")


def test_the_stream_of_events_comes_back_after_the_gateway_was_killed(admin: Any, myx: Any, rest: Rest) -> None:
    page = admin.page
    page.goto("/servers")
    expect(page.get_by_role("link", name="local", exact=True)).to_be_visible()
    myx.kill9("gateway")
    myx.wait_until_well()
    rest.post("/servers", {"name": "later", "address": "127.0.0.9"})
    try:
        expect(page.get_by_role("link", name="later")).to_be_visible()
    finally:
        rest.delete("/servers/later")
    expect(page.get_by_role("link", name="later")).to_have_count(0)
