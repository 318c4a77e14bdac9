"""What the services call causes, steps and reasons has its words in the dashboard."""

import ast
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from myx_executor.domain import next_step
from myx_executor.domain.job_states import UNREACHABLE_REASONS
from myx_executor.domain.schedules import RULES as FIRE_RULES
from myx_executor.domain.states import RULES
from myx_kit.agent_rpc.errors import Cause
from myx_kit.errors import Internal, MyxError

ROOT = Path(__file__).resolve().parents[3]
TEXTS = ROOT / "dashboard/src/i18n"
SERVICES = [ROOT / f"services/{name}/src" for name in ("gateway", "registry", "heartbeat", "executor")]
EXECUTOR = SERVICES[-1]
# The place of the reason among the arguments of what ends work, a step or a time of a schedule.
ENDS = {
    "StepFailed": 0,
    "DeploymentLost": 0,
    "Problem": 0,
    "_Obstacle": 0,
    "Stop": 0,
    "Outcome": 1,
    "Turn": 1,
    "Fire": 2,
}
# The kinds of text that dashboard/src/ui/problem.ts has for reasons without one of their own.
FAMILIES = ("_INVALID", "_NOT_FOUND", "_TOO_LARGE")
# Said to whoever starts a service, to programs that speak HTTP by themselves, or among the services.
NOT_IN_PAGES = {
    *("AUDIT_TAMPERED", "LISTEN_FAILED", "LISTEN_FD_UNUSABLE", "TLS_FILES_UNUSABLE", "WORK_DIR_NOT_OURS"),
    *("MASTER_KEY_IN_USE", "MASTER_KEY_MISMATCH"),
    *("BODY_INCOMPLETE", "BODY_MALFORMED", "BODY_TIMEOUT", "MEDIA_TYPE_UNSUPPORTED", "METHOD_NOT_ALLOWED", "NOT_HTTP"),
    *("PROJECT_EMPTY", "PROJECT_UNSAFE", "TOKEN_NARROWED", "TOKEN_UNUSABLE"),
    *("CHECKED_AT_IN_FUTURE", "LOOKUP_CANCELLED", "TOO_MANY_PROBES", "UPGRADE_NOT_PENDING"),
}


@cache
def calls(folder: Path) -> list[tuple[str, ast.Call]]:
    """Every call below a folder with the name of what is called."""
    trees = [ast.parse(path.read_text()) for path in folder.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [(ast.unparse(node.func).rpartition(".")[2], node) for node in nodes]


def constants(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
                yield part.value


def ends() -> set[str]:
    """Reasons that the executor gives to the end of work."""
    places = {**ENDS, **dict.fromkeys(subclasses("SshError"), 0)}
    found = [node.args[places[name]] for name, node in calls(EXECUTOR) if len(node.args) > places.get(name, 99)]
    return {reason.lower() for reason in constants(one for one in found if isinstance(one, ast.Constant))}


def subclasses(base: str) -> set[str]:
    tree = ast.parse((EXECUTOR / "myx_executor/domain/ssh.py").read_text())
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and base in [ast.unparse(one) for one in node.bases]
    }


def waits() -> set[str]:
    """Reasons of what is queued."""
    return {
        word
        for name, word in vars(next_step).items()
        if name.isupper() and isinstance(word, str) and word.isidentifier()
    }


def reasons() -> set[str]:
    """Reasons that the services can refuse a call with."""
    kinds = {kind.__name__ for kind in MyxError.__subclasses__() if kind is not Internal}
    raised = [node.args[0] for path in SERVICES for name, node in calls(path) if name in kinds and node.args]
    return {reason for reason in constants(raised) if reason.isupper()}


def texts(language: str, area: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((TEXTS / language / f"{area}.json").read_text())
    return found


def lacking(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Names without a text; one of a step that met a cause of the agent's, `agent_hung`, has that of the cause."""
    have = set(known)
    return sorted(name for name in names if name not in have and name.removeprefix("agent_") not in have)


# A test of the texts themselves compares the languages.
@pytest.fixture(scope="module")
def states() -> dict[str, Any]:
    return texts("en", "states")


def test_every_cause_of_an_end_has_a_text(states: dict[str, Any]) -> None:
    at_deadline = {reason for rule in RULES.values() for reason in rule.at_deadline.values()}
    of_fires = {rule.reason for rule in FIRE_RULES.values()}
    causes = UNREACHABLE_REASONS | set(Cause) | at_deadline | of_fires | ends() | waits()
    assert "max_failed" in causes
    assert lacking(causes, states["cause_of"]) == []
    assert lacking((f"agent_{cause}" for cause in Cause), states["cause_of"]) == []


def test_what_is_queued_says_what_it_waits_for(states: dict[str, Any]) -> None:
    assert lacking((f"queued_{reason}" for reason in waits()), states["next_of"]) == []


def test_every_step_of_a_deployment_has_a_title(states: dict[str, Any]) -> None:
    steps = {str(name) for called, node in calls(EXECUTOR) if called == "Action" for name in constants(node.args[:1])}
    assert "play" in steps
    assert lacking(steps, states["step"]) == []


def test_every_reason_that_pages_can_meet_has_a_text() -> None:
    known = texts("en", "errors")["reason"]
    assert "LOGIN_FAILED" in reasons()
    unknown = {one for one in reasons() - set(known) - NOT_IN_PAGES if not one.endswith(FAMILIES)}
    assert sorted(unknown) == []
