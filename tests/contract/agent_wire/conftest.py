"""Golden files of what agent and client exchange to the letter, and how a document is held against a pattern."""

import json
from pathlib import Path
from typing import Any

import pytest

from myx_testkit.agent import RealAgent

FOLDER = Path(__file__).parent
TYPES: dict[str, Any] = {"string": str, "number": (int, float), "array": list, "object": dict}


def golden(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def assert_fits(document: Any, pattern: Any, path: str = "$") -> None:
    """Equal, but for {"$any": type} in the pattern."""
    match pattern:
        case {"$any": kind}:
            assert isinstance(document, TYPES[kind]), (path, document)
        case dict():
            assert isinstance(document, dict), (path, document)
            assert document.keys() == pattern.keys(), path
            for key, value in pattern.items():
                assert_fits(document[key], value, f"{path}.{key}")
        case list():
            assert isinstance(document, list), (path, document)
            assert len(document) == len(pattern), (path, document)
            for number, value in enumerate(pattern):
                assert_fits(document[number], value, f"{path}[{number}]")
        case float() | int() if not isinstance(pattern, bool):
            assert document == pattern, path  # JSON knows one kind of number
            assert not isinstance(document, bool), path
        case _:
            assert (type(document), document) == (type(pattern), pattern), path


def filled(pattern: Any) -> Any:
    """A document that fits a pattern."""
    samples = {"string": "text", "number": 1, "array": [], "object": {}}
    match pattern:
        case {"$any": kind}:
            return samples[kind]
        case dict():
            return {key: filled(value) for key, value in pattern.items()}
        case list():
            return [filled(value) for value in pattern]
        case _:
            return pattern


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per golden case: `exchange`, `stream_case`, `signing`, `verifying`."""
    cases = {
        "exchange": lambda: golden("exchanges.json")["exchanges"],
        "stream_case": lambda: golden("streams.json")["streams"],
        "signing": lambda: golden("signature.json")["sign"],
        "verifying": lambda: golden("signature.json")["verify"],
    }
    for fixture, load in cases.items():
        if fixture in metafunc.fixturenames:
            values = load()
            metafunc.parametrize(fixture, values, ids=[value["name"] for value in values], scope="module")


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Any:
    agent = RealAgent(tmp_path_factory.mktemp("agent"), require_signature=False, command_log_bytes=1000)
    agent.start()
    yield agent
    agent.close()


@pytest.fixture
def fits() -> Any:
    return assert_fits


@pytest.fixture
def fill() -> Any:
    return filled
