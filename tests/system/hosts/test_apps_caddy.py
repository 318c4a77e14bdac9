"""Caddy on real hosts: deployed, changed, broken on purpose and removed."""

import asyncio
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from apps_plays import WAYS, by_ssh, main_pid, page

from myx_testkit.apps import caddy_binary
from myx_testkit.wait import until

PLAY = "deploy_caddy.yml"
BINARY = "/root/caddy"


@pytest.fixture(scope="module")
def caddy():
    return caddy_binary().read_bytes()


@pytest.fixture
def ready(host, caddy):
    host.write(BINARY, caddy, 0o644)
    return host


def site(words, more=""):
    return f':80 {{\n\trespond "{words}"\n\t{more}\n}}\n'


@pytest.mark.parametrize("way", ["agent", pytest.param("ssh", marks=pytest.mark.long)])
async def test_the_life_of_a_web_server_is_the_same_by_both_ways(ready, way):
    play = WAYS[way]

    first = await play(ready, PLAY, {"artifact_path": BINARY, "caddy_config": site("one")})
    assert first.code == 0, first.text
    assert page(ready) == "one"
    pid = main_pid(ready, "caddy")

    again = await play(ready, PLAY, {"artifact_path": BINARY, "caddy_config": site("one")})
    assert (again.code, main_pid(ready, "caddy")) == (0, pid), again.text

    wrong = await play(ready, PLAY, {"caddy_config": site("one").replace("respond", "respnd")})
    assert wrong.code == 2
    assert "unrecognized directive: respnd" in wrong.text
    assert (page(ready), main_pid(ready, "caddy")) == ("one", pid)

    checked = await play(ready, PLAY, {"caddy_config": site("two")}, check=True, diff=True)
    assert checked.code == 0, checked.text
    assert '+\trespond "two"' in checked.text
    assert page(ready) == "one"

    removed = await play(ready, PLAY, {"caddy_action": "remove", "caddy_purge": True})
    assert removed.code == 0, removed.text
    assert not ready.is_open(80)

    counted = ("ok", "changed", "failed", "skipped", "unreachable", "rescued", "ignored")
    recaps = [tuple(played.recap[name] for name in counted) for played in (first, again, wrong, checked, removed)]
    assert recaps == [
        (1, 1, 0, 0, 0, 0, 0),
        (1, 0, 0, 0, 0, 0, 0),
        (0, 0, 1, 0, 0, 0, 0),
        (1, 1, 0, 0, 0, 0, 0),
        (1, 1, 0, 0, 0, 0, 0),
    ]


async def test_a_new_configuration_costs_no_downtime(ready):
    await by_ssh(ready, PLAY, {"artifact_path": BINARY, "caddy_config": site("one")})
    pid, pages, stop = main_pid(ready, "caddy"), [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                pages.append(page(ready))
            except OSError as error:
                pages.append(str(error))

    asker = asyncio.get_running_loop().run_in_executor(None, ask)
    changed = await by_ssh(ready, PLAY, {"caddy_config": site("two")})
    stop.set()
    await asker

    assert changed.code == 0, changed.text
    assert (page(ready), main_pid(ready, "caddy")) == ("two", pid)
    assert {"one", "two"} <= set(pages)
    assert not [text for text in pages if "refused" in text], "the port is never closed"
    # Caddy's own hand-over may cut a connection that it has just taken.
    assert len([text for text in pages if text not in {"one", "two"}]) <= 1


async def test_a_program_that_does_not_serve_is_put_back_in_seconds(ready):
    await by_ssh(ready, PLAY, {"artifact_path": BINARY, "caddy_config": site("one")})
    words = '[ "$1" = run ] && exit 3\n[ "$1" = version ] && echo v9.9.9 && exit 0\nexec /root/caddy.good "$@"\n'
    ready.exec(f"install -m 755 {BINARY} /root/caddy.good; chmod 711 /root")
    ready.write("/root/broken", f"#!/bin/sh\n{words}")

    broken = await by_ssh(ready, PLAY, {"artifact_path": "/root/broken"})

    assert broken.code == 2
    assert "The old one was put back and serves: Caddy 2." in broken.text
    assert page(ready) == "one"
    assert "9.9.9" not in ready.exec("ls /opt/caddy/releases").stdout


async def test_a_page_that_is_wrong_is_put_back_without_a_restart(ready):
    probe = [{"url": "http://127.0.0.1/", "contains": "one"}]
    variables = {"artifact_path": BINARY, "caddy_config": site("one"), "caddy_probe_urls": probe}
    await by_ssh(ready, PLAY, variables)
    pid = main_pid(ready, "caddy")

    wrong = await by_ssh(ready, PLAY, {"caddy_config": site("two"), "caddy_probe_timeout_s": 2})

    assert wrong.code == 2
    assert "does not contain" in wrong.message
    assert (page(ready), main_pid(ready, "caddy")) == ("one", pid)


async def test_the_service_has_its_own_user_and_few_rights_and_is_back_after_a_reboot(ready):
    log = "log {\n\t\toutput file /var/log/caddy/access.log\n\t}"
    await by_ssh(ready, PLAY, {"artifact_path": BINARY, "caddy_config": site("one", log)})

    pid = main_pid(ready, "caddy")
    status = ready.exec(f"cat /proc/{pid}/status").stdout
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    page(ready)
    assert facts["Uid"].split()[0] == ready.exec("id -u caddy").stdout.strip() != "0"
    assert facts["NoNewPrivs"] == "1"
    assert int(facts["CapEff"], 16) == 1 << 10, "CAP_NET_BIND_SERVICE alone"
    assert ready.exec("stat -c %U /var/log/caddy/access.log").stdout == "caddy\n"
    ready.reboot()
    await until(lambda: ready.is_open(80), 30)
    assert page(ready) == "one"


@pytest.mark.long
async def test_where_new_files_are_roots_alone_and_others_meddle_it_is_deployed_as_well(ready):
    ready.write("/etc/systemd/system/ssh.service.d/strict.conf", "[Service]\nUMask=0077\n")
    ready.exec("systemctl daemon-reload; systemctl restart ssh")
    ready.wait_for_ssh()
    assert ready.ssh("umask", user="root").stdout.strip() == "0077"
    ready.exec("runuser -u ops -- touch /run/lock/myx-deploy-caddy.lock")

    first = await by_ssh(ready, PLAY, {"artifact_path": BINARY, "caddy_config": site("one")})
    assert first.code == 0, first.text
    second = await by_ssh(ready, PLAY, {"caddy_config": site("two")})
    assert second.code == 0, second.text
    back = await by_ssh(ready, PLAY, {"caddy_action": "rollback"})
    assert back.code == 0, back.text

    assert page(ready) == "one"
    assert ready.exec("runuser -u ops -- ls /run/myx.deploy", check=False).returncode != 0


REWRITTEN = {f"/etc/{name}" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")}


def left_behind(before, host):
    """What differs, but for the files that useradd and userdel write anew."""
    lines = before.differences(host.inventory())
    return [line for line in lines if line.split(":")[0].rstrip("-") not in REWRITTEN]


@pytest.mark.long
async def test_what_is_removed_or_fails_at_first_leaves_nothing_behind(ready):
    ready.wait_until_settled()
    before = ready.inventory()

    failed = await by_ssh(
        ready,
        PLAY,
        {"artifact_path": BINARY, "caddy_config": site("one"), "caddy_probe_ports": [1], "caddy_probe_timeout_s": 1},
    )
    assert failed.code == 2
    assert left_behind(before, ready) == []

    for _ in range(2):  # data and their user stay at first, and are known as ours also after a second life
        await by_ssh(ready, PLAY, {"artifact_path": BINARY, "caddy_config": site("one")})
        removed = await by_ssh(ready, PLAY, {"caddy_action": "remove"})
        assert removed.code == 0, removed.text
    ready.exec("getent passwd caddy")
    purged = await by_ssh(ready, PLAY, {"caddy_action": "remove", "caddy_purge": True})
    assert purged.code == 0, purged.text
    assert left_behind(before, ready) == []


async def test_a_host_whose_power_went_while_it_was_proved_serves_and_the_next_run_puts_it_right(ready):
    await by_ssh(ready, PLAY, {"artifact_path": BINARY, "caddy_config": site("one")})
    variables = {"caddy_config": site("two"), "caddy_probe_stay_s": 200}
    running = asyncio.create_task(by_ssh(ready, PLAY, variables))
    await until(lambda: page(ready) == "two", 30)
    ready.power_cut()
    await running
    ready.boot()
    await until(lambda: ready.is_open(80), 30)

    again = await by_ssh(ready, PLAY, {"caddy_config": site("one")})

    assert again.code == 0, again.text
    assert "was cut off" in again.text
    assert page(ready) == "one"


async def test_secrets_are_nowhere_in_what_a_play_says(ready):
    variables = {"artifact_path": BINARY, "caddy_config": site("@@WORD@@ {$OTHER}")}
    secret = {"caddy_config_values": {"WORD": "se-cret-one"}, "caddy_environment": {"OTHER": "se-cret-two"}}

    played = await by_ssh(ready, PLAY, variables, secret_vars=secret, diff=True, verbosity=3)

    assert played.code == 0, played.text
    assert page(ready) == "se-cret-one se-cret-two"
    assert "se-cret" not in played.text + str(played.events)
    assert ready.exec("runuser -u ops -- cat /opt/caddy/current/Caddyfile", check=False).returncode != 0


async def test_jinja_from_a_user_is_data(ready):
    words = "{{ lookup('pipe', 'id') }}"

    played = await by_ssh(ready, PLAY, {"artifact_path": BINARY, "caddy_config": site(words)})

    assert played.code == 0, played.text
    assert page(ready) == words


@pytest.mark.long
async def test_a_full_disk_is_a_sentence_and_the_old_page_stays(host_lab, caddy):
    with host_lab.host(disk_mb=256) as host:
        host.write(BINARY, caddy)
        await by_ssh(host, PLAY, {"artifact_path": BINARY, "caddy_config": site("one")})
        pid = main_pid(host, "caddy")
        host.fill_disk()

        full = await by_ssh(host, PLAY, {"caddy_config": site("two")})
        host.free_disk()

        assert full.code == 2
        assert "No space left on device" in full.message
        assert (page(host), main_pid(host, "caddy")) == ("one", pid)
        after = await by_ssh(host, PLAY, {"caddy_config": site("two")})
        assert after.code == 0, after.text
        assert page(host) == "two"
