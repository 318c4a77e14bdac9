"""The images: what the Dockerfile says, and, where podman works, a service that runs from one as a cluster would."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from myx_kit.files import write_private
from myx_kit.tls import ensure_tls

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
ACCOUNT = 10001
PROBE = (
    "import urllib.request as u;"
    "print(*(u.urlopen('http://127.0.0.1:9090/' + path).status for path in ('livez', 'readyz', 'metrics')))"
)


def podman(*arguments, check=True, timeout=60):
    limited = ["timeout", str(timeout), "podman", *arguments]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=timeout + 30, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done


@pytest.fixture(scope="module")
def image():
    """The gateway's image. BASE_IMAGE, PIP_CERT and BUILD_FLAGS are those of deploy/docker/build."""
    if shutil.which("podman") is None or podman("info", check=False).returncode != 0:
        pytest.skip("no podman that works here")
    base = os.environ.get("BASE_IMAGE") or re.search(r"^ARG BASE_IMAGE=(.+)$", DOCKERFILE.read_text(), re.MULTILINE)[1]
    if podman("image", "exists", base, check=False).returncode and podman("pull", "-q", base, check=False).returncode:
        pytest.skip(f"no base image {base} (BASE_IMAGE names another one)")
    environment = os.environ | {"ENGINE": "podman", "IMAGE_TAG": "test"}
    build = [str(ROOT / "deploy" / "docker" / "build"), "gateway"]
    subprocess.run(build, env=environment, check=True, timeout=900)
    yield "localhost/myx/gateway:test"
    podman("rmi", "--force", "localhost/myx/gateway:test", check=False)


@pytest.fixture
def mounted(tmp_path):
    """Secrets as Kubernetes mounts them: root's, readable by the group of the pod."""
    tls = tmp_path / "tls"
    ensure_tls(tls, ["gateway"])
    admin = tmp_path / "admin"
    admin.mkdir()
    write_private(admin / "token", "a-token-for-this-test-alone")
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 0, ACCOUNT)
        path.chmod(0o750 if path.is_dir() else 0o440)
    return [f"--volume={tls}:/etc/myx/tls:ro", f"--volume={admin}:/etc/myx/admin:ro"]


def test_every_service_is_a_target_without_rights():
    text = DOCKERFILE.read_text()
    for service in ("registry", "heartbeat", "executor", "gateway"):
        (stage,) = re.findall(rf"^FROM service AS {service}$(.*?)(?=^FROM|\Z)", text, re.MULTILINE | re.DOTALL)
        # In this order: an ENTRYPOINT forgets the CMD above it.
        assert f'"-m", "myx_{service}"]\nCMD ["serve"]' in stage
        assert not re.search(r"^(RUN|USER|ADD)", stage, re.MULTILINE)
    assert text.count("USER ") == 1
    assert f"USER {ACCOUNT}:{ACCOUNT}" in text


def test_a_build_sees_only_what_it_needs():
    lines = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    copied = set(re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE.read_text(), re.MULTILINE))
    assert {line[1:] for line in lines if line.startswith("!")} == copied


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.skipif(os.geteuid() != 0, reason="secrets are mounted as root's")
def test_the_gateway_runs_from_its_image_without_any_right(image, mounted):
    (facts,) = json.loads(podman("image", "inspect", image).stdout)
    assert facts["Config"]["User"] == f"{ACCOUNT}:{ACCOUNT}"
    settings = f"--env-file={ROOT / 'deploy' / 'k8s' / 'base' / 'gateway' / 'settings.env'}"
    limits = ["--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none"]
    name = f"myx-test-{os.getpid()}"
    podman("run", "--detach", "--name", name, *limits, settings, *mounted, image)
    try:
        for _ in range(120):
            probe = podman("exec", name, "python", "-c", PROBE, check=False)
            if probe.returncode == 0:
                break
            assert podman("inspect", "--format={{.State.Running}}", name).stdout.strip() == "true", podman("logs", name)
        assert probe.stdout.split() == ["200", "200", "200"]
        assert podman("exec", name, "id", "-u").stdout.strip() == str(ACCOUNT)
        assert podman("exec", name, "sh", "-c", "> /opt/myx/x", check=False).returncode != 0
        podman("stop", "--time=30", name)
        assert podman("inspect", "--format={{.State.ExitCode}}", name).stdout.strip() == "0"
    finally:
        podman("rm", "--force", name, check=False)
