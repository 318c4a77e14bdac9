"""deploy_xray.py from end to end on a host that is a folder, with the stand-in for Xray and real processes."""

import hashlib
import json
import os
import signal
import socket
import tarfile
import zipfile
from pathlib import Path

import pytest

from myx_testkit.apps import SCRIPTS, answer_of, xray_standin
from myx_testkit.ports import free_port
from myx_testkit.wait import until_sync

QUICK = {"probe_stay_s": 0, "probe_timeout_s": 3}


@pytest.fixture
def port():
    return free_port()


def config(port, tag="one", **more):
    return {"inbounds": [{"protocol": "vless", "listen": "127.0.0.1", "port": port, "tag": tag}], **more}


def artifact(host, name="xray", **standin):
    path = host.root / name
    path.write_bytes(xray_standin(**standin))
    return str(path)


def deployed(host, port, tag="one", **more):
    return host.run("deploy_xray", {"artifact_path": artifact(host), "config": config(port, tag), **QUICK, **more})


FAULTY = """
import json, os, shutil, signal, sys
sys.path.insert(0, {scripts!r})
import app_deploy, app_place, app_switch, deploy_xray
{fault}
sys.exit(deploy_xray.main(json.load(sys.stdin)))
"""


def faulty(tmp_path, fault):
    """A deployment script to which something happens; for `host.run`."""
    path = tmp_path / "faulty"
    path.with_suffix(".py").write_text(FAULTY.format(scripts=str(SCRIPTS), fault=fault))
    return str(path)


def greeting(port):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        return connection.recv(100).decode().strip()


def test_a_first_deployment_serves_and_a_second_changes_nothing(host, port):
    first = deployed(host, port)
    pid = host.pid("xray.service")
    tree = host.tree()

    second = deployed(host, port)

    assert (first["failed"], first["changed"], first["action"]) == (False, True, "start")
    assert greeting(port) == "1.8.24 one"
    assert (second["failed"], second["changed"], second["action"]) == (False, False, "unchanged")
    assert host.pid("xray.service") == pid
    assert host.tree() == tree


def test_releases_carry_version_and_digest_and_the_pointer_leads_to_both_program_and_configuration(host, port):
    deployed(host, port)

    base = host.root / "opt/xray"
    digest = hashlib.sha256(xray_standin()).hexdigest()
    assert [path.name for path in (base / "releases").iterdir()] == [f"1.8.24-{digest[:12]}"]
    assert (base / "current/bin/xray").read_bytes() == xray_standin()
    assert json.loads((base / "current/config.json").read_text()) == config(port)
    assert (base / "current/variables.json").stat().st_mode & 0o077 == 0


def test_a_new_configuration_alone_restarts_and_the_program_stays(host, port):
    deployed(host, port)

    answer = host.run("deploy_xray", {"config": config(port, "two"), **QUICK})

    assert (answer["changed"], answer["action"]) == (True, "restart")
    assert greeting(port) == "1.8.24 two"


def test_a_new_program_alone_keeps_the_configuration(host, port):
    deployed(host, port)

    answer = host.run("deploy_xray", {"artifact_path": artifact(host, version="1.9.0"), "version": "1.9.0"})

    assert answer["changed"]
    assert greeting(port) == "1.9.0 one"


def test_a_refused_configuration_touches_nothing(host, port):
    deployed(host, port)
    pid, tree = host.pid("xray.service"), host.tree()

    answer = host.run("deploy_xray", {"config": {"inbounds": [{"protocol": "vlesss", "port": port}]}})

    assert answer["failed"]
    assert "unknown config id: vlesss" in answer["message"]
    assert "serves as before" in answer["message"]
    assert (host.pid("xray.service"), host.tree()) == (pid, tree)


def test_a_configuration_that_crashes_later_is_put_back(host, port):
    deployed(host, port)
    tree = host.tree()

    answer = host.run("deploy_xray", {"config": config(port, "bad", log={"standin": "crash"}), "probe_stay_s": 3})

    assert answer["failed"]
    assert not answer["changed"]
    assert "The old one was put back and serves" in answer["message"]
    assert "panic" in answer["message"]
    assert greeting(port) == "1.8.24 one"
    assert host.tree() == tree


@pytest.mark.parametrize(
    ("broken", "words"), [("version", "does not run"), ("run", "The old one was put back and serves")]
)
def test_a_broken_program_leaves_the_old_one_serving_and_nothing_behind(host, port, broken, words):
    deployed(host, port)
    new = artifact(host, "new", version="1.9.0", broken=broken)
    tree = host.tree()

    answer = host.run("deploy_xray", {"artifact_path": new, "probe_stay_s": 1})

    assert answer["failed"]
    assert words in answer["message"]
    assert greeting(port) == "1.8.24 one"
    assert host.tree() == tree


@pytest.mark.parametrize(
    "variables",
    [
        {"config": {"inbounds": [{"protocol": "nothing", "port": 1}]}},
        {"probe_ports": [1], "probe_timeout_s": 1},
    ],
    ids=["refused", "not healthy"],
)
def test_a_first_deployment_that_fails_leaves_no_trace(host, port, variables):
    path = artifact(host)
    tree = host.tree()

    answer = host.run("deploy_xray", {"artifact_path": path, "config": config(port), **QUICK, **variables})

    assert answer["failed"]
    assert host.tree() == tree
    assert host.pid("xray.service") == 0


def test_a_probe_that_fails_though_the_service_runs_is_put_back(host, port):
    deployed(host, port)

    answer = host.run(
        "deploy_xray",
        {"config": config(port, "two"), "probe_urls": [f"http://127.0.0.1:{port}/"], "probe_timeout_s": 1},
    )

    assert answer["failed"]
    assert f"http://127.0.0.1:{port}/ does not answer" in answer["message"]
    assert greeting(port) == "1.8.24 one"


def test_check_mode_says_what_would_be_done_and_does_nothing(host, port):
    deployed(host, port)
    tree, pid = host.tree(), host.pid("xray.service")

    same = host.run("deploy_xray", {"config": config(port)}, check=True, diff=True)
    other = host.run("deploy_xray", {"config": config(port, "two")}, check=True, diff=True)
    refused = host.run("deploy_xray", {"config": {"inbounds": [{"protocol": "x", "port": 1}]}}, check=True)

    assert (same["changed"], same["failed"]) == (False, False)
    assert (other["changed"], other["message"]) == (True, "would restart Xray 1.8.24")
    assert '"tag": "two"' in other["diff"][0]["after"]
    assert refused["failed"]
    assert (host.tree(), host.pid("xray.service")) == (tree, pid)


def test_check_mode_of_a_first_deployment_does_nothing(host, port):
    path = artifact(host)
    tree = host.tree()

    answer = host.run("deploy_xray", {"artifact_path": path, "config": config(port)}, check=True)

    assert (answer["changed"], answer["failed"]) == (True, False)
    assert host.tree() == tree


def test_values_are_filled_in_and_never_shown(host, port):
    template = config(port, "@@SECRET@@")
    words = {"config_values": {"SECRET": "first-secret"}}
    first = deployed(host, port, config=template, **words)

    second = host.run("deploy_xray", {"config_values": {"SECRET": "other-secret"}, **QUICK}, diff=True)
    third = host.run("deploy_xray", {"config": template | {"inbounds": [{"protocol": "other-secret", "port": 1}]}})

    assert greeting(port) == "1.8.24 other-secret"
    assert second["changed"]
    assert "SECRET=(new value)" in json.dumps(second["diff"])
    assert third["failed"]
    assert "********" in third["message"]
    for answer in (first, second, third):
        assert "first-secret" not in json.dumps(answer)
        assert "other-secret" not in json.dumps(answer)


def test_single_values_are_given_by_name_and_change_only_themselves(host, port):
    template = config(port, "@@ONE@@ @@TWO@@")
    deployed(host, port, config=template, config_values={"ONE": "first"}, value_TWO="second")

    answer = host.run("deploy_xray", {"value_TWO": "other-value", **QUICK})

    assert answer["changed"], answer
    assert greeting(port) == "1.8.24 first other-value"
    assert "other-value" not in str(answer)


def test_a_hidden_configuration_is_not_in_the_diff_nor_in_the_errors(host, port):
    deployed(host, port, hide_config=True)

    shown = host.run("deploy_xray", {"config": config(port, "private-tag"), **QUICK}, diff=True)
    refused = host.run("deploy_xray", {"config": {"inbounds": [{"protocol": "private-tag", "port": 1}]}})

    assert "private-tag" not in json.dumps([shown, refused])
    assert shown["changed"]
    assert refused["failed"]


def test_the_journal_of_a_hidden_configuration_is_not_shown(host, port):
    deployed(host, port, hide_config=True)

    answer = host.run("deploy_xray", {"config": config(port, "bad", log={"standin": "crash"}), "probe_stay_s": 3})

    assert "The old one was put back and serves" in answer["message"]
    assert "hide_config is set" in answer["message"]
    assert "panic" not in answer["message"]


def test_a_rollback_that_fails_shows_no_secret_of_either_state(host, port):
    template = config(port, "@@SECRET@@")
    deployed(host, port, config=template, config_values={"SECRET": "first-secret"})
    deployed(host, port, config=template, config_values={"SECRET": "second-secret"})
    (remembered,) = (host.root / "opt/xray/generations").glob("0001-*/variables.json")
    remembered.write_text(json.dumps({**json.loads(remembered.read_text()), "probe_ports": [1], "probe_timeout_s": 1}))
    with (host.root / "run/xray.service.log").open("a") as log:
        log.write("I know first-secret and second-secret\n")

    answer = host.run("deploy_xray", {"action": "rollback"})

    assert answer["failed"]
    assert "I know ******** and ********" in answer["message"]
    assert greeting(port) == "1.8.24 second-secret"


def test_only_the_newest_three_states_and_their_programs_are_kept(host, port):
    for number in range(5):
        path = artifact(host, version=f"1.8.{number}")
        wanted = {"artifact_path": path, "config": config(port, str(number)), **QUICK}
        assert host.run("deploy_xray", wanted)["changed"]

    base = host.root / "opt/xray"
    assert sorted(path.name[:4] for path in (base / "generations").iterdir()) == ["0003", "0004", "0005"]
    assert sorted(path.name.split("-")[0] for path in (base / "releases").iterdir()) == ["1.8.2", "1.8.3", "1.8.4"]


def test_rollback_goes_back_one_state_and_then_another_and_then_refuses(host, port):
    for tag in ("one", "two", "three"):
        deployed(host, port, tag)

    assert host.run("deploy_xray", {"action": "rollback"})["changed"]
    assert greeting(port) == "1.8.24 two"
    assert host.run("deploy_xray", {"action": "rollback"})["changed"]
    assert greeting(port) == "1.8.24 one"
    refused = host.run("deploy_xray", {"action": "rollback"})
    assert refused["failed"]
    assert "no earlier state" in refused["message"]


def test_removing_leaves_the_host_as_it_was(host, port):
    path = artifact(host)
    tree = host.tree()
    host.run("deploy_xray", {"artifact_path": path, "config": config(port), **QUICK})

    removed = host.run("deploy_xray", {"action": "remove", "purge": True})
    again = host.run("deploy_xray", {"action": "remove", "purge": True})

    assert (removed["changed"], again["changed"]) == (True, False)
    assert host.tree() == tree


def test_data_stay_when_they_are_not_purged(host, port):
    deployed(host, port)
    (host.root / "var/lib/xray/kept").write_text("mine")

    answer = host.run("deploy_xray", {"action": "remove"})

    assert "stay" in answer["message"]
    assert (host.root / "var/lib/xray/kept").read_text() == "mine"


def test_data_that_stayed_are_purged_later(host, port):
    path = artifact(host)
    tree = host.tree()
    host.run("deploy_xray", {"artifact_path": path, "config": config(port), **QUICK})
    host.run("deploy_xray", {"action": "remove"})

    again = host.run("deploy_xray", {"action": "remove"})
    would = host.run("deploy_xray", {"action": "remove", "purge": True}, check=True)
    purged = host.run("deploy_xray", {"action": "remove", "purge": True})

    assert (again["changed"], "not deployed here" in again["message"]) == (False, True)
    assert "xray_purge removes them" in again["message"]
    assert would["message"] == "would remove what xray had left"
    assert purged["changed"], purged
    assert host.tree() == tree


def test_data_that_stayed_outlive_a_deployment_that_fails_and_can_still_be_purged(host, port):
    path = artifact(host)
    tree = host.tree()
    wanted = {"artifact_path": path, "config": config(port), **QUICK}
    host.run("deploy_xray", wanted)
    (host.root / "var/lib/xray/kept").write_text("mine")
    host.run("deploy_xray", {"action": "remove"})

    refused = host.run("deploy_xray", {**wanted, "config": {"inbounds": [{"protocol": "x", "port": 1}]}})
    unproved = host.run("deploy_xray", {**wanted, "probe_ports": [1], "probe_timeout_s": 1})
    assert (refused["failed"], unproved["failed"]) == (True, True)
    assert (host.root / "var/lib/xray/kept").read_text() == "mine"

    assert host.run("deploy_xray", {"action": "remove", "purge": True})["changed"]
    assert host.tree() == tree


def test_data_that_stayed_are_not_purged_under_the_service_of_somebody_else(host, port):
    deployed(host, port)
    (host.root / "var/lib/xray/kept").write_text("mine")
    host.run("deploy_xray", {"action": "remove"})

    other_kind = host.run("deploy_caddy", {"name": "xray", "action": "remove", "purge": True})
    (host.root / "etc/systemd/system/xray.service").write_text("[Service]\nExecStart=/bin/sleep 1000\n")
    foreign = host.run("deploy_xray", {"action": "remove", "purge": True})

    assert (other_kind["failed"], foreign["failed"]) == (True, True)
    assert "is of a deployment of xray" in other_kind["message"]
    assert "that MyX did not make" in foreign["message"]
    assert (host.root / "var/lib/xray/kept").read_text() == "mine"


def test_a_deployment_by_a_release_that_knows_no_notes_is_one(host, port):
    """It finds a marker, the note of what a removed service left, and adds nothing to it."""
    deployed(host, port)
    marker = host.root / "opt/xray/myx.json"
    marker.write_text(json.dumps({"kind": json.loads(marker.read_text())["kind"], "left": {"account": True}}))

    refused = deployed(host, port, config={"inbounds": [{"protocol": "x", "port": 1}]})

    assert refused["failed"]
    assert greeting(port).startswith("1.8.24")
    assert host.run("deploy_xray", {"action": "remove", "purge": True})["message"].startswith("xray was removed")


def test_another_kind_of_service_may_take_the_name_of_a_removed_one(host, port):
    deployed(host, port)
    host.run("deploy_xray", {"action": "remove"})

    answer = host.run("deploy_caddy", {"name": "xray", "config": ":80"})

    assert "Caddy is not deployed on this host yet" in answer["message"]


def test_a_cancel_does_not_cut_off_a_removal(host, port):
    path = artifact(host)
    tree = host.tree()
    host.run("deploy_xray", {"artifact_path": path, "config": config(port), **QUICK})
    systemctl = host.root / "usr/bin/systemctl"
    real = systemctl.read_text()
    systemctl.write_text(real.replace("\n", '\n[ "$1" != disable ] || kill -TERM $PPID\n', 1))

    answer = host.run("deploy_xray", {"action": "remove", "purge": True})
    systemctl.write_text(real)

    assert (answer["failed"], answer["changed"]) == (False, True)
    assert host.tree() == tree


KILLED_AT_ITS_FIRST_FOLDER = """
real = shutil.rmtree
def rmtree(path, **more):
    real(path, **more)
    os.kill(os.getpid(), signal.SIGKILL)
shutil.rmtree = rmtree
"""


def test_a_removal_that_was_killed_is_done_again(host, port, tmp_path):
    path = artifact(host)
    tree = host.tree()
    host.run("deploy_xray", {"artifact_path": path, "config": config(port), **QUICK})
    killed = host.start(faulty(tmp_path, KILLED_AT_ITS_FIRST_FOLDER), {"action": "remove", "purge": True})
    killed.communicate()

    again = host.run("deploy_xray", {"action": "remove", "purge": True})

    assert killed.returncode == -signal.SIGKILL
    assert (again["failed"], again["changed"]) == (False, True), again
    assert host.tree() == tree


CANCELLED_AFTER_THE_PROOF = """
real = app_place.Place.prune
def prune(self, keep):
    os.kill(os.getpid(), signal.SIGTERM)
    return real(self, keep)
app_place.Place.prune = prune
"""


def test_a_cancel_after_the_proof_changes_nothing_and_denies_nothing(host, port, tmp_path):
    deployed(host, port)

    answer = host.run(faulty(tmp_path, CANCELLED_AFTER_THE_PROOF), {"config": config(port, "two"), **QUICK})

    assert (answer["failed"], answer["changed"]) == (False, True)
    assert greeting(port) == "1.8.24 two"
    assert not (host.root / "opt/xray/attempt.json").exists()


CANCELLED_WHILE_IT_CLEARS_AWAY = """
real = app_deploy.erase_first
def erase_first(place):
    os.kill(os.getpid(), signal.SIGTERM)
    real(place)
app_deploy.erase_first = erase_first
"""


def test_a_cancel_does_not_keep_a_failed_first_deployment_from_clearing_away(host, port, tmp_path):
    path = artifact(host)
    tree = host.tree()
    wanted = {"artifact_path": path, "config": {"inbounds": [{"protocol": "x", "port": 1}]}}

    answer = host.run(faulty(tmp_path, CANCELLED_WHILE_IT_CLEARS_AWAY), wanted)

    assert "unknown config id: x" in answer["message"]
    assert host.tree() == tree


WATCHED = """
synced, fsync, make = set(), os.fsync, app_deploy.make
def watched_fsync(descriptor):
    fsync(descriptor)
    synced.add(os.fstat(descriptor).st_ino)
def watched_make(service, place, switch):
    paths = [place.base, place.releases, place.generations, *place.base.rglob("*")]
    files = [path for path in paths if not path.is_symlink() and ".stage-" not in str(path)]
    with open({out!r}, "w") as file:
        json.dump([str(path) for path in files if path.stat().st_ino not in synced], file)
    make(service, place, switch)
os.fsync, app_deploy.make = watched_fsync, watched_make
"""


def test_all_of_a_state_is_on_the_disk_before_it_is_put_in_force(host, port, tmp_path):
    fault = WATCHED.replace("{out!r}", repr(str(tmp_path / "unsynced")))

    answer = host.run(faulty(tmp_path, fault), {"artifact_path": artifact(host), "config": config(port), **QUICK})

    assert answer["changed"], answer
    assert json.loads((tmp_path / "unsynced").read_text()) == []


def test_a_deployment_killed_while_it_is_proved_is_put_back_by_the_next_run(host, port):
    deployed(host, port)
    tree = host.tree()
    program = host.start("deploy_xray", {"config": config(port, "two"), "probe_stay_s": 300})
    until_sync(lambda: (host.root / "opt/xray/attempt.json").exists() and tag_of(port) == "two")
    program.kill()
    program.communicate()

    answer = deployed(host, port)

    assert not answer["failed"]
    assert "was cut off" in answer["warnings"][0]
    assert greeting(port) == "1.8.24 one"
    assert host.tree() == tree


def test_a_cancelled_deployment_puts_the_old_state_back_before_it_ends(host, port):
    deployed(host, port)
    tree = host.tree()
    program = host.start("deploy_xray", {"config": config(port, "two"), "probe_stay_s": 300})
    until_sync(lambda: tag_of(port) == "two")
    program.send_signal(signal.SIGTERM)

    answer = answer_of(program)

    assert answer["failed"]
    assert "cancelled" in answer["message"]
    assert greeting(port) == "1.8.24 one"
    assert host.tree() == tree


def test_a_deployment_that_is_cancelled_before_the_switch_leaves_nothing(host, port, tmp_path):
    never_ends = tmp_path / "xray"
    os.mkfifo(never_ends)
    tree = host.tree()
    wanted = {"url": f"file://{never_ends}", "sha256": "0" * 64, "config": config(port)}
    program = host.start("deploy_xray", wanted)
    until_sync(lambda: list((host.root / "opt").glob("xray/.stage-*/release")))
    program.send_signal(signal.SIGTERM)

    answer = answer_of(program)

    assert answer["failed"]
    assert "cancelled before anything was changed" in answer["message"]
    assert host.tree() == tree


def test_a_lost_connection_does_not_stop_what_was_begun(host, port):
    deployed(host, port)
    program = host.start("deploy_xray", {"config": config(port, "two"), "probe_stay_s": 1})
    until_sync(lambda: tag_of(port) == "two")
    program.send_signal(signal.SIGHUP)

    answer = answer_of(program)

    assert (answer["failed"], answer["changed"]) == (False, True)


def tag_of(port):
    try:
        return greeting(port).split()[-1]
    except (OSError, IndexError):
        return ""


def test_two_deployments_at_once_are_refused(host, port):
    deployed(host, port)
    program = host.start("deploy_xray", {"config": config(port, "two"), "probe_stay_s": 300})
    until_sync(lambda: tag_of(port) == "two")

    answer = host.run("deploy_xray", {"config": config(port, "three")})
    program.send_signal(signal.SIGTERM)
    answer_of(program)

    assert answer["failed"]
    assert "another deployment of xray is running" in answer["message"]


def test_a_port_that_another_program_holds_is_named_before_anything_changes(host, port):
    path = artifact(host)
    tree = host.tree()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        answer = host.run("deploy_xray", {"artifact_path": path, "config": config(port)})

    assert answer["failed"]
    assert f"port {port} is held by" in answer["message"]
    assert host.tree() == tree


def test_a_unit_of_somebody_else_is_left_alone(host, port):
    foreign = host.root / "etc/systemd/system/xray.service"
    foreign.write_text("[Service]\nExecStart=/bin/sleep 1000\n")
    host.systemctl("start", "xray.service")
    pid = host.pid("xray.service")

    answer = deployed(host, port)

    assert answer["failed"]
    assert "xray_takeover" in answer["message"]
    assert host.pid("xray.service") == pid


def test_a_unit_that_is_taken_over_is_back_when_the_new_one_fails_and_when_it_is_removed(host, port):
    foreign = host.root / "etc/systemd/system/xray.service"
    text = "[Service]\nExecStart=/bin/sleep 1000\n"
    foreign.write_text(text)
    host.systemctl("start", "xray.service")
    tree_before = {name for name in host.tree() if not name.startswith("xray")}

    failed = deployed(host, port, takeover=True, probe_ports=[1], probe_timeout_s=1)
    assert failed["failed"]
    assert foreign.read_text() == text
    assert host.pid("xray.service") > 0
    assert {name for name in host.tree() if not name.startswith("xray")} == tree_before

    assert deployed(host, port, takeover=True)["changed"]
    assert greeting(port) == "1.8.24 one"
    host.run("deploy_xray", {"action": "remove", "purge": True})
    assert foreign.read_text() == text


def test_a_folder_of_somebody_else_is_left_alone(host, port):
    (host.root / "opt/xray").mkdir()
    (host.root / "opt/xray/mine").write_text("mine")

    answer = deployed(host, port)

    assert answer["failed"]
    assert "not MyX's" in answer["message"]
    assert [path.name for path in (host.root / "opt/xray").iterdir()] == ["mine"]


def test_two_instances_live_side_by_side(host, port):
    other = free_port()
    deployed(host, port)

    assert deployed(host, other, "second", name="xray-two")["changed"]

    assert (greeting(port), greeting(other)) == ("1.8.24 one", "1.8.24 second")


def test_a_configuration_changed_by_hand_is_put_right(host, port):
    deployed(host, port)
    (host.root / "opt/xray/current/config.json").write_text("{}")

    answer = deployed(host, port)

    assert answer["changed"]
    assert json.loads((host.root / "opt/xray/current/config.json").read_text()) == config(port)


@pytest.mark.parametrize(("tag", "probe", "failed"), [("one", {}, False), ("two", {"probe_ports": [1]}, True)])
def test_a_program_changed_by_hand_is_put_right_and_stays_when_the_rest_is_not_proved(host, port, tag, probe, failed):
    deployed(host, port)
    program = host.root / "opt/xray/current/bin/xray"
    program.write_bytes(xray_standin(broken="run"))

    answer = deployed(host, port, tag, **probe)

    assert answer["failed"] is failed, answer
    assert program.read_bytes() == xray_standin()
    assert greeting(port) == "1.8.24 one"


def test_a_stopped_service_is_started_again(host, port):
    deployed(host, port)
    host.systemctl("stop", "xray.service")

    answer = deployed(host, port)

    assert (answer["changed"], answer["action"]) == (True, "start")
    assert greeting(port) == "1.8.24 one"


def test_the_configuration_alone_needs_a_deployed_program(host, port):
    answer = host.run("deploy_xray", {"config": config(port)}, config_only=True)

    assert answer["exit_code"] == 64
    assert "deploy it first" in answer["message"]


def test_the_configuration_playbook_takes_no_program(host, port):
    deployed(host, port)

    refused = host.run("deploy_xray", {"artifact_path": "/x", "config": config(port)}, config_only=True)
    taken = host.run("deploy_xray", {"config": config(port, "two"), **QUICK}, config_only=True)

    assert "xray_artifact_path is not a variable of this playbook" in refused["message"]
    assert taken["changed"]
    assert greeting(port) == "1.8.24 two"


def test_a_zip_brings_its_assets(host, port):
    archive = host.root / "xray.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("Xray/xray", xray_standin())
        file.writestr("Xray/geosite.dat", b"sites")
        file.writestr("../../etc/evil", b"evil")
    routed = config(port, routing={"rules": [{"domain": ["geosite:cn"]}]})

    answer = host.run("deploy_xray", {"artifact_path": str(archive), "config": routed, **QUICK})

    assert answer["changed"], answer
    assert (host.root / "opt/xray/current/bin/geosite.dat").read_bytes() == b"sites"
    assert not list(host.root.rglob("evil"))


def test_a_download_needs_its_digest_and_is_checked_by_it(host, port):
    archive = host.root / "mirror/xray-1.8.24.tar.gz"
    archive.parent.mkdir()
    program = Path(artifact(host))
    with tarfile.open(archive, "w:gz") as file:
        file.add(program, "xray")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    wanted = {"url": f"file://{archive.parent}/xray-{{version}}.tar.gz", "version": "1.8.24", "config": config(port)}

    without = host.run("deploy_xray", wanted)
    wrong = host.run("deploy_xray", {**wanted, "sha256": "0" * 64})
    right = host.run("deploy_xray", {**wanted, "sha256": digest, **QUICK})
    archive.unlink()
    again = host.run("deploy_xray", {**wanted, "sha256": digest, **QUICK})

    assert "xray_sha256" in without["message"]
    assert f"has SHA-256 {digest}, not {'0' * 64}" in wrong["message"]
    assert right["changed"]
    assert not again["changed"], "the release is on the host: nothing is downloaded again"


def test_an_artifact_of_another_version_is_refused(host, port):
    answer = deployed(host, port, version="2.0.0")

    assert answer["failed"]
    assert "1.8.24, not 2.0.0" in answer["message"]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"confg": {}}, "xray_confg is not a variable of this playbook; did you mean xray_config?"),
        ({"name": "../evil"}, "xray_name must be a name of a-z"),
        ({"name": "root; rm -rf /"}, "xray_name must be a name of a-z"),
        ({"artifact_path": "relative"}, "xray_artifact_path must be an absolute path"),
        ({"artifact_path": "/none/there"}, "there is no file /none/there on the host"),
        ({"sha256": "abc", "url": "https://x/y"}, "xray_sha256 must be 64 hex digits"),
        ({"probe_ports": [0]}, "xray_probe_ports"),
        ({"probe_stay_s": "soon"}, "xray_probe_stay_s must be a whole number"),
        ({"config": "{}", "config_path": "/x"}, "give only one of xray_config, xray_config_path"),
        ({"config": "   "}, "must not be empty"),
        ({"capabilities": ["CAP_SYS_ADMIN"]}, "xray_capabilities must be a list out of"),
        ({"writable_paths": ["/a/../etc"]}, "xray_writable_paths must be a list of absolute paths"),
        ({"environment": {"A": "two\nlines"}}, "xray_environment must be a mapping of one-line values"),
        (
            {"config_values": {"OTHER": "x"}, "config": '{"inbounds": "@@MISSING@@"}'},
            "xray_config_values has no MISSING",
        ),
    ],
)
def test_wrong_variables_are_named_with_what_would_be_right(host, port, variables, words):
    tree = host.tree()
    given = {"artifact_path": "/none", "config": config(port), **variables}
    if "config_path" in variables or "url" in variables:
        given.pop("artifact_path", None)

    answer = host.run("deploy_xray", given)

    assert answer["exit_code"] == 64
    assert words in answer["message"]
    assert host.tree() == tree


def test_jinja_in_variables_is_data(host, port):
    tag = "{{ lookup('pipe', 'id') }}"

    assert deployed(host, port, tag)["changed"]

    assert greeting(port) == f"1.8.24 {tag}"


def test_stale_staging_folders_go(host, port):
    deployed(host, port)
    left = host.root / "opt/xray/.stage-left"
    left.mkdir()

    deployed(host, port, "two")

    assert not left.exists()
