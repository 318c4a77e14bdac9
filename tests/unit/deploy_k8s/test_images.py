"""What the Dockerfile says; tests/system/kubernetes builds the images and runs them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
SERVICES = ("registry", "heartbeat", "executor", "gateway")
ACCOUNT = 10001


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_a_target_without_rights(service):
    text = DOCKERFILE.read_text()
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


def test_what_comes_from_outside_is_an_argument_and_pinned():
    text = DOCKERFILE.read_text()
    (base,) = re.findall(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(r"\S+/python:3\.\d+\.\d+-slim-\w+", base)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE_IMAGE}", "wheels", "service"}
    for line in re.findall(r"pip (?:install|wheel) .*", text):
        assert "-c constraints.txt" in line or "--no-index" in line or "--no-deps" in line, line
