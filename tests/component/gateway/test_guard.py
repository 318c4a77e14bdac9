"""The guard as an attacker sees it, on a whole MyX: ways around a right, and rights that are withdrawn meanwhile."""

import asyncio
import base64
import http.client
import json
import secrets
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from myx_testkit.rest import Refused, Rest
from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync

pytestmark = pytest.mark.timeout(300)

FINAL = {"success", "failed", "timeout", "cancelled", "lost", "unknown", "skipped", "partial", "stopped"}
GONE = "00000000-0000-7000-8000-000000000000"
WORK = {"command": {"command": "true"}}


@dataclass(frozen=True)
class Fleet:
    """`local` (with an agent) is in the zone `in`, `elsewhere` in `other`."""

    root: Rest
    port: int

    def someone(self, role: str, selector: str = "zone=in", **cap: Any) -> Rest:
        """A program with one grant."""
        name = f"p-{secrets.token_hex(5)}"
        grants = [{"role": role, "selector": selector}]
        self.root.post("/users", {"name": name, "kind": "program", "grants": grants})
        return Rest(self.port, self.root.post("/tokens", {"name": "key", "user": name, **cap})["token"])

    def over(self, path: str) -> str:
        """The id of what is at a path, once it is over."""
        until_sync(lambda: self.root.get(path)["status"] in FINAL, 60, what=f"{path} is over")
        return path.rpartition("/")[2]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A whole MyX for this module alone."""
    deployment = Standalone(tmp_path_factory.mktemp("guard") / "home")
    deployment.start()
    deployment.wait_until_well()
    root = Rest(deployment.port, deployment.api().token)
    root.call("PATCH", "/servers/local", {"labels": {"zone": "in"}})
    root.post("/servers", {"name": "elsewhere", "address": "192.0.2.9", "labels": {"zone": "other"}})
    yield Fleet(root, deployment.port)
    deployment.stop()


def refused(call: Any) -> tuple[int, str]:
    """Status and reason of what is refused."""
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.status, caught.value.reason


def q(text: str) -> str:
    return urllib.parse.quote(text, safe="")


BREAKOUTS = (
    "zone=in) or (zone=other",
    "all) or (all",
    "zone=in) or all or (zone=in",
    "'",
    'a="',
    "(zone=in",
    "zone=in)",
    "zone=in')' ) or (all",
)


@pytest.mark.parametrize("selector", BREAKOUTS)
def test_a_selector_does_not_break_out_of_its_parentheses(fleet: Fleet, selector: str) -> None:
    viewer, operator = fleet.someone("viewer"), fleet.someone("operator")
    assert refused(lambda: viewer.get(f"/servers?selector={q(selector)}")) == (400, "SELECTOR_INVALID")
    assert refused(lambda: operator.post("/jobs/preview", {"selector": selector})) == (400, "SELECTOR_INVALID")
    job = {"selector": selector, "work": WORK}
    assert refused(lambda: operator.post("/jobs", job)) == (400, "SELECTOR_INVALID")
    schedule = {"name": "s", "cron": "0 0 1 1 *", "work": {"job": job}}
    assert refused(lambda: operator.post("/schedules", schedule)) == (400, "SELECTOR_INVALID")
    pause = {"selector": selector, "for_s": 1}
    assert refused(lambda: operator.post("/servers/pause", pause)) == (400, "SELECTOR_INVALID")
    token = {"name": f"t-{secrets.token_hex(4)}", "selector": selector}
    assert refused(lambda: operator.post("/tokens", token))[0] == 400
    user = {"name": "u", "kind": "program", "grants": [{"role": "admin", "selector": selector}]}
    assert refused(lambda: fleet.root.post("/users", user))[0] == 400


def test_a_selector_is_narrowed_and_stays_so(fleet: Fleet) -> None:
    operator = fleet.someone("operator")
    assert [one["name"] for one in operator.get("/servers?selector=all")["items"]] == ["local"]
    assert operator.get(f"/servers?selector={q('zone=other')}")["items"] == []
    preview = operator.post("/jobs/preview", {"selector": "all"})
    assert [target["server_name"] for target in preview["targets"]] == ["local"]
    assert refused(lambda: operator.post("/jobs/preview", {"selector": "zone=other"}))[1] == "SELECTOR_MATCHES_NOTHING"
    job = operator.post("/jobs", {"selector": "all", "work": WORK})
    assert (job["selector"], job["target_count"]) == ("(zone=in) and (all)", 1)
    work = {"job": {"selector": "all", "work": WORK}}
    schedule = operator.post("/schedules", {"name": secrets.token_hex(6), "cron": "0 0 1 1 *", "work": work})
    assert schedule["work"]["job"]["selector"] == "(zone=in) and (all)"
    other = {"job": {"selector": "zone=other or all", "work": WORK}}
    changed = operator.call("PATCH", f"/schedules/{schedule['id']}", {"work": other})
    assert changed["work"]["job"]["selector"] == "(zone=in) and (zone=other or all)"
    assert operator.post("/servers/pause", {"selector": "all", "for_s": 1}) == {"servers": 1}


def test_servers_in_bodies_are_checked_and_what_is_hidden_is_said_to_be_missing(fleet: Fleet) -> None:
    operator = fleet.someone("operator")
    hidden_id = fleet.root.get("/servers/elsewhere")["id"]
    command = {"command": "true"}
    for server in ("elsewhere", hidden_id, "no-such", GONE, "größe", "ELSEWHERE", "' or all", "x" * 200):
        work = {"command": {"server": server, **command}}
        for path, body in (
            ("/commands", {"server": server, **command}),
            ("/jobs", {"servers": ["local", server], "work": WORK}),
            ("/jobs/preview", {"servers": [server, "local"]}),
            ("/servers/pause", {"servers": [server], "for_s": 1}),
            ("/servers/resume", {"servers": [server]}),
            ("/deployments", {"server": server, "kind": "caddy"}),
            ("/schedules", {"name": "s", "cron": "0 0 1 1 *", "work": work}),
        ):
            assert refused(lambda path=path, body=body: operator.post(path, body)) == (404, "SERVER_NOT_FOUND")
    for first, second in (("elsewhere", "no-such"), ("no-such", "elsewhere")):
        with pytest.raises(Refused) as caught:
            operator.post("/jobs/preview", {"servers": [first, second]})
        assert caught.value.problem["fields"] == {"server": first}


def test_what_is_hidden_and_what_is_missing_are_told_in_the_same_words(fleet: Fleet) -> None:
    viewer, root = fleet.someone("viewer", "zone=other"), fleet.root
    command = root.post("/commands", {"server": "local", "command": "true"})["id"]
    job = root.post("/jobs", {"servers": ["local"], "work": WORK})["id"]
    deployment = root.post("/deployments", {"server": "local", "kind": "caddy", "method": "agent", "check": True})["id"]
    root.post(f"/deployments/{deployment}/cancel")
    work = {"command": {"server": "local", "command": "true"}}
    schedule = root.post("/schedules", {"name": secrets.token_hex(6), "cron": "0 0 1 1 *", "work": work})
    missing = "01930000-0000-7000-8000-000000000000"
    for noun, there in (
        ("servers", root.get("/servers/local")["id"]),
        ("commands", command),
        ("jobs", job),
        ("deployments", deployment),
        ("schedules", schedule["id"]),
    ):
        told = []
        for id_ in (there, missing):
            with pytest.raises(Refused) as caught:
                viewer.get(f"/{noun}/{id_}")
            problem = {**caught.value.problem, "request_id": ""}
            told.append(json.dumps(problem).replace(id_, "ID"))
        assert told[0] == told[1]
    for server in ("local", "no-such"):
        assert viewer.get(f"/commands?server={server}")["items"] == []
        assert viewer.get(f"/deployments?server={server}")["items"] == []
    assert viewer.get(f"/commands?job_id={job}")["items"] == []


def test_an_id_of_another_kind_opens_nothing(fleet: Fleet) -> None:
    viewer, root = fleet.someone("viewer", "zone=other"), fleet.root
    command = fleet.over(f"/commands/{root.post('/commands', {'server': 'local', 'command': 'true'})['id']}")
    for path in (f"/jobs/{command}", f"/jobs/{command}/targets", f"/deployments/{command}/log", f"/servers/{command}"):
        assert refused(lambda path=path: viewer.get(path))[0] == 404
    for path in ("log", "log/stream", "log/search?pattern=a"):
        assert refused(lambda path=path: viewer.get(f"/commands/{command}/{path}")) == (404, "COMMAND_NOT_FOUND")


def raw(port: int, method: str, target: str, token: str, **headers: str) -> int:
    """The status of a request whose target is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        sent = {"Authorization": f"Bearer {token}", "Content-Length": "0", **headers}
        for name, value in sent.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_no_other_verb_or_spelling_leads_around_the_guard(fleet: Fleet) -> None:
    viewer = fleet.someone("viewer")
    for method in ("HEAD", "OPTIONS", "TRACE", "PUT", "PROPFIND", "get", "Get"):
        assert raw(fleet.port, method, "/api/v1/servers", viewer.token) in {400, 405}, method
    for header in ("X_HTTP_Method_Override", "X_Method_Override", "X_HTTP_Method"):
        assert raw(fleet.port, "GET", "/api/v1/servers/local", viewer.token, **{header: "DELETE"}) == 200
        assert raw(fleet.port, "POST", "/api/v1/servers/local", viewer.token, **{header: "GET"}) == 405
    for target in (
        "/api/v1/servers/",
        "/api/v1//servers",
        "//api/v1/servers",
        "/api/v1/./servers",
        "/api/v1/commands/../servers",
        "/api/v1/servers/%2e%2e/users",
        "/API/v1/servers",
        "/api/v1/Servers",
        "/api/v1/servers;x=1",
        "/api/v1/servers%00",
        "/api/v1/servers/local%2fhost-key/",
        "/api/v1/servers/elsewhere%2Fhost-key",
    ):
        assert raw(fleet.port, "GET", target, viewer.token) in {400, 404}, target
    for spelled in (
        "elsewhere",
        "%65lsewhere",
        "elsewhere%20",
        "elsewhere%00",
        "ELSEWHERE",
        "elsewhere%2F",
        "el%E2%80%8Bsewhere",
    ):
        assert raw(fleet.port, "GET", f"/api/v1/servers/{spelled}", viewer.token) == 404, spelled
    assert raw(fleet.port, "GET", "/api/v1/servers/loc%61l", viewer.token) == 200


def test_labels_are_the_border_and_are_not_moved_across_it(fleet: Fleet) -> None:
    admin = fleet.someone("admin")
    name = f"n-{secrets.token_hex(5)}"
    created = admin.post("/servers", {"name": name, "address": "192.0.2.1", "labels": {"zone": "in"}})
    move = {"labels": {"zone": "other"}}
    assert refused(lambda: admin.call("PATCH", f"/servers/{name}", move)) == (403, "FORBIDDEN")
    assert admin.get(f"/servers/{name}")["labels"] == {"zone": "in"}
    assert admin.get(f"/servers/{name}")["etag"] == created["etag"]
    take = {"labels": {"zone": "in"}}
    assert refused(lambda: admin.call("PATCH", "/servers/elsewhere", take)) == (404, "SERVER_NOT_FOUND")
    both = fleet.someone("viewer", "all").token
    assert refused(lambda: Rest(fleet.port, both).call("PATCH", "/servers/elsewhere", take)) == (403, "FORBIDDEN")
    outside = {"name": f"{name}-x", "address": "192.0.2.1", "labels": {"zone": "other"}}
    assert refused(lambda: admin.post("/servers", outside)) == (403, "FORBIDDEN")
    admin.call("DELETE", f"/servers/{name}")


def test_shared_logins_and_ways_over_others_are_for_who_has_all(fleet: Fleet) -> None:
    admin, root = fleet.someone("admin"), fleet.root
    credential, name = f"c-{secrets.token_hex(5)}", f"n-{secrets.token_hex(5)}"
    root.post("/credentials", {"name": credential, "secret": {"password": "x"}})
    for ssh in ({"credential": credential}, {"credential": "no-such"}, {"jump_servers": ["local"]}):
        body = {"name": name, "address": "192.0.2.1", "labels": {"zone": "in"}, "ssh": ssh}
        assert refused(lambda body=body: admin.post("/servers", body)) == (403, "FORBIDDEN")
        assert refused(lambda ssh=ssh: admin.call("PATCH", "/servers/local", {"ssh": ssh})) == (403, "FORBIDDEN")
    shared = {"name": name, "address": "192.0.2.1", "labels": {"zone": "in"}, "ssh": {"credential": credential}}
    root.post("/servers", shared)
    for change in ({"address": "192.0.2.66"}, {"ssh": {"address": "192.0.2.66"}}):
        assert refused(lambda change=change: admin.call("PATCH", f"/servers/{name}", change)) == (403, "FORBIDDEN")
    assert admin.call("PATCH", f"/servers/{name}", {"repair_policy": "off"})["repair_policy"] == "off"
    for path in ("/credentials", f"/credentials/{credential}"):
        assert refused(lambda path=path: admin.get(path)) == (403, "FORBIDDEN")
    root.call("DELETE", f"/servers/{name}")


def test_a_job_is_seen_and_done_again_only_by_who_has_all_of_its_targets(fleet: Fleet) -> None:
    root = fleet.root
    name = f"n-{secrets.token_hex(5)}"
    root.post("/servers", {"name": name, "address": "192.0.2.1", "labels": {"zone": "in"}})
    operator = fleet.someone("operator")
    mine = operator.post("/jobs", {"servers": ["local", name], "work": WORK})["id"]
    fleet.over(f"/jobs/{mine}")
    assert mine in {job["id"] for job in operator.get("/jobs")["items"]}
    root.call("PATCH", f"/servers/{name}", {"labels": {"zone": "other"}})
    until_sync(lambda: mine not in {job["id"] for job in operator.get("/jobs")["items"]}, 10, what="it is hidden")
    for method, path in (("GET", ""), ("GET", "/targets"), ("POST", "/retry"), ("POST", "/cancel"), ("GET", "/stream")):
        assert refused(lambda m=method, p=path: operator.call(m, f"/jobs/{mine}{p}")) == (404, "JOB_NOT_FOUND")
    root.call("DELETE", f"/servers/{name}")
    assert refused(lambda: operator.post(f"/jobs/{mine}/retry")) == (404, "JOB_NOT_FOUND")


def test_lists_of_nothing_are_empty(fleet: Fleet) -> None:
    nobody = fleet.someone("viewer", "zone=nowhere")
    for schedule in fleet.root.get("/schedules")["items"]:
        fleet.root.call("DELETE", f"/schedules/{schedule['id']}")
    for noun in ("servers", "agents", "commands", "jobs", "deployments", "schedules"):
        assert nobody.get(f"/{noun}") == {"items": [], "next_page_token": None}


def test_schedules_are_seen_by_their_owner_and_by_who_sees_all_that_they_match(fleet: Fleet) -> None:
    root, viewer, operator = fleet.root, fleet.someone("viewer"), fleet.someone("operator")
    names = {}
    for what, selector in (("in", "zone=in"), ("both", "all"), ("none", "zone=nowhere"), ("other", "zone=other")):
        names[what] = f"{what}-{secrets.token_hex(5)}"
        work = {"job": {"selector": selector, "work": WORK}}
        root.post("/schedules", {"name": names[what], "cron": "0 0 1 1 *", "paused": True, "work": work})
    seen = {one["name"] for one in viewer.get("/schedules")["items"]}
    assert {what for what, name in names.items() if name in seen} == {"in"}
    for what in ("both", "none", "other"):
        for method, body in (("GET", None), ("PATCH", {"paused": False}), ("DELETE", None)):
            assert refused(lambda m=method, w=what, b=body: operator.call(m, f"/schedules/{names[w]}", b))[0] == 404
    assert refused(lambda: viewer.call("PATCH", f"/schedules/{names['in']}", {"paused": True})) == (403, "FORBIDDEN")
    # What a selector matches is a matter of labels, which others may change: it gives nobody a hand in it.
    for method, body in (("PATCH", {"paused": True}), ("DELETE", None)):
        for one in (operator, fleet.someone("admin")):
            path = f"/schedules/{names['in']}"
            assert refused(lambda o=one, m=method, p=path, b=body: o.call(m, p, b)) == (403, "FORBIDDEN")
    named = f"named-{secrets.token_hex(5)}"
    work = {"command": {"server": "local", "command": "true"}}
    root.post("/schedules", {"name": named, "cron": "0 0 1 1 *", "work": work})
    assert operator.call("PATCH", f"/schedules/{named}", {"paused": True})["paused"]
    taken = {"work": {"command": {"server": "elsewhere", "command": "true"}}}
    assert refused(lambda: operator.call("PATCH", f"/schedules/{named}", taken)) == (404, "SERVER_NOT_FOUND")


def test_labels_bring_no_schedule_of_others_into_reach(fleet: Fleet) -> None:
    root, admin, name = fleet.root, fleet.someone("admin"), secrets.token_hex(6)
    work = {"job": {"selector": f"tier={name}", "work": WORK}}
    root.post("/schedules", {"name": name, "cron": "0 0 1 1 *", "paused": True, "work": work})
    assert refused(lambda: admin.get(f"/schedules/{name}")) == (404, "SCHEDULE_NOT_FOUND")
    admin.call("PATCH", "/servers/local", {"labels": {"zone": "in", "tier": name}})
    try:
        assert refused(lambda: admin.call("PATCH", f"/schedules/{name}", {"paused": False})) == (403, "FORBIDDEN")
        assert refused(lambda: admin.call("DELETE", f"/schedules/{name}")) == (403, "FORBIDDEN")
    finally:
        root.call("PATCH", "/servers/local", {"labels": {"zone": "in"}})
    assert refused(lambda: admin.call("DELETE", f"/schedules/{name}")) == (404, "SCHEDULE_NOT_FOUND")


def test_whoever_takes_a_freed_name_gets_no_work_that_was_for_another_server(fleet: Fleet) -> None:
    root, admin, victim = fleet.root, fleet.someone("admin"), f"v-{secrets.token_hex(5)}"
    server = root.post("/servers", {"name": victim, "address": "192.0.2.8", "labels": {"zone": "other"}})
    command = {"server": victim, "command": "true", "secret_env": {"PW": "secret"}}
    works = [
        {"command": command},
        {"deployment": {"server": victim, "kind": "caddy"}},
        {"job": {"servers": [victim, "local"], "work": WORK}},
    ]
    paths = []
    for work in works:
        body = {"name": secrets.token_hex(6), "cron": "0 0 1 1 *", "paused": True, "work": work}
        paths.append(f"/schedules/{root.post('/schedules', body)['id']}")
    # Shown by the names of now.
    shown = [root.get(path)["work"] for path in paths]
    assert shown[0]["command"]["server"] == shown[1]["deployment"]["server"] == victim
    assert shown[2]["job"]["servers"] == [victim, "local"]
    assert victim in str(root.get("/schedules?page_size=1000")["items"])
    root.call("DELETE", f"/servers/{victim}")
    admin.call("PATCH", "/servers/local", {"name": victim})
    try:
        for path in paths:
            assert refused(lambda p=path: admin.get(p)) == (404, "SCHEDULE_NOT_FOUND")
        shown = [root.get(path)["work"] for path in paths]
        assert shown[0]["command"]["server"] == shown[1]["deployment"]["server"] == server["id"]
        assert shown[2]["job"]["servers"] == [server["id"], victim]
        changed = root.call("PATCH", paths[0], {"work": {"command": {"server": victim, "command": "true"}}})
        assert changed["work"]["command"]["server"] == victim
        assert admin.get(paths[0])["work"]["command"]["server"] == victim
    finally:
        root.call("PATCH", f"/servers/{victim}", {"name": "local"})


def test_a_narrow_token_makes_no_schedules_that_outlive_it(fleet: Fleet) -> None:
    name = f"p-{secrets.token_hex(5)}"
    fleet.root.post("/users", {"name": name, "kind": "program", "grants": [{"role": "operator", "selector": "all"}]})
    whole, part, lesser = (
        Rest(fleet.port, fleet.root.post("/tokens", {"name": f"key{number}", "user": name, **cap})["token"])
        for number, cap in enumerate(({}, {"selector": "zone=in"}, {"role": "operator"}))
    )
    work = {"command": {"server": "local", "command": "true"}}
    body = {"name": secrets.token_hex(6), "cron": "0 0 1 1 *", "paused": True, "work": work}
    for narrow in (part, lesser):
        assert refused(lambda n=narrow: n.post("/schedules", body)) == (403, "TOKEN_NARROWED")
    path = f"/schedules/{whole.post('/schedules', body)['id']}"
    for narrow in (part, lesser):
        for change in ({"paused": False}, {"work": work}):
            assert refused(lambda n=narrow, c=change: n.call("PATCH", path, c)) == (403, "TOKEN_NARROWED")
        assert narrow.get(path)["paused"]
    assert whole.call("PATCH", path, {"cron": "0 0 2 1 *"})["cron"] == "0 0 2 1 *"


def test_the_token_of_a_page_does_not_tell_what_is_hidden(fleet: Fleet) -> None:
    names = sorted(f"{letter}-{secrets.token_hex(6)}" for letter in "aaaabbb")
    for name in names:
        work = {"command": {"server": "elsewhere", "command": "true"}}
        fleet.root.post("/schedules", {"name": name, "cron": "0 0 1 1 *", "paused": True, "work": work})
    viewer, other = fleet.someone("viewer"), fleet.someone("viewer")
    token, seen, looks = "", [], 0
    while looks == 0 or token:
        page = viewer.get(f"/schedules?page_size=1&page_token={token}")
        seen += [one["name"] for one in page["items"]]
        token, looks = page["next_page_token"] or "", looks + 1
        if token:
            told = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
            assert not any(name.encode() in told for name in names)
            assert refused(lambda t=token: other.get(f"/schedules?page_token={t}")) == (400, "PAGE_TOKEN_INVALID")
    assert looks > 1
    assert seen == sorted(set(seen))
    assert set(seen) == {one["name"] for one in viewer.get("/schedules?page_size=1000")["items"]}
    for wrong in ("x", "WyJhIl0", "%C3%B6"):
        assert refused(lambda w=wrong: viewer.get(f"/schedules?page_token={w}")) == (400, "PAGE_TOKEN_INVALID")


def test_a_viewer_has_nobody_connect_to_a_host(fleet: Fleet) -> None:
    viewer, operator = fleet.someone("viewer"), fleet.someone("operator")
    assert viewer.get("/servers/local/host-key")["shown"] is None
    assert refused(lambda: viewer.get("/servers/local/host-key?scan=true")) == (403, "FORBIDDEN")
    assert refused(lambda: viewer.get("/servers/elsewhere/host-key?scan=true")) == (404, "SERVER_NOT_FOUND")
    # Let in: that there is no SSH server is another matter.
    fleet.root.call("PATCH", "/servers/local", {"ssh": {"port": 1}})
    assert refused(lambda: operator.get("/servers/local/host-key?scan=true"))[1] != "FORBIDDEN"


def test_another_host_is_not_trusted_on_the_way_to_others(fleet: Fleet) -> None:
    root, admin, jump = fleet.root, fleet.someone("admin"), f"j-{secrets.token_hex(5)}"
    root.post("/servers", {"name": jump, "address": "192.0.2.3", "labels": {"zone": "in"}})
    over = {"jump_servers": [jump]}
    behind = root.post(
        "/servers", {"name": f"b{jump}", "address": "192.0.2.4", "labels": {"zone": "other"}, "ssh": over}
    )
    key, login = {"fingerprint": "SHA256:" + "A" * 43}, {"credential": {"user": "u", "password": "mine"}}
    assert refused(lambda: admin.call("PUT", f"/servers/{jump}/host-key", key)) == (403, "FORBIDDEN")
    for change in ({"address": "192.0.2.5"}, {"ssh": {"port": 2222}}, login, {"accept_new_host_key": True}):
        assert refused(lambda c=change: admin.call("PATCH", f"/servers/{jump}", c)) == (403, "FORBIDDEN")
    with pytest.raises(Refused) as caught:
        admin.call("DELETE", f"/servers/{jump}")
    assert caught.value.reason == "JUMP_SERVER_IN_USE"
    assert behind["name"] not in str(caught.value.problem)
    root.call("DELETE", f"/servers/{behind['id']}")
    assert admin.call("PUT", f"/servers/{jump}/host-key", key)["trusted"]["fingerprint"] == key["fingerprint"]
    root.call("DELETE", f"/servers/{jump}")


def test_the_size_of_the_fleet_is_told_to_who_sees_all_of_it(fleet: Fleet) -> None:
    assert refused(lambda: fleet.someone("admin").get("/heartbeat")) == (403, "FORBIDDEN")
    assert fleet.someone("viewer", "all").get("/heartbeat")["agents"] is not None


def test_a_token_for_some_servers_has_no_hand_in_its_users_work_on_others(fleet: Fleet) -> None:
    name = f"p-{secrets.token_hex(5)}"
    grants = [{"role": "admin", "selector": "all"}]
    fleet.root.post("/users", {"name": name, "kind": "program", "grants": grants})
    whole, part = (
        Rest(fleet.port, fleet.root.post("/tokens", {"name": f"key{number}", "user": name, **cap})["token"])
        for number, cap in enumerate(({}, {"role": "operator", "selector": "zone=in"}))
    )
    schedule = {"name": secrets.token_hex(6), "cron": "0 0 1 1 *", "paused": True}
    whole.post("/schedules", {**schedule, "work": {"job": {"selector": "all", "work": WORK}}})
    change = {"cron": "* * * * *", "paused": False}
    for method, body in (("GET", None), ("PATCH", change), ("DELETE", None)):
        path = f"/schedules/{schedule['name']}"
        assert refused(lambda m=method, p=path, b=body: part.call(m, p, b)) == (404, "SCHEDULE_NOT_FOUND")
    job = whole.post("/jobs", {"selector": "all", "work": WORK})["id"]
    assert refused(lambda: part.post(f"/jobs/{job}/cancel")) == (404, "JOB_NOT_FOUND")
    assert whole.get(f"/schedules/{schedule['name']}")["paused"]


def test_numbers_count_only_what_is_seen(fleet: Fleet) -> None:
    viewer = fleet.someone("viewer", "zone=other")
    assert viewer.get("/status")["servers"] == {"no_agent": 1}
    assert viewer.get("/status")["paused"] == 0
    assert viewer.get("/server-counts")["total"] == 1
    assert viewer.get("/server-counts?selector=zone%3Din")["total"] == 0
    fleet.root.post("/servers/pause", {"servers": ["elsewhere"], "for_s": 600})
    try:
        assert viewer.get("/status")["paused"] == 1
        assert fleet.someone("viewer").get("/status")["paused"] == 0
    finally:
        fleet.root.post("/servers/resume", {"servers": ["elsewhere"]})
    assert viewer.get("/agents")["items"] == []
    local = fleet.someone("viewer")
    assert [agent["server_id"] for agent in local.get("/agents")["items"]] == [fleet.root.get("/servers/local")["id"]]
    assert fleet.someone("viewer", "zone=nowhere").get("/status")["servers"] == {}


def test_a_capped_token_makes_no_greater_one_and_changes_nothing_of_its_user(fleet: Fleet) -> None:
    name = f"p-{secrets.token_hex(5)}"
    password, grants = secrets.token_hex(12), [{"role": "admin", "selector": "all"}]
    fleet.root.post("/users", {"name": name, "grants": grants, "password": password})
    cap = {"role": "viewer", "selector": "zone=in"}
    capped = Rest(fleet.port, fleet.root.post("/tokens", {"name": "key", "user": name, **cap})["token"])
    for wish in ({}, {"role": "admin"}, {"role": "viewer", "selector": "all"}, {"user": "admin"}):
        with pytest.raises(Refused) as caught:
            capped.post("/tokens", {"name": f"t-{secrets.token_hex(4)}", **wish})
        assert caught.value.status in {403, 404}, wish
    change = {"old_password": password, "new_password": secrets.token_hex(12)}
    assert refused(lambda: capped.post("/session/password", change))[0] in {403, 409}
    assert refused(lambda: capped.get("/users"))[0] == 403
    assert capped.get("/servers")["items"][0]["name"] == "local"
    assert len(capped.get("/servers")["items"]) == 1


def test_a_key_of_one_principal_is_not_that_of_another(fleet: Fleet) -> None:
    first, second = fleet.someone("operator"), fleet.someone("operator")
    body = {"server": "local", "command": "true"}
    ids = {one.call("POST", "/commands", body, Idempotency_Key="same")["id"] for one in (first, second, first)}
    assert len(ids) == 2


async def test_a_withdrawn_right_ends_streams(fleet: Fleet) -> None:
    root = fleet.root
    name = f"p-{secrets.token_hex(5)}"
    grant = {"role": "viewer", "selector": "zone=in"}
    root.post("/users", {"name": name, "kind": "program", "grants": [grant]})
    token = root.post("/tokens", {"name": "key", "user": name})["token"]
    command = root.post("/commands", {"server": "local", "command": "sleep", "args": ["120"]})["id"]
    job = root.post("/jobs", {"servers": ["local"], "work": {"command": {"command": "sleep", "args": ["120"]}}})["id"]
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{fleet.port}", headers=headers) as http:
        log = await http.ws_connect(f"/api/v1/commands/{command}/log/stream")
        targets = await http.ws_connect(f"/api/v1/jobs/{job}/stream")
        events = await http.ws_connect("/api/v1/events")
        async with http.get(f"/api/v1/commands/{command}/log/stream") as sse:
            assert sse.status == 200
            await asyncio.to_thread(root.call, "PATCH", f"/users/{name}", {"grants": []})
            async with asyncio.timeout(40):
                for socket in (log, targets, events):
                    async for _ in socket:
                        pass
                    assert socket.close_code == 1008
                text = (await sse.read()).decode()
        assert '"reason": "FORBIDDEN"' in text.rpartition("event: close")[2]
    for path in (f"/commands/{command}/cancel", f"/jobs/{job}/cancel"):
        await asyncio.to_thread(root.post, path, {"grace_s": 0})


async def test_a_stream_ends_when_the_server_leaves_the_grant(fleet: Fleet) -> None:
    viewer = fleet.someone("viewer", "zone=in and open")
    root = fleet.root
    root.call("PATCH", "/servers/local", {"labels": {"zone": "in", "open": "yes"}})
    command = root.post("/commands", {"server": "local", "command": "sleep", "args": ["120"]})["id"]
    headers = {"Authorization": f"Bearer {viewer.token}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{fleet.port}", headers=headers) as http:
        socket = await http.ws_connect(f"/api/v1/commands/{command}/log/stream")
        await asyncio.to_thread(root.call, "PATCH", "/servers/local", {"labels": {"zone": "in"}})
        async with asyncio.timeout(40):
            async for _ in socket:
                pass
        assert socket.close_code == 1008
    await asyncio.to_thread(root.post, f"/commands/{command}/cancel", {"grace_s": 0})
