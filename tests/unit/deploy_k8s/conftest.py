"""Manifests as kustomize (inside kubectl) renders them."""

import functools
import json
import os
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).resolve().parents[3]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir() if path.is_dir())
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir() if path.is_dir())
CHOICES = [chosen for size in range(len(COMPONENTS) + 1) for chosen in combinations(COMPONENTS, size)]


@functools.cache
def kubectl() -> str | None:
    """A kubectl whose kustomize knows components (1.21 and newer)."""
    program = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        return None
    answer = subprocess.run(
        [program, "version", "--client", "--output=json"], capture_output=True, text=True, timeout=60, check=False
    )
    try:
        version = json.loads(answer.stdout)["clientVersion"]
        return program if (int(version["major"]), int(version["minor"].strip("+"))) >= (1, 21) else None
    except (ValueError, KeyError):
        return None


def render(folder: Path) -> list[dict]:
    """The objects of a kustomization."""
    program = kubectl()
    if program is None:
        pytest.skip("no kubectl of 1.21 or newer: `.venv/bin/python -m myx_testkit.kubectl` fetches one")
    done = subprocess.run([program, "kustomize", str(folder)], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return list(yaml.load_all(done.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@pytest.fixture(scope="session")
def overlays():
    return {name: render(K8S / "overlays" / name) for name in OVERLAYS}


@pytest.fixture(scope="session")
def combined(tmp_path_factory):
    """The base with every choice of components, as somebody's own overlay would ask for them."""
    folder = tmp_path_factory.mktemp("k8s")
    shutil.copytree(K8S, folder, dirs_exist_ok=True)
    rendered = {}
    for chosen in CHOICES:
        overlay = folder / "overlays" / ("with-" + "-".join(chosen))
        overlay.mkdir()
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "elsewhere",
            "resources": ["../../base"],
            "components": [f"../../components/{name}" for name in chosen],
            "images": [
                {"name": f"myx-{service}", "newName": f"example.com/{service}", "newTag": "1"}
                for service in ("registry", "heartbeat", "executor", "gateway")
            ],
        }
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        rendered[chosen] = render(overlay)
    return rendered


@pytest.fixture(scope="session")
def everything(overlays, combined):
    """All renderings by name."""
    return overlays | {"+".join(("base", *chosen)): objects for chosen, objects in combined.items()}
