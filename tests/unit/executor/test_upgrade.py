"""How an upgrade stands once its play has ended: asked of an agent that the switch may just have taken away."""

import asyncio
from types import SimpleNamespace

import pytest

from myx_executor.domain.deployment import StepFailed
from myx_executor.usecases.deployments.kinds import upgrade
from myx_executor.usecases.ports import AgentFailed


def failure(cause, *, retryable, reason=""):
    return AgentFailed(cause, f"{cause}!", retryable=retryable, maybe_delivered=False, reason=reason)


AWAY = failure("refused", retryable=True)
NOT_FOUND = failure("rpc_error", retryable=False, reason="UPGRADE_NOT_FOUND")


class Fleet:
    """Answers in this order, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def get_upgrade(self, server_id, key):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def forget(self, server_id):
        pass


async def settled(monkeypatch, fleet, confirm_s=120.0):
    """What is made of a play that has ended, while the state file was not seen changed yet."""
    monkeypatch.setattr(upgrade, "_POLL_S", 0)
    monkeypatch.setattr(upgrade, "MARGIN_S", 0)
    times = SimpleNamespace(upgrade_confirm_s=confirm_s)
    run = SimpleNamespace(tools=SimpleNamespace(fleet=fleet, times=times), server_id="s", key="k")
    following, looking = asyncio.Future(), asyncio.Future()
    following.set_result(SimpleNamespace(code=0))
    return await upgrade._settled(run, following, looking)


async def test_an_agent_that_the_switch_took_away_is_asked_again(monkeypatch):
    fleet = Fleet(AWAY, AWAY, {"state": upgrade.SWITCHED})
    assert (await settled(monkeypatch, fleet))["state"] == upgrade.SWITCHED
    assert fleet.asked == 3


async def test_one_that_stays_away_is_not_asked_for_ever(monkeypatch):
    with pytest.raises(AgentFailed, match="refused!"):
        await settled(monkeypatch, Fleet(AWAY), confirm_s=0.05)


async def test_what_another_try_cannot_mend_is_told_at_once(monkeypatch):
    fleet = Fleet(failure("unauthorized", retryable=False))
    with pytest.raises(AgentFailed, match="unauthorized!"):
        await settled(monkeypatch, fleet)
    assert fleet.asked == 1


async def test_a_play_that_ended_without_an_upgrade_is_told_so(monkeypatch):
    monkeypatch.setattr(upgrade.agent_work, "demand_success", lambda *_: None)
    with pytest.raises(StepFailed, match="ended without switching"):
        await settled(monkeypatch, Fleet(NOT_FOUND))
