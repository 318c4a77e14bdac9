"""Manifests as kustomize (inside kubectl) renders them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from k8s_render import CHOICES, K8S, OVERLAYS, combine, render


@pytest.fixture(scope="session")
def overlays():
    return {name: render(K8S / "overlays" / name) for name in OVERLAYS}


@pytest.fixture(scope="session")
def combined(tmp_path_factory):
    """The base with choices of components, as somebody's own overlay would ask for them."""
    return combine(tmp_path_factory.mktemp("k8s"), CHOICES)


@pytest.fixture(scope="session")
def everything(overlays, combined):
    """All renderings by name."""
    return overlays | {"+".join(("base", *chosen)): objects for chosen, objects in combined.items()}
