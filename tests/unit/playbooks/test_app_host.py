"""What deployments ask of a host: a lock that is theirs alone, ports, programs that the service's user reaches."""

import errno
import os
import socket
from contextlib import contextmanager

import app_switch
import pytest
from app_host import Host, HostError, lock
from app_place import Place

from myx_testkit.apps import SCRIPTS, FolderHost, xray_standin
from myx_testkit.ports import free_port

QUICK = {"probe_stay_s": 0, "probe_timeout_s": 3}


@pytest.fixture
def place(tmp_path):
    return Place(Host(tmp_path), "web", "caddy")


@pytest.fixture
def host(tmp_path):
    found = FolderHost(tmp_path / "host")
    yield found
    found.stop_all()


def xray(host, port, tag="one", **more):
    path = host.root / "xray"
    path.write_bytes(xray_standin())
    config = {"inbounds": [{"protocol": "vless", "listen": "127.0.0.1", "port": port, "tag": tag}]}
    return {"artifact_path": str(path), "config": config, **QUICK, **more}


def test_one_deployment_at_a_time_and_no_other_user_reaches_its_lock(place):
    with lock(place.lock_file, "web"):
        folder = place.lock_file.parent
        assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o700, os.geteuid())
        with pytest.raises(HostError, match="another deployment of web"), lock(place.lock_file, "web"):
            pass
    with lock(place.lock_file, "web"):
        pass


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o755])
def test_a_folder_that_others_enter_is_no_place_for_a_lock(place, mode):
    place.lock_file.parent.mkdir(parents=True)
    place.lock_file.parent.chmod(mode)
    with pytest.raises(HostError, match="only root can enter"), lock(place.lock_file, "web"):
        pass
    assert not place.lock_file.exists()


def test_a_link_in_place_of_the_lock_is_not_followed(place, tmp_path):
    place.lock_file.parent.mkdir(mode=0o700, parents=True)
    place.lock_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), lock(place.lock_file, "web"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_whose_maker_was_killed_before_it_was_marked_is_ours_still(place):
    place.base.mkdir(parents=True)
    (place.base / ".myx.json.x1y2z3").touch()
    place.must_be_ours("caddy_")

    (place.base / "mine").touch()
    with pytest.raises(HostError, match="is not MyX's"):
        place.must_be_ours("caddy_")


@contextmanager
def listening(port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield


def test_ports_are_looked_at_on_a_kernel_without_ipv6(place, monkeypatch):
    real = socket.socket

    def without_ipv6(family=socket.AF_INET, *more):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        return real(family, *more)

    class Foreign:
        @staticmethod
        def owns(place, pid):
            return False

    monkeypatch.setattr(app_switch.socket, "socket", without_ipv6)
    port = free_port()
    for host in ("", "::", "::1", "localhost"):
        app_switch.must_be_free(Foreign, place, [(host, port)])
    with listening(port), pytest.raises(HostError, match=f"port {port} is held by"):
        app_switch.must_be_free(Foreign, place, [("", port)])


def test_the_services_user_reaches_what_root_brings_with_a_strict_umask(host):
    before = os.umask(0o077)
    try:
        answer = host.run("deploy_xray", xray(host, free_port()))
    finally:
        os.umask(before)

    assert answer["changed"], answer
    base = host.root / "opt/xray"
    release = base / "releases" / answer["release"]
    modes = {path.name: path.stat().st_mode & 0o777 for path in (release, release / "xray")}
    assert modes == {release.name: 0o755, "xray": 0o755}
    assert (host.root / "etc/systemd/system/xray.service").stat().st_mode & 0o777 == 0o644
    private = [base / "current" / name for name in ("env", "variables.json")]
    assert [path.stat().st_mode & 0o777 for path in private] == [0o600, 0o600]


def test_a_probe_url_that_is_mistyped_changes_nothing(host):
    port = free_port()
    host.run("deploy_xray", xray(host, port))
    tree, pid = host.tree(), host.pid("xray.service")

    answer = host.run("deploy_xray", xray(host, port, "two", probe_urls=["http://127.0.0.1:80800/"]))

    assert answer["exit_code"] == 64
    assert "xray_probe_urls: 'http://127.0.0.1:80800/' is not a URL" in answer["message"]
    assert (host.tree(), host.pid("xray.service")) == (tree, pid)


FAULTY = f"""
import json, sys
sys.path.insert(0, {str(SCRIPTS)!r})
import app_switch, deploy_xray
real = app_switch.run_probe
def once(probe):
    app_switch.run_probe = real
    raise ValueError("nobody thought of this")
app_switch.run_probe = once
sys.exit(deploy_xray.main(json.load(sys.stdin)))
"""


def test_whatever_goes_wrong_while_the_new_state_is_proved_the_old_one_comes_back(host, tmp_path):
    port = free_port()
    host.run("deploy_xray", xray(host, port))
    tree = host.tree()
    (tmp_path / "faulty.py").write_text(FAULTY)

    answer = host.run(str(tmp_path / "faulty"), xray(host, port, "two"))

    assert answer["exit_code"] == 1
    assert "ValueError: nobody thought of this" in answer["message"]
    assert "The old one was put back and serves: Xray" in answer["message"]
    assert host.tree() == tree
