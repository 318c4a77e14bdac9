"""Xray (its stand-in) on real hosts, as a service and in a container."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from apps_plays import WAYS, by_ssh, greeting, main_pid

from myx_testkit.apps import xray_standin
from myx_testkit.wait import until

PROGRAM = "/root/xray"
COUNTED = ("ok", "changed", "failed", "skipped", "unreachable", "rescued", "ignored")
CONTAINER_PACKAGES = ("podman", "runc", "netavark", "aardvark-dns", "catatonit", "nftables")
CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=20000:20000", "nproc=16384:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
MAKE_IMAGE = """set -e
R=$(mktemp -d)
mkdir -p $R/usr/bin $R/usr/lib64 $R/usr/lib $R/usr/local/bin $R/etc $R/tmp $R/proc $R/dev $R/sys $R/run
ln -s usr/bin $R/bin; ln -s usr/lib $R/lib; ln -s usr/lib64 $R/lib64
cp -a /usr/bin/env /usr/bin/python3* $R/usr/bin/; cp -a /usr/lib/python3.* $R/usr/lib/
for l in $(ldd $(readlink -f /usr/bin/python3) /usr/bin/env | grep -o "/[^ ]*" | grep -v : | sort -u); do
  mkdir -p $R$(dirname $l); cp -L $l $R$l
done
install -m 755 /root/xray $R/usr/local/bin/xray
tar -C $R -c . | podman import -q -c "ENV PATH=/usr/local/bin:/usr/bin:/bin" - $1
rm -rf $R
"""


def config(port, tag="one", **more):
    return {"inbounds": [{"protocol": "vless", "port": port, "tag": tag}], **more}


def counts(played):
    return tuple(played.recap[name] for name in COUNTED)


@pytest.fixture
def ready(host):
    host.write(PROGRAM, xray_standin())
    return host


@pytest.mark.parametrize("way", [pytest.param("agent", marks=pytest.mark.long), "ssh"])
async def test_xray_and_its_configuration_by_both_ways(ready, way):
    play = WAYS[way]

    first = await play(ready, "deploy_xray.yml", {"artifact_path": PROGRAM, "xray_config": config(443)})
    assert first.code == 0, first.text
    assert greeting(ready, 443) == "1.8.24 one"
    pid = main_pid(ready, "xray")

    again = await play(ready, "deploy_xray.yml", {"artifact_path": PROGRAM, "xray_config": config(443)})
    alone = await play(ready, "deploy_xray_config.yml", {"xray_config": config(443)})
    assert (again.code, alone.code) == (0, 0), again.text + alone.text
    assert main_pid(ready, "xray") == pid

    changed = await play(ready, "deploy_xray_config.yml", {"xray_config": config(443, "two")})
    assert greeting(ready, 443) == "1.8.24 two", changed.text

    refused = await play(ready, "deploy_xray_config.yml", {"xray_config": {"inbounds": [{"protocol": "x", "port": 1}]}})
    crashing = config(443, "three", log={"standin": "crash"})
    crashed = await play(ready, "deploy_xray_config.yml", {"xray_config": crashing})
    assert "unknown config id: x" in refused.text
    assert "put back and serves" in crashed.text
    assert greeting(ready, 443) == "1.8.24 two"
    assert [counts(played)[:3] for played in (first, again, alone, changed, refused, crashed)] == [
        (1, 1, 0),
        (1, 0, 0),
        (1, 0, 0),
        (1, 1, 0),
        (0, 0, 1),
        (0, 0, 1),
    ]


async def test_a_broken_program_is_put_back(ready):
    await by_ssh(ready, "deploy_xray.yml", {"artifact_path": PROGRAM, "xray_config": config(443)})
    ready.write("/root/new", xray_standin("1.9.0", broken="run"))

    broken = await by_ssh(ready, "deploy_xray.yml", {"artifact_path": "/root/new"})

    assert broken.code == 2
    assert "ends by itself" in broken.message
    assert greeting(ready, 443) == "1.8.24 one"


@pytest.fixture
def engine(host_lab):
    with host_lab.host(packages=CONTAINER_PACKAGES, containers=True) as host:
        host.write("/etc/containers/containers.conf.d/50-test.conf", CONTAINERS_CONF)
        for version in ("1.8.24", "1.9.0"):
            host.write(PROGRAM, xray_standin(version))
            host.write("/root/make-image", MAKE_IMAGE)
            host.exec(f"sh /root/make-image localhost/xray:{version}", timeout_s=120)
        host.exec("podman save -q -o /root/new.tar localhost/xray:1.9.0; podman rmi localhost/xray:1.9.0")
        yield host


@pytest.mark.parametrize("way", ["agent", pytest.param("ssh", marks=pytest.mark.long)])
async def test_xray_in_a_container_by_both_ways(engine, way):
    play = WAYS[way]
    variables = {"xray_image": "localhost/xray:1.8.24", "xray_config": config(8443)}

    first = await play(engine, "deploy_xray_docker.yml", variables)
    assert first.code == 0, first.text
    assert greeting(engine, 8443) == "1.8.24 one"
    pid = main_pid(engine, "xray-docker")
    again = await play(engine, "deploy_xray_docker.yml", variables)
    assert main_pid(engine, "xray-docker") == pid

    newer = await play(engine, "deploy_xray_docker.yml", {"artifact_path": "/root/new.tar"})
    assert greeting(engine, 8443) == "1.9.0 one", newer.text

    refused = await play(
        engine, "deploy_xray_docker.yml", {"xray_config": {"inbounds": [{"protocol": "x", "port": 1}]}}
    )
    crashing = config(8443, "three", log={"standin": "crash"})
    crashed = await play(engine, "deploy_xray_docker.yml", {"xray_config": crashing})
    assert "unknown config id: x" in refused.text
    assert "put back and serves" in crashed.text
    assert greeting(engine, 8443) == "1.9.0 one"
    assert [counts(played)[:3] for played in (first, again, newer, refused, crashed)] == [
        (1, 1, 0),
        (1, 0, 0),
        (1, 1, 0),
        (0, 0, 1),
        (0, 0, 1),
    ]


@pytest.mark.long
async def test_a_container_comes_back_after_a_reboot_and_goes_with_its_image(engine):
    await by_ssh(engine, "deploy_xray_docker.yml", {"artifact_path": "/root/new.tar", "xray_config": config(8443)})

    engine.reboot()
    await until(lambda: engine.is_open(8443), 60)
    assert greeting(engine, 8443) == "1.9.0 one"
    removed = await by_ssh(engine, "deploy_xray_docker.yml", {"xray_action": "remove", "xray_purge": True})

    assert removed.code == 0, removed.text
    assert engine.exec("podman ps -aq; ls /opt").stdout == ""
    assert "1.9.0" not in engine.exec("podman images").stdout


async def test_a_container_of_somebody_else_is_left_alone(engine):
    engine.exec("podman run -d --network=none --name xray-docker --entrypoint sleep localhost/xray:1.8.24 1 || true")
    engine.exec("podman create --network=none --name xray-docker localhost/xray:1.8.24 || true")

    refused = await by_ssh(
        engine, "deploy_xray_docker.yml", {"xray_image": "localhost/xray:1.8.24", "xray_config": config(8443)}
    )

    assert refused.code == 2
    assert "that MyX did not make" in refused.message
    assert "xray-docker" in engine.exec("podman ps -a").stdout


async def test_an_image_that_is_not_here_needs_its_digest(engine):
    variables = {"xray_image": "localhost/none:1", "xray_config": config(8443)}

    refused = await by_ssh(engine, "deploy_xray_docker.yml", variables)

    assert refused.code == 2
    assert "xray_image_digest" in refused.message
    assert engine.exec("ls /opt").stdout == ""
