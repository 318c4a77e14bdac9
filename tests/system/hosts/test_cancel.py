"""Cancel on a real host, through the whole product: nothing that a command started outlives it."""

import time

from myx_testkit.fleet import FINAL, Fleet
from myx_testkit.hosts.host import Host
from myx_testkit.wait import until_sync

GRACE_S = 2.0
# R12: gone within 10 s, once the grace is over.
GONE_S = 10.0
MARK = "myx-test-bomb"
# Each fork forks before it dies, so that killing one after the other never ends; at most 60 live at once.
BOMB = f"""
import os, signal, sys, time
sys.argv = ["{MARK}"]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(5):
    if os.fork() == 0:
        break
while True:
    time.sleep(0.05)
    if os.fork():
        os._exit(0)
    if os.getpid() % 3 == 0:
        os.setsid()
"""
SCRIPT = f"""
exec 2>&1
echo begins
setsid sleep 7771 &
nohup sleep 7772 > /dev/null &
sudo -n sleep 7773 &
sudo -n setsid nohup sh -c 'trap "" TERM; sleep 7774; sleep 7774' > /dev/null &
(setsid sh -c 'sleep 7775 & disown' &)
python3 -c '{BOMB}' {MARK} &
trap '' TERM
wait
sleep 7776
sleep 7776
"""
SLEEPS = [str(number) for number in (7771, 7772, 7773, 7774, 7775)]


def left(host: Host) -> list[str]:
    """What still runs of the command, seen from the host itself."""
    lines = host.exec("ps -eo pid,args --no-headers").stdout.splitlines()
    return [line for line in lines if "sleep 777" in line or MARK in line]


def everything_runs(host: Host) -> bool:
    seen = "\n".join(left(host))
    return all(f"sleep {number}" in seen for number in SLEEPS) and seen.count(MARK) >= 3


def test_a_cancel_ends_fork_bombs_sessions_nohup_and_sudo_before_it_is_shown_as_done(fleet: Fleet, host: Host) -> None:
    name = fleet.enrol(host)
    asked = {"server": name, "command": "bash", "args": ["-c", SCRIPT]}
    command_id = fleet.rest.post("/commands", asked)["id"]
    until_sync(lambda: everything_runs(host), 30, interval_s=0.2, what=f"all of it runs: {left(host)}")

    began = time.monotonic()
    assert fleet.rest.post(f"/commands/{command_id}/cancel", {"grace_s": GRACE_S})["status"] == "cancelling"
    seen = []
    while (command := fleet.rest.get(f"/commands/{command_id}"))["status"] not in FINAL:
        seen.append(command["status"])
        assert time.monotonic() - began < 60, command
        time.sleep(0.1)
    took_s = time.monotonic() - began
    assert left(host) == []
    assert set(seen) <= {"cancelling"}
    assert (command["status"], command["result"]["tree_gone"]) == ("cancelled", True), command
    assert took_s < GRACE_S + GONE_S
    assert [change["to"] for change in command["changes"]][-2:] == ["cancelling", "cancelled"]
    fleet.remove(name)
