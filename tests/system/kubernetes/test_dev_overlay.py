"""The dev overlay runs from its rendered YAML: images built here, Secrets, migrations, all four services with
PostgreSQL and NATS, then an agent installed over SSH and a first command.

`podman kube play` stands in for a node. What it cannot show: Services (names of containers stand in for them) and so
balancing over replicas, NetworkPolicies, readiness and rolling updates, disruption budgets, ServiceAccounts, admission
(the `restricted` standard), groups of volumes (given by hand), storage classes. PostgreSQL's and NATS' images are
stand-ins with Debian's PostgreSQL and the NATS server of the wheel. kube_convert.py lists each change of the manifests.
"""

import json
import os
import re
import runpy
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from kube_guest import KubeGuest
from kube_render import K8S, rendered, workloads

from myx_testkit.bundle import CHECKOUT
from myx_testkit.rest import Rest
from myx_testkit.wait import until_sync

pytestmark = pytest.mark.long

DASHBOARD = CHECKOUT / "services/gateway/src/myx_gateway/dashboard_files/index.html"
SERVICES = ("registry", "heartbeat", "executor", "gateway")
SERVERS = ("StatefulSet/postgres", "StatefulSet/nats")
ACCOUNT = "10001"
MYX = str(Path(sys.executable).with_name("myx"))
ENOUGH = "/root/enough"
TALKS = f"i=0; while [ ! -e {ENOUGH} ]; do echo line $i; i=$((i+1)); sleep 0.1; done; echo end; exit 7"
DOOR = 8470
READY = (
    "import urllib.request as u;"
    "print(*(u.urlopen('http://127.0.0.1:9090/'+p,timeout=5).status for p in('livez','readyz','metrics')))"
)


@pytest.fixture(scope="module")
def objects():
    return rendered("dev")


@pytest.fixture(scope="module")
def secrets_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("k8s") / "secrets"


@pytest.fixture(scope="module")
def node(host_lab, objects):
    """Images are there."""
    guest = KubeGuest(host_lab)
    guest.start()
    try:
        began = time.monotonic()
        images = {o["metadata"]["name"]: pod_of(o)["containers"][0]["image"] for o in workloads(objects)}
        guest.build(SERVICES)
        guest.build_standins(images["postgres"], images["nats"])
        print(f"images built in {time.monotonic() - began:.0f} s\n{guest.podman('images')}")
        yield guest
    finally:
        guest.close()


@pytest.fixture(scope="module")
def cluster(node, objects, secrets_folder):
    """All that the overlay asks for runs, in the order of the page."""
    made = runpy.run_path(str(K8S / "make_secrets.py"), run_name="make_secrets")["manifests"](secrets_folder)
    node.give_secrets(made["items"])
    began = time.monotonic()
    for name in SERVERS:
        node.play(objects, name)
    for service in SERVICES:
        pod = node.play(objects, f"Job/{service}-migrate")
        node.wait_done(pod)
    pods = {service: node.play(objects, f"Deployment/{service}", *publish(service)) for service in SERVICES}
    for pod in pods.values():
        ready(node, pod)
    print(f"from Secrets to ready in {time.monotonic() - began:.0f} s")
    print(node.memory())
    return node


def pod_of(workload):
    return workload["spec"]["template"]["spec"]


def publish(service):
    return [f"{DOOR}:{DOOR}"] if service == "gateway" else []


def ready(node, pod):
    def probes():
        return node.podman("exec", node.container(pod), "python", "-c", READY, check=False)

    until_sync(lambda: probes() == "200 200 200", 120, interval_s=0.5, what=f"{pod} is ready")


@pytest.fixture(scope="module")
def environment(cluster, secrets_folder):
    """Of the command line that speaks to the door."""
    return {
        "PATH": os.environ["PATH"],
        "MYX_INSECURE_HTTP": "1",
        "MYX_URL": f"http://{cluster.host.address}:{DOOR}",
        "MYX_TOKEN": (secrets_folder / "admin.token").read_text().strip(),
    }


@pytest.fixture(scope="module")
def myx(cluster, environment):
    """The command line."""

    def run(*words, timeout_s=300):
        done = subprocess.run(
            [MYX, *words], env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr + cluster.said()
        return done

    return run


@pytest.fixture(scope="module")
def server(host_lab, myx):
    """A real host with an agent, which the executor's pod has installed over SSH."""
    with host_lab.host("web1") as host:
        login = ["--user", "root", "--key-file", str(host_lab.key), "--host-key", host.fingerprint]
        began = time.monotonic()
        said = myx("server", "add", "web1", host.address, *login, "--enrol")
        assert "PLAY RECAP" in said.stdout + said.stderr
        print(f"enrolled in {time.monotonic() - began:.0f} s")
        yield host


def test_images_have_no_rights_and_hold_what_they_need(node):
    for service in SERVICES:
        image = f"localhost/myx/{service}:dev"
        (facts,) = json.loads(node.podman("image", "inspect", image))
        print(f"{service}: {facts['Size'] >> 20} MiB")
        assert facts["Config"]["User"] == f"{ACCOUNT}:{ACCOUNT}"
        run = ["run", "--rm", "--network=none", "--read-only", "--cap-drop=all", "--entrypoint=sh", image, "-c"]
        said = node.podman(*run, "id -u; touch /opt/x 2>&1; ls /opt")
        assert said.splitlines()[0] == ACCOUNT
        assert "Read-only file system" in said
        assert ("agent-bundle" in said, "playbooks" in said) == (service == "executor",) * 2
        secretless = node.podman("image", "inspect", "--format={{json .Config.Env}}{{json .History}}", image)
        assert not re.search(r"index[_-]url=\S|://[^/\s\"]*@", secretless, re.IGNORECASE)


def test_a_first_command_runs_on_a_server_that_was_enrolled_over_ssh(server, myx):
    assert myx("run", "web1", "--", "hostname").stdout.strip() == "web1"


def test_a_run_and_who_watches_it_outlive_a_restart_of_every_pod(cluster, server, environment):
    argv = [MYX, "run", "web1", "--", "sh", "-c", TALKS]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        first = watching.stdout.readline()
        for service in SERVICES:
            cluster.podman("pod", "restart", f"{service}-pod")
            ready(cluster, f"{service}-pod")
        server.write(ENOUGH, "")
        rest, errors = watching.communicate(timeout=120)
    assert watching.returncode == 7, errors + cluster.said()
    lines = (first + rest).splitlines()
    assert lines == [f"line {number}" for number in range(len(lines) - 1)] + ["end"]


def test_the_first_person_logs_in_with_the_password_from_the_secret(cluster, secrets_folder):
    api = Rest(DOOR, "", host=cluster.host.address)
    password = (secrets_folder / "admin.password").read_text().strip()
    answer = api.post("/session", {"name": "admin", "password": password})
    assert answer["me"]["name"] == "user:admin"


def test_the_door_serves_the_dashboard_that_was_built(cluster):
    if not DASHBOARD.exists():
        pytest.skip("no dashboard here: `make dashboard` builds it, and with it `make images`")
    with urllib.request.urlopen(f"http://{cluster.host.address}:{DOOR}/", timeout=20) as answer:
        assert b"<script" in answer.read()


def test_pods_stop_in_an_orderly_way_within_their_grace(cluster, objects):
    deployments = {o["metadata"]["name"]: pod_of(o) for o in workloads(objects) if o["kind"] == "Deployment"}
    for service in SERVICES:
        container = cluster.container(f"{service}-pod")
        cluster.podman("stop", f"--time={deployments[service]['terminationGracePeriodSeconds']}", container)
        assert cluster.podman("inspect", "--format={{.State.ExitCode}}", container) == "0", service
