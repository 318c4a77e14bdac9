"""Manifests as kustomize renders them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from kube_convert import Object

from myx_testkit.bundle import CHECKOUT

K8S = CHECKOUT / "deploy/k8s"


def rendered(overlay: str) -> list[Object]:
    """The objects of an overlay; skips where there is nothing to render with."""
    kubectl = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if kubectl is None:
        pytest.skip("no kubectl: `.venv/bin/python -m myx_testkit.kubectl` fetches one")
    argv = [kubectl, "kustomize", str(K8S / "overlays" / overlay)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100, check=True)
    return list(yaml.safe_load_all(done.stdout))


def workloads(objects: list[Object]) -> list[Object]:
    """Whatever makes pods."""
    return [obj for obj in objects if obj["kind"] in {"Deployment", "StatefulSet", "Job"}]
