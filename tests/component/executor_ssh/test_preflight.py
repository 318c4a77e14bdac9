"""What is said of hosts that are unfit; each lack is made in the mount namespace of a real sshd."""

import asyncio
import re
import socket
from contextlib import closing

import pytest

from myx_executor.adapters.preflight import preflight
from myx_testkit.ports import free_port

# Makes this machine look like a fit host, whatever runs it.
FIT = """
stub() { printf '%s\\n' "#!/bin/sh" "$2" > "$1.stub"; chmod 755 "$1.stub"; }
put() { stub "$F/$1" "$2"; mount --bind "$F/$1.stub" "$(readlink -f "$(command -v "$1")")"; }
F=$1
mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system /run/sshd
echo systemd > "$F/comm"; mount --bind "$F/comm" /proc/1/comm
stub "$F/systemctl" "echo systemd 252"; mkdir -p "$F/bin"; mv "$F/systemctl.stub" "$F/bin/systemctl"
for d in /opt /var; do mount -t tmpfs -o size=500m tmpfs $d; done
"""


@pytest.fixture
def host(own_sshd):
    """Starts it with changes; returns how to look at it."""

    def start(changes=""):
        own_sshd.before = FIT + changes
        own_sshd.options = f"SetEnv PATH={own_sshd.folder}/bin:/usr/local/bin:/usr/bin:/bin"
        own_sshd.start()
        return own_sshd

    return start


@pytest.fixture
def look(connector, host):
    async def run(changes="", user="root", address="127.0.0.1", port=0):
        server = host(changes)
        async with connector.session([server.hop(user)]) as session:
            return await preflight(session, address=address, port=port or free_port())

    return run


def reasons(result):
    assert all(problem.message and problem.cure for problem in result.problems)
    return [problem.reason for problem in result.problems]


@pytest.mark.parametrize("user", ["root", "nopass"])
async def test_a_fit_host(look, user):
    result = await look(user=user)
    assert reasons(result) == []
    assert result.ok
    assert result.facts.python_version in {"3.11", "3.12", "3.13", "3.14"}
    assert result.facts.python.startswith("/")
    assert result.facts.libc.startswith("glibc")
    assert result.facts.systemd_version == "systemd 252"
    assert 450 <= result.facts.free_mb["/opt"] <= 500


NO_PYTHON = """
for p in /usr/bin/python3* /usr/local/bin/python3*; do
  if [ -f "$p" ]; then mount --bind /dev/null "$(readlink -f "$p")"; fi
done
"""


@pytest.mark.parametrize(
    ("changes", "expected", "word"),
    [
        (NO_PYTHON, ["PYTHON_MISSING", "PORT_UNCHECKED"], "none"),
        ("umount /opt; mount -t tmpfs -o size=50m tmpfs /opt", ["DISK_FULL"], "/opt has 50 MB"),
        ("mount -o remount,ro /var", ["DISK_READ_ONLY"], "/var"),
        ("echo init > $F/comm", ["SYSTEMD_MISSING"], "process 1 is init"),
        ("rmdir /run/systemd/system", ["SYSTEMD_MISSING"], "systemd"),
        ('stub $F/old "echo systemd 247 \\(247.3-7\\)"; mv $F/old.stub $F/bin/systemctl', ["SYSTEMD_TOO_OLD"], "247"),
        ('put uname "echo riscv64"', ["ARCH_UNSUPPORTED"], "riscv64"),
        ('put getconf "[ $1 = LONG_BIT ] && echo 32 || echo glibc 2.36"', ["ARCH_UNSUPPORTED"], "32 bit"),
        ('put getconf "exit 1"', ["LIBC_UNSUPPORTED"], "another C library"),
    ],
)  # fmt: skip
async def test_unfit_hosts(look, changes, expected, word):
    result = await look(changes.replace("$1 =", '\\"\\$1\\" ='))
    assert reasons(result) == expected
    assert word in result.problems[0].message
    assert not result.ok


@pytest.mark.parametrize(("seconds", "fatal"), [(120, False), (-120, False), (900, True), (-900, True), (20, None)])
async def test_clocks(look, seconds, fatal):
    result = await look(f"put date \"exec python3 -c 'import time; print(int(time.time()) + {seconds})'\"")
    assert [problem.fatal for problem in result.problems] == ([] if fatal is None else [fatal])
    if fatal is not None:
        (problem,) = result.problems
        assert problem.reason == "CLOCK_SKEW"
        assert ("ahead of" if seconds > 0 else "behind") in problem.message
        assert abs(result.facts.clock_offset_s - seconds) < 20


async def test_a_port_that_is_held_names_who_holds_it(look):
    holder = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    result = await look(port=holder.sockets[0].getsockname()[1])
    holder.close()
    assert reasons(result) == ["PORT_TAKEN"]
    assert re.search(r"held by \S+ \(process \d+\)", result.problems[0].message)


async def test_a_port_that_cannot_be_reached(look):
    # An address that nobody has; where a firewall drops, it looks the same.
    result = await look(address="192.0.2.1")
    assert reasons(result) == ["PORT_BLOCKED"]
    assert "192.0.2.1" in result.problems[0].message


async def test_the_listener_is_gone_afterwards(look):
    port = free_port()
    assert reasons(await look(port=port)) == []
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
