"""Each silence of an agent has its cause: made for real on three hosts, and read from the registry and its history."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from myx_kit.tls import make_agent_certificate
from myx_testkit.bundle import agent_bundle
from myx_testkit.clock import MovableClock, compiler_here
from myx_testkit.fleet import Fleet
from myx_testkit.hosts.host import Host
from myx_testkit.hosts.lab import HostLab
from myx_testkit.hosts.run import run
from myx_testkit.rest import Refused
from myx_testkit.standalone import Standalone
from myx_testkit.wait import until_sync

# Neighbours of this kernel are given up after 3 s; a try must outlast that, or what is no route looks filtered.
TRY_S = 4
DOUBT_MAX_S = 12
QUICK = {
    "MYX_HEARTBEAT_MIN_INTERVAL_S": "1",
    "MYX_HEARTBEAT_MAX_INTERVAL_S": "2",
    "MYX_HEARTBEAT_RPC_TIMEOUT_S": str(TRY_S),
    "MYX_HEARTBEAT_RETRY_MAX_ATTEMPTS": "1",
    "MYX_HEARTBEAT_RETRY_BASE_DELAY_S": "0.2",
    "MYX_HEARTBEAT_SLOW_AFTER_S": "1",
    "MYX_HEARTBEAT_DOUBT_MAX_S": str(DOUBT_MAX_S),
    "MYX_HEARTBEAT_DOUBT_INTERVAL_S": "1",
}
SEEN_WITHIN_S = 60
CONFIG = "/etc/myx-agent/config.json"
CERTIFICATE, KEY = "/etc/myx-agent/ssl/agent.crt", "/etc/myx-agent/ssl/agent.key"
UNREACHABLE = {"no_route", "filtered"}
AGENT_FILES = ("opt/myx-agent", "etc/myx-agent")

# Stands where the agent does, with its certificate; what it does with a connection is in a file.
STANDIN = f"""
import pathlib, socket, ssl, sys, threading
def serve(c):
    mode = pathlib.Path("/run/standin").read_text()
    try:
        if mode == "plain":
            c.sendall(b"SSH-2.0-not-an-agent\\r\\n")
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain({CERTIFICATE!r}, {KEY!r})
        with context.wrap_socket(c, server_side=True) as tls:
            tls.recv(65536)
            if mode == "lost":
                return
            body = b"what is an agent?"
            head = f"HTTP/1.1 {{mode}} X\\r\\nContent-Length: {{len(body)}}\\r\\nConnection: close\\r\\n\\r\\n"
            tls.sendall(head.encode() + body)
            tls.unwrap()
    except OSError:
        pass
    finally:
        c.close()
s = socket.create_server(("", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
"""
STANDIN_CAUSES = {
    "plain": "tls_failed",
    "lost": "connection_lost",
    "500": "server_error",
    "429": "throttled",
    "400": "bad_request",
    "413": "too_large",
    "200": "rpc_error",
}


class Watched:
    """One enrolled host as the registry sees it."""

    def __init__(self, fleet: Fleet, host: Host, name: str) -> None:
        self.fleet, self.host, self.name = fleet, host, name
        self.port = int(self.agent()["rpc_port"])

    def agent(self) -> dict[str, Any]:
        return self.fleet.agent(self.name)

    def history(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.fleet.rest.get(f"/servers/{self.name}/history")["items"]
        return items

    def waits(self, condition: Callable[[dict[str, Any]], bool], what: str) -> None:
        try:
            until_sync(lambda: condition(self.agent()), SEEN_WITHIN_S, interval_s=0.2, what=f"{self.name} is {what}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {self.agent()}, {self.history()[:3]}") from None

    def is_seen(self, causes: set[str], status: str = "offline") -> None:
        """Wait until the agent has this status for one of these causes, with a history that says the same."""
        self.waits(
            lambda agent: agent["status"] == status and agent["status_reason"] in causes, f"{status} for {causes}"
        )
        told = next(one for one in self.history() if one["after"] == status)
        assert told["cause"] in causes, told
        assert told["message"]
        if status == "offline" and told["cause"] != "other_machine":
            assert told["attempts"][-1]["cause"] == told["cause"], told

    def is_back(self) -> None:
        self.waits(lambda agent: agent["status"] == "online", "online again")

    def run_on_host(self, line: str) -> None:
        self.host.exec(line)

    def restart(self) -> None:
        self.run_on_host("systemctl restart myx-agent")

    def move_to(self, address: str) -> None:
        self.fleet.rest.patch(f"/servers/{self.name}", {"address": address})

    @contextlib.contextmanager
    def configured(self, **changes: object) -> Iterator[None]:
        """Its agent has another configuration meanwhile."""
        file = self.host.root / CONFIG[1:]
        before = file.read_text()
        file.write_text(json.dumps(json.loads(before) | changes))
        self.restart()
        yield
        file.write_text(before)
        self.restart()

    @contextlib.contextmanager
    def certified(self) -> Iterator[None]:
        """Its agent has another certificate meanwhile."""
        files = [self.host.root / path[1:] for path in (CERTIFICATE, KEY)]
        before = [file.read_text() for file in files]
        for file, text in zip(files, make_agent_certificate("agent")[:2], strict=True):
            file.write_text(text)
        self.restart()
        yield
        for file, text in zip(files, before, strict=True):
            file.write_text(text)
        self.restart()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        self.run_on_host("systemctl stop myx-agent")
        yield
        self.run_on_host("systemctl start myx-agent")

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        self.host.block_port(self.port)
        yield
        self.host.unblock_ports()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        self.host.freeze()
        yield
        self.host.thaw()

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        self.host.cut()
        yield
        self.host.heal()

    @contextlib.contextmanager
    def without_power(self) -> Iterator[None]:
        self.host.power_cut()
        # Its network card is without power too: in the lab the kernel around it would answer.
        self.host.cut()
        yield
        self.host.heal()
        self.host.boot()

    @contextlib.contextmanager
    def named(self, address: str) -> Iterator[None]:
        before = self.host.address
        self.move_to(address)
        yield
        self.move_to(before)

    @contextlib.contextmanager
    def standin(self) -> Iterator[Callable[[str], None]]:
        """Another program on its port; what it does can be set."""
        mode = self.host.root / "run/standin"

        def does(word: str) -> None:
            self.run_on_host(f"printf %s {word} > /run/standin")

        self.host.write("/root/standin.py", STANDIN)
        does("plain")
        self.run_on_host(
            f"systemctl stop myx-agent; systemd-run -q --unit=standin python3 /root/standin.py {self.port}"
        )
        yield does
        self.run_on_host("systemctl stop standin; systemctl start myx-agent")
        mode.unlink(missing_ok=True)

    @contextlib.contextmanager
    def clock_moved(self, clock: MovableClock, seconds: int) -> Iterator[None]:
        clock.move(seconds)
        self.host.write("/usr/lib/clock.so", clock.library.read_bytes(), 0o755)
        self.host.write("/usr/lib/clock.seconds", clock.file.read_bytes())
        folder = "/etc/systemd/system/myx-agent.service.d"
        words = "LD_PRELOAD=/usr/lib/clock.so MYX_TEST_CLOCK=/usr/lib/clock.seconds"
        self.host.write(f"{folder}/clock.conf", f"[Service]\nEnvironment={words}\n")
        self.run_on_host("systemctl daemon-reload; systemctl restart myx-agent")
        yield
        self.run_on_host(f"rm -r {folder}; systemctl daemon-reload; systemctl restart myx-agent")


@pytest.fixture(scope="module")
def three(host_lab: HostLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Watched]]:
    """Three hosts with agents that are checked every second or two and repaired by nobody."""
    environment = QUICK | {"MYX_AGENT_BUNDLE_DIR": str(agent_bundle())}
    myx = Standalone(tmp_path_factory.mktemp("causes") / "home", environment=environment)
    myx.start()
    fleet = Fleet(myx, host_lab)
    hosts = host_lab.hosts(3)
    with ThreadPoolExecutor(3) as pool:
        names = list(pool.map(lambda host: fleet.enrol(host, repair_policy="off"), hosts))
    yield [Watched(fleet, host, name) for host, name in zip(hosts, names, strict=True)]
    myx.stop()
    for host in hosts:
        host.close()


Case = tuple[AbstractContextManager[object], set[str]]


def all_end_well(lanes: list[Callable[[], None]]) -> None:
    """Run these beside each other; two silent agents are no reason for the control plane to suspect itself."""
    with ThreadPoolExecutor(len(lanes)) as pool:
        for done in [pool.submit(lane) for lane in lanes]:
            done.result()


def silent(one: Watched, cases: list[Case]) -> None:
    for case, causes in cases:
        with case:
            one.is_seen(causes)
        one.is_back()


def test_each_silence_is_named_for_what_it_is(three: list[Watched], tmp_path: Path) -> None:
    first, second, third = three

    def programs() -> None:
        with first.standin() as does:
            for mode, cause in STANDIN_CAUSES.items():
                does(mode)
                first.is_seen({cause})
        first.is_back()
        silent(
            first,
            [
                (first.certified(), {"pin_mismatch"}),
                (first.configured(agent_token="x" * 43), {"unauthorized"}),
                (first.configured(rpc_path="0" * 24), {"wrong_path"}),
                (first.named("no-such-host.invalid"), {"name_unresolved"}),
            ],
        )

    def networks() -> None:
        silent(
            second,
            [
                (second.blocked(), {"filtered"}),
                (second.frozen(), {"hung"}),
                (second.cut(), UNREACHABLE),
            ],
        )
        booted = second.agent()["rebooted_at"]
        silent(second, [(second.without_power(), UNREACHABLE)])
        second.waits(lambda agent: bool(agent["rebooted_at"] != booted), "known to have booted again")

    all_end_well([programs, networks])
    assert {one["after"] for one in third.history()} <= {"online", "pending"}
    # Both changed so often that single changes are no news any more; the one that stood still is not marked.
    assert [one.agent()["flapping"] for one in three] == [True, True, False]
    since = first.agent()["flapping_since"]
    silent(first, [(first.stopped(), {"refused"})])
    assert first.agent()["flapping_since"] == since


def test_a_clock_that_is_wrong_is_no_death_and_a_slow_way_none_either(three: list[Watched], tmp_path: Path) -> None:
    if not compiler_here():
        pytest.skip("a clock is moved by a small C library, and there is no compiler")
    one, other, _ = three
    clock, before = MovableClock(tmp_path), len(other.history())

    def wrong_clock() -> None:
        for seconds in (3600, -3600):
            with one.clock_moved(clock, seconds):
                one.is_seen({"clock_skew"}, "unknown")
            one.is_back()

    def slow_way() -> None:
        other.host.slow(300)
        try:
            until_sync(lambda: other.agent()["latency_s"] >= 0.5, SEEN_WITHIN_S, what="its latency is seen")
        finally:
            other.host.full_speed()
        until_sync(lambda: other.agent()["latency_s"] < 0.5, SEEN_WITHIN_S, what="it is quick again")

    all_end_well([wrong_clock, slow_way])
    assert len(other.history()) == before
    assert other.agent()["status"] == "online"


def give_address(host: Host, address: str) -> None:
    inside = ["ip", "-n", host.cable.namespace]
    run([*inside, "addr", "flush", "dev", "eth0"])
    run([*inside, "addr", "add", f"{address}/24", "dev", "eth0"])
    run([*inside, "route", "replace", "default", "via", host.cable.network.gateway])


def test_a_host_that_moves_is_found_at_its_new_address(three: list[Watched]) -> None:
    one = three[2]
    old, new = one.host.address, str(one.host.cable.network.subnet[200])
    for before, after in ((old, new), (new, old)):
        give_address(one.host, after)
        one.is_seen(UNREACHABLE)
        assert rest_address(one) == before
        one.move_to(after)
        one.is_back()
    assert one.agent()["quarantine"] is None


def rest_address(one: Watched) -> str:
    return str(one.fleet.rest.get(f"/servers/{one.name}")["address"])


def statuses(three: list[Watched]) -> set[tuple[str, str]]:
    return {(one.agent()["status"], one.agent()["status_reason"]) for one in three}


def suspicion(three: list[Watched]) -> dict[str, Any] | None:
    found: dict[str, Any] | None = three[0].fleet.rest.get("/heartbeat")["suspicion"]
    return found


def all_are(three: list[Watched], wanted: Callable[[tuple[str, str]], bool], what: str) -> None:
    try:
        until_sync(lambda: all(wanted(one) for one in statuses(three)), SEEN_WITHIN_S, interval_s=0.2, what=what)
    except AssertionError as late:
        raise AssertionError(f"{late}; they are {statuses(three)}, the suspicion is {suspicion(three)}") from None


def test_when_all_vanish_at_once_the_control_plane_suspects_itself_first(three: list[Watched]) -> None:
    doubted = ("unknown", "control_plane_doubt")

    def is_online(one: tuple[str, str]) -> bool:
        return one[0] == "online"

    all_are(three, is_online, "all are online")
    before = [len(one.history()) for one in three]
    for one in three:
        one.host.cut()
    all_are(three, lambda one: one == doubted, "nobody is marked")
    found = suspicion(three)
    assert found is not None
    assert found["failing"] == 3
    for one in three:
        one.host.heal()
    all_are(three, is_online, "all are back")
    assert suspicion(three) is None
    for one, count in zip(three, before, strict=True):
        new = one.history()[: len(one.history()) - count]
        assert [entry["after"] for entry in reversed(new)] == ["unknown", "online"], new

    # It lasts: after a bounded time the failures are believed.
    for one in three:
        one.host.cut()
    all_are(three, lambda one: one == doubted, "nobody is marked at once")
    all_are(three, lambda one: one[0] == "offline" and one[1] in UNREACHABLE, "all are offline for their own cause")
    for one in three:
        one.host.heal()
    all_are(three, is_online, "all are back")

    # The hosts are there and say so over SSH: it is the agents that died.
    time.sleep(2 * 2)  # what was believed makes believe for two intervals
    for one in three:
        one.run_on_host("systemctl stop myx-agent")
    all_are(three, lambda one: one == ("offline", "refused"), "all are offline")
    for one in three:
        one.run_on_host("systemctl start myx-agent")
    all_are(three, is_online, "all are back")


def test_another_machine_at_the_address_gets_nothing_until_it_is_accepted(three: list[Watched]) -> None:
    one, _, other = three
    rest, address = one.fleet.rest, one.host.address
    expected = one.agent()["facts"]["machine_id"]
    # The disk was copied, the machine is another one, and the first one is gone.
    other.run_on_host("systemctl stop myx-agent")
    for path in AGENT_FILES:
        run(["mv", other.host.root / path, other.host.root / f"{path}.own"])
        run(["cp", "-a", one.host.root / path, other.host.root / path])
    inside = ["ip", "-n", other.host.cable.namespace]
    one.host.cut()
    run([*inside, "addr", "add", f"{address}/24", "dev", "eth0"])
    run(["ip", "neigh", "flush", "dev", one.host.cable.network.bridge])
    other.run_on_host("systemctl start myx-agent")

    one.is_seen({"other_machine"})
    found = one.agent()["quarantine"]
    assert found["expected_machine_id"] == expected != found["found_machine_id"]
    checked = one.agent()["rpc_last_check"]
    asked = {"server": one.name, "command": "touch", "args": ["/root/was-here"], "offline": "queue"}
    command = rest.post("/commands", asked)["id"]
    until_sync(lambda: rest.get(f"/commands/{command}")["status"] == "failed", SEEN_WITHIN_S, interval_s=0.2)
    assert rest.get(f"/commands/{command}")["reason"] == "other_machine"
    with pytest.raises(Refused) as refused:
        rest.post(f"/servers/{one.name}/check")
    assert refused.value.reason == "AGENT_QUARANTINED"
    assert one.agent()["rpc_last_check"] == checked
    assert not (other.host.root / "root/was-here").exists()

    # An operator looked at it: it is the right one.
    rest.post(f"/servers/{one.name}/accept-machine")
    one.is_back()
    assert one.agent()["facts"]["machine_id"] == found["found_machine_id"]
    assert one.fleet.run(one.name, "hostname") == f"{other.host.name}\n"

    # The first machine is back: another one once more, until its agent is installed anew.
    other.run_on_host("systemctl stop myx-agent")
    run([*inside, "addr", "del", f"{address}/24", "dev", "eth0"])
    for path in AGENT_FILES:
        run(["rm", "-r", other.host.root / path])
        run(["mv", other.host.root / f"{path}.own", other.host.root / path])
    one.host.heal()
    run(["ip", "neigh", "flush", "dev", one.host.cable.network.bridge])
    other.run_on_host("systemctl start myx-agent")
    one.is_seen({"other_machine"})
    one.fleet.succeed(one.name, "install_agent")
    one.is_back()
    assert one.agent()["facts"]["machine_id"] == expected
    assert one.agent()["quarantine"] is None
    other.is_back()
