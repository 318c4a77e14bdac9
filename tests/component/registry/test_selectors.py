"""Selectors on a real PostgreSQL: the answers of a plain evaluation of the tree, and the two calls that take one."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
import pytest_asyncio
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myx.registry.v1 import server_service_pb2 as pb
from myx.registry.v1.agent_pb2 import AGENT_STATUS_OFFLINE, AGENT_STATUS_ONLINE
from myx.registry.v1.agent_service_pb2 import PauseChecksRequest
from myx_kit.db.engine import create_engine, psycopg_url
from myx_kit.errors import InvalidArgument, NotFound
from myx_kit.ids import new_id
from myx_kit.rpc.client import translate_errors
from myx_registry import migrations, models
from myx_registry.domain.selector import (
    FACTS,
    OF_SERVERS,
    STATUSES,
    All,
    And,
    Attribute,
    Compare,
    Exists,
    In,
    Like,
    Not,
    Or,
    Source,
)
from myx_registry.store import selectors as store

pytestmark = pytest.mark.asyncio(loop_scope="module")

T0 = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Host:
    """A server as the tests know it; `facts` None: its agent has told nothing, `agent` false: it has none."""

    name: str
    address: str = "192.0.2.7"
    labels: Mapping[str, str] = field(default_factory=dict)
    agent: bool = True
    status: str = "online"
    version: str = ""
    facts: Mapping[str, object] | None = None
    id: UUID = field(default_factory=new_id)


# ---- a plain evaluation -------------------------------------------------------------------------------------


def holds(tree, host: Host) -> bool:
    match tree:
        case All():
            return True
        case And(terms):
            return all(holds(term, host) for term in terms)
        case Or(terms):
            return any(holds(term, host) for term in terms)
        case Not(term):
            return not holds(term, host)
        case Exists(attribute):
            return value(attribute, host) is not None
        case In(attribute, values):
            return value(attribute, host) in values
        case Like(attribute, pattern):
            found = value(attribute, host)
            form = "".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in pattern)
            return found is not None and re.fullmatch(form, found, re.DOTALL) is not None
        case Compare(attribute, operator, number):
            found = value(attribute, host)
            if found is None:
                return False
            return {
                "=": found == number,
                "<": found < number,
                "<=": found <= number,
                ">": found > number,
                ">=": found >= number,
            }[operator]


def value(attribute: Attribute, host: Host):
    if attribute.source is Source.LABEL:
        return host.labels.get(attribute.name)
    if attribute.source is Source.SERVER:
        status = host.status if host.agent else "none"
        return {"name": host.name, "address": host.address, "id": str(host.id), "status": status}[attribute.name]
    if not host.agent:
        return None
    if attribute.name == "version":
        return host.version or None
    facts = host.facts or {}
    names = {"os": "os_id", "os_name": "os", "memory_mb": "memory_total_bytes"}
    name = names.get(attribute.name, attribute.name).replace("available_mb", "available_bytes")
    if attribute in NUMBERS:
        number = facts.get(name)
        if number is None or (number == 0 and not name.startswith("load")):
            return None
        return Decimal(int(number) // (1 << 20)) if attribute.name.endswith("_mb") else Decimal(json.dumps(number))
    return facts.get(name) or None


# ---- random servers and trees -------------------------------------------------------------------------------

NUMBERS = [FACTS[name] for name in FACTS if FACTS[name].kind == "number"]
LABELS = [Attribute(Source.LABEL, key) for key in ("env", "role", "example.org/team")]
TEXTS = [FACTS[name] for name in ("os", "os_name", "kernel", "version", "hostname")]
# Few values, so that terms match; among them what is special to LIKE, to JSON, to SQL and to Unicode.
ODD = st.sampled_from(
    ["", "a", "A", "web", "web-1", "%", "_", "\\", "a%b", "'; --", '"', "ß", "ſ", "é", "é", "☃", "🐍", "$1"]
)
NAMES = st.sampled_from(["a", "web-1", "web_1", "web.1", "db1"])
BYTES = st.sampled_from([0, 1, (1 << 20) - 1, 1 << 20, 5 << 20, 2**62])
NUMERALS = st.sampled_from([Decimal(text) for text in ("-1", "0", "0.1", "0.25", "1", "4", "5", "4398046511104")])
FACT_DOCUMENTS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("os", "os_id", "kernel", "hostname"), ODD),
        "cpus": st.sampled_from([0, 1, 4]),
        "load_1m": st.sampled_from([0.0, 0.1, 0.25, 1e-7, 4.0]),
        "memory_total_bytes": BYTES,
        "memory_available_bytes": BYTES,
        "uptime_s": st.sampled_from([0, 0.5, 4]),
        "disks": st.just([["/", 1, 2]]),
    },
)
HOSTS = st.builds(
    Host,
    name=NAMES,
    address=st.sampled_from(["192.0.2.7", "2001:db8::7", "a"]),
    labels=st.dictionaries(
        st.sampled_from(["env", "role", "example.org/team"]), st.sampled_from(["", "a", "A", "web-1"])
    ),
    agent=st.booleans(),
    status=st.sampled_from([status for status in STATUSES if status != "none"]),
    version=ODD,
    facts=FACT_DOCUMENTS,
)
TEXT_ATTRIBUTES = st.sampled_from([*LABELS, *TEXTS, OF_SERVERS["name"], OF_SERVERS["address"]])
LEAVES = st.one_of(
    st.just(All()),
    st.builds(Exists, st.sampled_from([*LABELS, *TEXTS, *NUMBERS])),
    st.builds(In, TEXT_ATTRIBUTES, st.lists(ODD | NAMES, min_size=1, max_size=3).map(tuple)),
    st.builds(
        In, st.just(OF_SERVERS["status"]), st.lists(st.sampled_from(STATUSES), min_size=1, max_size=2).map(tuple)
    ),
    st.builds(Like, TEXT_ATTRIBUTES, st.text("aAb*?%_\\ß☃w-1", max_size=5)),
    st.builds(Compare, st.sampled_from(NUMBERS), st.sampled_from(["=", "<", "<=", ">", ">="]), NUMERALS),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=4).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=4).map(tuple)),
    ),
    max_leaves=8,
)


def rows(hosts):
    servers = [
        {
            "id": host.id,
            "name": host.name,
            "address": host.address,
            "labels": dict(host.labels),
            "revision": 1,
            "created_at": T0,
            "updated_at": T0,
        }
        for host in hosts
    ]
    agents = [
        {
            "id": new_id(),
            "server_id": host.id,
            "rpc_port": 8000 + number,
            "certificate_sha256": "",
            "certificate_pem": "",
            **{f"sealed_{name}": b"" for name in ("agent_token", "secret_key", "rpc_path", "private_key")},
            "revision": 1,
            "status": host.status,
            "status_reason": "",
            "status_message": "",
            "status_since": T0,
            "version": host.version,
            "rpc_supported": True,
            "failure_streak": 0,
            "last_attempts": [],
            "facts": None if host.facts is None else dict(host.facts),
            "created_at": T0,
        }
        for number, host in enumerate(hosts)
        if host.agent
    ]
    return servers, agents


def insert(connection, hosts) -> None:
    servers, agents = rows(hosts)
    connection.execute(sa.insert(models.server), servers)
    if agents:
        connection.execute(sa.insert(models.agent), agents)


@pytest.fixture(scope="module")
def empty(module_postgres):
    """A database with empty tables."""
    migrations.upgrade(module_postgres.url)
    engine = sa.create_engine(psycopg_url(module_postgres.url))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.filterwarnings("default")
async def test_the_database_and_a_plain_evaluation_agree(empty):
    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(HOSTS, min_size=1, max_size=5, unique_by=lambda host: host.name),
        st.lists(TREES, min_size=1, max_size=4),
    )
    def agree(hosts, trees):
        by_name = sorted(hosts, key=lambda host: host.name.encode())
        with empty.begin() as transaction:
            insert(empty, hosts)
            for tree in trees:
                joined = models.server.outerjoin(models.agent, models.agent.c.server_id == models.server.c.id)
                query = sa.select(models.server.c.name, store.condition(tree)).select_from(joined)
                found = dict(empty.execute(query).all())
                assert found == {host.name: holds(tree, host) for host in by_name}, tree
            transaction.rollback()

    agree()


# ---- the calls ----------------------------------------------------------------------------------------------

FLEET = [
    Host("db1", labels={"env": "prod", "role": "db"}, status="offline", facts={"os_id": "debian", "cpus": 8}),
    Host("web-1", labels={"env": "prod", "role": "web"}, facts={"os_id": "debian", "cpus": 2}, version="0.2.0"),
    Host("web-2", labels={"env": "test", "role": "web"}, facts={"os_id": "fedora", "cpus": 4}, version="0.1.0"),
    Host("new", labels={"env": "prod"}, agent=False, address="2001:db8::1"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(registry):
    """Four servers, written straight into the tables."""
    engine = create_engine(registry.settings.database_url())
    async with engine.begin() as connection:
        await connection.run_sync(insert, FLEET)
    await engine.dispose()
    return {host.name: host for host in FLEET}


async def resolve(registry, selector: str = "", servers=(), caller: str = "executor") -> list[pb.ResolvedServer]:
    request = pb.ResolveServersRequest(selector=selector, servers=servers)
    with translate_errors("registry"):
        call = registry.client(caller).servers.ResolveServers(request, timeout=30)
        return [server async for piece in call for server in piece.servers]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("all", ["db1", "new", "web-1", "web-2"]),
        ("env=prod and role in (web,api) and os=debian and not name=db1", ["web-1"]),
        ("env=prod,role", ["db1", "web-1"]),
        ("env=prod and !role", ["new"]),
        ("role!=web", ["db1", "new"]),
        ("status=none", ["new"]),
        ("status in (offline,none)", ["db1", "new"]),
        ("os", ["db1", "web-1", "web-2"]),
        ("not os=debian", ["new", "web-2"]),
        ("cpus >= 4", ["db1", "web-2"]),
        ("version=0.1.0 or name ~ 'd*'", ["db1", "web-2"]),
        ("name ~ web-?", ["web-1", "web-2"]),
        ("address=2001:DB8::1", ["new"]),
        pytest.param(f"id in ({FLEET[0].id},{FLEET[3].id})", ["db1", "new"], id="ids"),
        ("role=nothing", []),
    ],
)
async def test_a_selector_gives_its_servers_by_name(registry, fleet, selector, names):
    assert [server.name for server in await resolve(registry, selector)] == names
    listed = await registry.client("gateway").servers.ListServers(pb.ListServersRequest(selector=selector))
    assert [server.name for server in listed.servers] == names
    counts = await registry.client("gateway").servers.CountServers(pb.CountServersRequest(selector=selector))
    assert counts.total == len(names)


async def test_servers_are_counted_by_the_status_of_their_agents(registry, fleet):
    stub = registry.client("gateway").servers
    until = Timestamp(seconds=int(time.time()) + 600)
    await registry.client("gateway").agents.PauseChecks(
        PauseChecksRequest(servers=["db1", "web-1"], until=until, requested_by="user:tester")
    )
    counts = await stub.CountServers(pb.CountServersRequest())
    by_status = {one.status: one.servers for one in counts.by_status}
    assert by_status == {AGENT_STATUS_ONLINE: 2, AGENT_STATUS_OFFLINE: 1}
    assert (counts.total, counts.without_agent, counts.paused) == (4, 1, 2)
    counts = await stub.CountServers(pb.CountServersRequest(selector="env=test"))
    assert (counts.total, counts.without_agent, counts.paused) == (1, 0, 0)
    none = await stub.CountServers(pb.CountServersRequest(selector="role=nothing"))
    assert (none.total, list(none.by_status), none.paused) == (0, [], 0)


async def test_a_target_holds_what_a_list_of_targets_needs(registry, fleet):
    web, new = (await resolve(registry, "name=web-1"))[0], (await resolve(registry, "name=new"))[0]
    assert (web.id, web.address, web.status) == (str(fleet["web-1"].id), "192.0.2.7", "online")
    assert dict(web.labels) == {"env": "prod", "role": "web"}
    assert web.agent_id
    assert (new.agent_id, new.status) == ("", "")


async def test_named_servers_are_given_once_each_by_name(registry, fleet):
    names = ["web-2", "db1", str(fleet["db1"].id), "web-2"]
    assert [server.name for server in await resolve(registry, servers=names)] == ["db1", "web-2"]


async def test_an_unknown_name_is_told(registry, fleet):
    for unknown in ("nowhere", str(new_id()), "", "'; drop table server; --"):
        with pytest.raises(NotFound, match="SERVER_NOT_FOUND") as caught:
            await resolve(registry, servers=["db1", unknown])
        assert caught.value.fields["server"] == unknown


async def test_nothing_is_never_everything(registry, fleet):
    for selector, servers in (("", ()), ("all", ["db1"])):
        with pytest.raises(InvalidArgument) as caught:
            await resolve(registry, selector, servers)
        assert (caught.value.reason, caught.value.fields["field"]) == ("SELECTOR_INVALID", "selector")


async def test_a_bad_selector_is_refused_with_the_place(registry, fleet):
    stub = registry.client("gateway").servers
    for call in (
        lambda: resolve(registry, "env=prod and"),
        lambda: stub.ListServers(pb.ListServersRequest(selector="env=prod and")),
        lambda: stub.CountServers(pb.CountServersRequest(selector="env=prod and")),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await call()
        assert (caught.value.reason, caught.value.fields["position"]) == ("SELECTOR_INVALID", "13")


async def test_pages_of_a_selection_hold_all_of_it_once(registry, fleet):
    stub = registry.client("gateway").servers
    request = pb.ListServersRequest(selector="os", page_size=2)
    first = await stub.ListServers(request)
    request.page_token = first.next_page_token
    second = await stub.ListServers(request)
    assert [server.name for server in (*first.servers, *second.servers)] == ["db1", "web-1", "web-2"]
    assert second.next_page_token == ""
    request.selector = "all"
    with pytest.raises(InvalidArgument, match="PAGE_TOKEN_INVALID"):
        await stub.ListServers(request)


async def test_a_long_list_comes_in_pieces_and_is_of_one_moment(registry, fleet):
    hosts = [Host(f"bulk-{number:04}", labels={"bulk": "yes"}, agent=False) for number in range(1201)]
    engine = create_engine(registry.settings.database_url())
    async with engine.begin() as connection:
        await connection.run_sync(insert, hosts)
    with translate_errors("registry"):
        request = pb.ResolveServersRequest(selector="bulk=yes")
        pieces = aiter(registry.client("executor").servers.ResolveServers(request, timeout=60))
        found = [await anext(pieces)]
        # What happens from now on is not in the list.
        async with engine.begin() as connection:
            await connection.execute(sa.delete(models.server).where(models.server.c.labels.has_key("bulk")))
        found += [piece async for piece in pieces]
    await engine.dispose()
    assert [len(piece.servers) for piece in found] == [500, 500, 201]
    assert [server.name for piece in found for server in piece.servers] == [host.name for host in hosts]
