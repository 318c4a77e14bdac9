"""Manifests as kustomize (inside kubectl) renders them."""

import functools
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir() if path.is_dir())
COMPONENTS = sorted(path.name for path in (K8S / "components").iterdir() if path.is_dir())
# Two ways to let people in: each brings its own door.
ALTERNATIVES = {"door", "ingress"}
ALL_CHOICES = [
    chosen
    for size in range(len(COMPONENTS) + 1)
    for chosen in combinations(COMPONENTS, size)
    if not set(chosen) >= ALTERNATIVES
]
# Each alone, each beside each other, and as many as go together; all there are: `make test-long`.
CHOICES = [chosen for chosen in ALL_CHOICES if len(chosen) <= 2 or len(chosen) == len(COMPONENTS) - 1]
AT_ONCE = os.cpu_count() or 1


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


def combine(folder, choices):
    """Objects by choice of components."""
    shutil.copytree(K8S, folder, dirs_exist_ok=True)
    places = {}
    for chosen in choices:
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
        places[chosen] = overlay
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(places, pool.map(render, places.values()), strict=True))
