"""`myx top`: what it shows, and what it reads for that."""

import asyncio
import json
import re
import uuid

import pytest
from cli_fake_jobs import problem
from cli_terminal import OnTerminal
from conftest import TOKEN

from myx_cli.endpoint import Endpoint
from myx_cli.fleet import Fleet
from myx_registry.domain.selector_parser import parse
from myx_testkit.wait import until_sync


class Servers:
    """What the gateway answers about servers, and the streams of their events."""

    def __init__(self, gateway, count):
        self.gateway = gateway
        self.time = 0.0
        self.asked = []
        self.streams = []
        self.all = {}
        for number in range(count):
            self.put(f"web-{number}", "online")
        gateway.jobs.answer = self.answer
        gateway.events = self.play

    def put(self, name, status):
        """A server in this state, new or changed, without a word to anybody."""
        known = {one["name"]: one["id"] for one in self.all.values()}
        id_ = known.get(name) or str(uuid.uuid4())
        self.all[id_] = {"id": id_, "name": name, "agent": {"status": status}}
        return id_

    def answer(self, request):
        if request.path == "/heartbeat":
            return 200, {}
        if request.path != "/servers":
            return None
        (selector,) = request.query["selector"]
        parse(selector)
        self.asked.append(selector)
        if " and id in (" not in selector:
            self.time += 5
            return 200, {"items": list(self.all.values()), "next_page_token": None}
        ids = re.findall(r"[0-9a-f-]{36}", selector)
        return 200, {"items": [self.all[one] for one in ids if one in self.all], "next_page_token": None}

    async def play(self, _request, stream, reader):
        await stream.text({"type": "start", "id": "e-0"})
        self.streams.append(stream)
        await asyncio.wait_for(reader.read(), 20)

    def tell(self, message):
        """A message on the newest stream."""
        sent = self.streams[-1].text(message)
        asyncio.run_coroutine_threadsafe(sent, self.gateway.loop).result(10)

    def happened(self, id_, what="agent.offline"):
        self.tell({"id": "e-1", "type": what, "server_id": id_, "data": {}})

    def whole(self):
        """How often all of them were read."""
        return sum(" and id in (" not in one for one in self.asked)


@pytest.fixture
def fleet(gateway):
    """300 servers, whose whole reading takes 5 s, and what follows them."""
    servers = Servers(gateway, 300)
    endpoint = Endpoint("http", "127.0.0.1", int(gateway.url.rpartition(":")[2]), "", TOKEN, "the test")
    fleet = Fleet(endpoint, "env=prod, role!=db", lambda: servers.time)
    fleet.watch()
    # The first stream only tells where to begin.
    until_sync(lambda: len(servers.streams) == 2)
    assert len(fleet.look()) == 300
    assert servers.whole() == 1
    yield servers, fleet
    fleet.close()


def status(fleet, id_, shown=()):
    return {one["id"]: one["agent"]["status"] for one in fleet.look(shown)}.get(id_)


def test_only_what_changed_is_read_again(fleet):
    servers, fleet = fleet
    id_ = servers.put("web-7", "offline")
    assert status(fleet, id_) == "online"
    servers.happened(id_)
    until_sync(lambda: status(fleet, id_) == "offline")
    assert servers.asked[1:] == [f"(env=prod, role!=db) and id in ({id_})"]


def test_servers_come_and_go(fleet):
    servers, fleet = fleet
    new, old = servers.put("new", "pending"), servers.put("web-1", "online")
    servers.happened(new, "server.created")
    until_sync(lambda: status(fleet, new) == "pending")
    del servers.all[old]
    servers.happened(old, "server.deleted")
    until_sync(lambda: status(fleet, old) is None)
    assert (len(fleet.look()), servers.whole()) == (300, 1)


def test_what_is_shown_is_read_each_time_and_the_rest_seldom(fleet):
    servers, fleet = fleet
    shown, hidden = servers.put("web-1", "flapping"), servers.put("web-2", "flapping")
    assert (status(fleet, shown, [shown]), status(fleet, hidden)) == ("flapping", "online")
    servers.time += 99
    assert status(fleet, hidden) == "online"
    servers.time += 1
    assert (status(fleet, hidden), servers.whole()) == ("flapping", 2)


@pytest.mark.parametrize("missed", ["gap", "cut"])
def test_all_are_read_again_when_events_were_missed(fleet, missed):
    servers, fleet = fleet
    id_ = servers.put("web-7", "offline")
    if missed == "gap":
        servers.tell({"type": "gap", "from": "e-1", "to": "e-9", "reason": "not_kept"})
    else:
        servers.gateway.loop.call_soon_threadsafe(servers.streams[-1].drop)
    until_sync(lambda: status(fleet, id_) == "offline")
    assert servers.whole() == 2


def test_more_changes_than_one_look_may_cost_wait_for_the_next(fleet):
    servers, fleet = fleet
    changed = [servers.put(f"more-{number}", "offline") for number in range(600)]
    for id_ in changed:
        servers.happened(id_)
    until_sync(lambda: len(fleet.look()) == 900)
    assert servers.whole() == 1
    assert max(map(len, servers.asked)) < 4096


def test_a_change_is_seen_also_behind_a_cut_of_the_stream(gateway, myx):
    servers = Servers(gateway, 3)
    terminal = OnTerminal(myx, "top", "--interval", "0.2")
    terminal.until("3 servers: 3 online")
    servers.happened(servers.put("web-1", "offline"))
    terminal.until("3 servers: 1 offline, 2 online")
    gateway.loop.call_soon_threadsafe(servers.streams[-1].drop)
    servers.put("web-2", "unknown")
    terminal.until("3 servers: 1 offline, 1 unknown, 1 online")
    terminal.interrupt()
    terminal.end()


def test_one_server_is_counted_as_one(gateway, myx):
    Servers(gateway, 1)
    terminal = OnTerminal(myx, "top")
    terminal.until("1 server: 1 online")
    terminal.interrupt()
    terminal.end()


def test_their_servers_are_shown_to_those_who_may_not_see_the_whole_fleet(gateway, myx):
    Servers(gateway, 2)
    gateway.answers.append(("GET /heartbeat", problem(403, "FORBIDDEN", "this needs the role viewer on all servers")))
    done = myx("top", "-o", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["heartbeat"], told["counts"], len(told["items"])) == ({}, {"online": 2}, 2)
