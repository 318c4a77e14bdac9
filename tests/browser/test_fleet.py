"""The fleet, its servers and one of them, as an operator uses them."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import expect

from myx_testkit.agent import RealAgent
from myx_testkit.rest import Rest

pytestmark = pytest.mark.usefixtures("web_agents")


@contextmanager
def stopped(rest: Rest, agent: RealAgent, server: str) -> Iterator[None]:
    """The agent of a server is away, and MyX knows; then it is back."""
    agent.stop()
    try:
        rest.post(f"/servers/{server}/check")
        yield
    finally:
        agent.start()
        rest.post(f"/servers/{server}/check")


def test_the_fleet_counts_servers_by_state_and_leads_to_them(page: Any) -> None:
    expect(page.get_by_test_id("total")).to_have_text("4")
    expect(page.get_by_test_id("tile-online")).to_contain_text("4")
    page.get_by_test_id("tile-online").click()
    expect(page).to_have_url(re.compile(r"/servers\?selector=status%3Donline"))
    expect(page.get_by_role("link", name="web-1")).to_be_visible()


def test_the_overview_follows_an_agent_that_dies_and_comes_back(
    page: Any, rest: Rest, web_agents: dict[str, RealAgent]
) -> None:
    troubles = page.get_by_role("region", name="To look at")
    expect(page.get_by_test_id("tile-offline")).to_contain_text("0")
    with stopped(rest, web_agents["web-1"], "web-1"):
        expect(page.get_by_test_id("tile-offline")).to_contain_text("1")
        expect(troubles.get_by_role("link", name="web-1")).to_be_visible()
        expect(troubles).to_contain_text("nothing listens on the agent's port")
    expect(page.get_by_test_id("tile-online")).to_contain_text("4")
    expect(troubles.get_by_role("link", name="web-1")).to_have_count(0)


def test_a_state_in_a_table_tells_its_story_to_mouse_and_keyboard(
    page: Any, rest: Rest, web_agents: dict[str, RealAgent]
) -> None:
    with stopped(rest, web_agents["web-2"], "web-2"):
        page.goto("/servers")
        card = page.get_by_role("tooltip")
        badge = page.get_by_role("row").filter(has_text="web-2").get_by_role("button", name="offline: why")
        badge.hover()
        expect(card).to_contain_text("nothing listens on the agent's port")
        page.get_by_label("Filter").hover()
        expect(card).to_have_count(0)
        badge.focus()
        expect(card).to_contain_text("nothing listens on the agent's port")
        expect(badge).to_have_accessible_description(re.compile("Cause: nothing listens"))
        page.keyboard.press("Escape")
        expect(card).to_have_count(0)


def test_the_page_of_a_server_with_dots_in_its_name_can_be_opened_anew(page: Any, rest: Rest) -> None:
    rest.post("/servers", {"name": "db1.example.com", "address": "127.0.0.9"})
    try:
        page.goto("/servers/db1.example.com")
        expect(page.get_by_role("heading", name="db1.example.com")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="db1.example.com")).to_be_visible()
    finally:
        rest.delete("/servers/db1.example.com")


def test_the_versions_of_the_agents_lead_to_their_servers(page: Any, rest: Rest) -> None:
    version = rest.get("/servers/web-1")["agent"]["version"]
    page.goto("/upgrades")
    shown = page.get_by_role("link", name=version, exact=True)
    expect(shown.locator("..")).to_contain_text("4 servers")
    shown.click()
    expect(page.get_by_text("4 servers", exact=True).first).to_be_visible()
    expect(page.get_by_role("link", name="web-1")).to_be_visible()


def test_the_upgrade_of_one_server_means_no_other(page: Any) -> None:
    page.goto("/servers/web-3")
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Upgrade the agent").click()
    page.get_by_role("button", name="Show who is meant").click()
    review = page.get_by_role("dialog")
    expect(review.get_by_test_id("review-count")).to_have_text("On 1 server")
    expect(review).to_contain_text("web-3")


def test_upgrades_are_begun_with_all_that_are_online(page: Any) -> None:
    page.goto("/upgrades")
    page.get_by_role("link", name="Upgrade agents").click()
    expect(page.locator("[data-selector-input]")).to_have_value("status=online")
    page.get_by_role("button", name="Show who is meant").click()
    expect(page.get_by_role("dialog").get_by_test_id("review-count")).to_have_text("On 4 servers")


def test_an_agent_that_dies_and_comes_back_is_seen_without_a_reload(
    page: Any, rest: Rest, web_agents: dict[str, RealAgent]
) -> None:
    page.goto("/servers")
    row = page.get_by_role("row").filter(has_text="web-3")
    expect(row.locator("[data-state=online]")).to_be_visible()
    web_agents["web-3"].stop()
    try:
        rest.post("/servers/web-3/check")
        expect(row.locator("[data-state=offline]")).to_be_visible()
        row.get_by_role("link", name="web-3").click()
        expect(page.get_by_text("nothing listens on the agent's port").first).to_be_visible()
    finally:
        web_agents["web-3"].start()
    page.get_by_role("button", name="Check now").click()
    expect(page.locator("h1 + * [data-state=online], [data-state=online]").first).to_be_visible()


def test_filters_stand_in_the_address_with_a_live_count(page: Any) -> None:
    page.goto("/servers")
    box = page.get_by_label("Filter")
    box.fill("role=web")
    expect(page.get_by_test_id("matches")).to_have_text("3 servers")
    expect(page.get_by_role("link", name="local", exact=True)).to_have_count(0)
    expect(page).to_have_url(re.compile(r"selector=role%3Dweb"))

    page.reload()
    expect(page.get_by_label("Filter")).to_have_value("role=web")
    expect(page.get_by_role("link", name="web-2")).to_be_visible()

    page.get_by_label("Filter").fill("role=")
    expect(page.get_by_text(re.compile("At character", re.IGNORECASE)).first).to_be_visible()

    page.get_by_label("Filter").fill("role=nobody")
    expect(page.get_by_text("No server matches")).to_be_visible()


def test_a_table_of_ten_thousand_servers_draws_the_rows_in_view(page: Any, rest: Rest) -> None:
    real = rest.get("/servers/web-1")
    held: list[Any] = []

    def answer(route: Any) -> None:
        # A fleet that no test machine can hold; all else is real.
        first = int(re.findall(r"page_token=(\d*)", route.request.url + "&page_token=0")[0] or 0)
        items = [{**real, "id": f"s{n}", "name": f"host-{n:05}"} for n in range(first, first + 1000)]
        token = str(first + 1000) if first + 1000 < 10_000 else None
        content = {"items": items, "next_page_token": token}
        if first == 3000 and not held:
            held.append((route, content))
            return
        route.fulfill(json=content)

    page.route(re.compile(r"/api/v1/servers\?page_size=1000"), answer)
    page.goto("/servers")
    # What has come is there to be used before the rest has.
    expect(page.get_by_text("3,000 servers …")).to_be_visible()
    expect(page.get_by_role("link", name="host-00000")).to_be_visible()
    route, content = held[0]
    route.fulfill(json=content)
    expect(page.get_by_text("10,000 servers", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="host-00000")).to_be_visible()
    assert page.get_by_role("row").count() < 80
    page.get_by_role("table").evaluate("table => table.scrollTo(0, table.scrollHeight)")
    expect(page.get_by_role("link", name="host-09999")).to_be_visible()
    assert page.get_by_role("row").count() < 80
    page.get_by_role("button", name="Name").click()
    page.get_by_role("button", name="Name").click()
    page.get_by_role("table").evaluate("table => table.scrollTo(0, 0)")
    expect(page.get_by_role("row").nth(1)).to_contain_text("host-09999")


def test_one_server_shows_facts_heartbeats_and_charts(page: Any) -> None:
    page.goto("/servers/web-1?tab=facts")
    expect(page.get_by_text("Kernel")).to_be_visible()
    page.get_by_role("tab", name="Heartbeats").click()
    expect(page).to_have_url(re.compile("tab=history"))
    page.get_by_role("tab", name="Charts").click()
    expect(page.get_by_text("Latency of checks")).to_be_visible()


def test_labels_are_changed_and_a_change_of_somebody_else_is_not_overwritten(page: Any, rest: Rest) -> None:
    page.goto("/servers/web-2")
    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Change …").click()
    page.get_by_label("Labels").fill("role=web\nenv=test")
    rest.patch("/servers/web-2", {"labels": {"role": "web", "by": "somebody"}})
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("changed by somebody else")
    page.get_by_role("button", name="Cancel").click()

    page.get_by_role("button", name="More").click()
    page.get_by_role("menuitem", name="Change …").click()
    expect(page.get_by_label("Labels")).to_have_value("by=somebody\nrole=web")
    page.get_by_label("Labels").fill("role=web\nenv=test")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("dialog")).not_to_be_visible()
    expect(page.get_by_text("env=test")).to_be_visible()
    assert rest.get("/servers/web-2")["labels"] == {"role": "web", "env": "test"}
    rest.patch("/servers/web-2", {"labels": {"role": "web"}})


def test_checks_are_paused_and_resumed(page: Any, rest: Rest) -> None:
    page.goto("/servers/web-1")
    page.get_by_role("button", name="Pause checks").click()
    page.get_by_label("Reason").fill("new disks")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_text("new disks")).to_be_visible()
    page.route("**/servers/resume", lambda route: route.abort())
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("alert", name="MyX cannot be reached")).to_be_visible()
    page.unroute("**/servers/resume")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("new disks")).to_have_count(0)
    assert rest.get("/servers/web-1")["pause"] is None


def test_what_people_write_is_text_and_nothing_else(page: Any, rest: Rest) -> None:
    mean = "<img src=x onerror=alert(1)>"
    rest.post("/servers/pause", {"servers": ["web-1"], "for_s": 600, "reason": mean})
    try:
        page.goto("/servers/web-1")
        expect(page.get_by_text(mean)).to_be_visible()
        assert page.locator("img[src=x]").count() == 0
    finally:
        rest.post("/servers/resume", {"servers": ["web-1"]})


def test_keys_lead_everywhere(page: Any) -> None:
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page).to_have_url(re.compile("/servers"))
    expect(page.get_by_label("Filter")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Filter")).to_be_focused()
    page.keyboard.type("g s")
    expect(page.get_by_label("Filter")).to_have_value("g s")
    page.get_by_label("Filter").blur()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


def test_the_server_that_is_gone_is_told(page: Any) -> None:
    page.goto("/servers/never-was")
    expect(page.get_by_text("There is no server never-was")).to_be_visible()


def test_a_page_that_is_not_there_is_told(page: Any) -> None:
    page.goto("/nowhere/at/all")
    expect(page.get_by_text("There is no such page")).to_be_visible()


def test_a_viewer_sees_their_servers_only_and_is_offered_nothing_more(as_user: Callable[..., Any]) -> None:
    page = as_user("viewer", "role=web").page
    expect(page.get_by_test_id("total")).to_have_text("3")
    expect(page.get_by_role("link", name="Add a server")).to_have_count(0)
    navigation = page.get_by_role("navigation")
    for name in ("Run", "Users", "Audit", "SSH logins"):
        expect(navigation.get_by_role("link", name=name, exact=True)).to_have_count(0)
    page.goto("/servers")
    expect(page.get_by_role("link", name="web-1")).to_be_visible()
    expect(page.get_by_role("link", name="local", exact=True)).to_have_count(0)
    page.goto("/servers/web-1")
    expect(page.get_by_role("heading", name="web-1")).to_be_visible()
    for name in ("Check now", "Pause checks", "More"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.goto("/servers/local")
    expect(page.get_by_text("There is no server local")).to_be_visible()


def test_an_operator_may_run_there_and_change_nothing(as_user: Callable[..., Any]) -> None:
    page = as_user("operator", "role=web").page
    page.goto("/servers/web-1")
    expect(page.get_by_role("link", name="Run a command")).to_be_visible()
    page.get_by_role("button", name="More").click()
    expect(page.get_by_role("menuitem", name="Change …")).to_have_count(0)
    expect(page.get_by_role("menuitem", name="Remove …")).to_have_count(0)


def test_who_may_run_on_some_servers_only_is_offered_it_on_those(as_user: Callable[..., Any]) -> None:
    page = as_user("viewer", more=[{"role": "operator", "selector": "role=web or role=api"}]).page
    page.goto("/servers/web-1")
    expect(page.get_by_role("button", name="Check now")).to_be_visible()
    page.goto("/servers/local?tab=work")
    expect(page.get_by_role("heading", name="local")).to_be_visible()
    expect(page.get_by_role("tab", name="Work")).to_be_visible()
    for role, name in (
        ("link", "Run a command"),
        ("button", "Check now"),
        ("button", "Pause checks"),
        ("button", "More"),
    ):
        expect(page.get_by_role(role, name=name)).to_have_count(0)


def test_a_server_without_an_agent_says_so_once_and_leads_on_when_its_host_is_not_found(page: Any, rest: Rest) -> None:
    # Nothing listens on this port of this machine.
    rest.post("/servers", {"name": "bare", "address": "127.0.0.1", "ssh": {"port": 1, "user": "nobody"}})
    try:
        page.goto("/servers/bare")
        expect(page.get_by_role("alert")).to_have_count(1)
        expect(page.get_by_role("alert")).to_contain_text("No agent yet")
        page.get_by_role("tab", name="Heartbeats").click()
        expect(page.get_by_role("alert")).to_have_count(1)

        page.get_by_role("link", name="Install").click()
        expect(page.get_by_text("bare is stored")).to_be_visible(timeout=30_000)
        expect(page.get_by_text("was quicker")).to_have_count(0)
        page.get_by_role("link", name="Open its page").click()
        expect(page).to_have_url(re.compile("/servers/bare$"))
    finally:
        rest.delete("/servers/bare")


def test_the_head_of_the_trail_is_shown_as_the_command_line_takes_it(page: Any) -> None:
    page.goto("/audit")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_role("dialog").get_by_text(re.compile(r"^\d+:[0-9a-f]{64}$"))).to_be_visible()
