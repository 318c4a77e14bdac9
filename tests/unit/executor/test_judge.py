"""The host's watch over a new agent, asked over SSH."""

import json
from types import SimpleNamespace

import pytest

from myx_executor.domain.ssh import RunResult, SessionLost
from myx_executor.usecases.deployments.kinds.judge import GuardOverSsh, under_way
from myx_kit.errors import FailedPrecondition

LOST = SessionLost("SSH_UNREACHABLE", "the connection is lost", "see whether the host is up")
STATE = {"upgrade_id": "install-1", "state": "switched"}


class Run:
    """Each connection gives one answer, then the next one is to be asked for."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.lost = True
        self.connections = 0

    async def session(self):
        self.connections += self.lost
        self.lost = False
        return SimpleNamespace(run=self.run)

    def forget_session(self):
        self.lost = True

    async def run(self, command, *, timeout_s):
        self.asked.append(command[1:])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def said(text, code=0, stderr=b""):
    return RunResult(code, text.encode(), stderr)


async def test_a_lost_connection_is_made_anew():
    run = Run(LOST, said(json.dumps(STATE)), said(json.dumps(STATE)))
    guard = GuardOverSsh(run, "install-1")
    with pytest.raises(SessionLost):
        await guard.state()
    assert await guard.state() == await guard.state() == STATE
    assert run.connections == 2


async def test_a_confirmation_that_is_not_taken_says_why():
    run = Run(said(""), said("", 76, b"upgrade-guard: upgrade install-1 is reverted\n"))
    guard = GuardOverSsh(run, "install-1")
    await guard.confirm()
    with pytest.raises(FailedPrecondition, match="install-1 is reverted"):
        await guard.confirm()
    assert run.asked == [["confirm", "install-1"]] * 2


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (said(json.dumps(STATE)), "install-1"),
        (said("no upgrade is under way; release 0.1.0-abc"), ""),
        (said("", 127, b"not found"), ""),
    ],
)
async def test_the_watch_that_is_on_is_found(answer, found):
    assert await under_way(Run(answer)) == found
