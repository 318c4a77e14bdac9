"""Handing a command over: what each failure means for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from executor_samples import command

from myx_executor.adapters.agents import failed_rpc
from myx_executor.domain.command import LeaseLost, Outcome
from myx_executor.domain.states import Status
from myx_executor.usecases import deliver
from myx_executor.usecases.deliver import Attempts, CancelWish, Delivery, Order
from myx_executor.usecases.ledger import Lease
from myx_executor.usecases.ports import COMMAND_NOT_FOUND, AgentFailed, ServerGone
from myx_kit.agent_rpc import errors as rpc
from myx_kit.errors import Unavailable
from myx_kit.retry import RetryPolicy


def refused():
    return AgentFailed("refused", "refused", retryable=True, maybe_delivered=False)


def hung():
    return AgentFailed("hung", "hung", retryable=True, maybe_delivered=True)


def unauthorized():
    return AgentFailed("unauthorized", "401", retryable=False, maybe_delivered=False)


def answered(code, reason, *, retryable=False):
    return AgentFailed("rpc_error", reason, retryable=retryable, maybe_delivered=False, code=code, reason=reason)


class FakeAgents:
    """Answers by script: an exception is raised, anything else returned; the last one for ever."""

    def __init__(self, *script):
        self.script = list(script)
        self.calls = []
        self.forgotten = 0
        self.new_ways = []

    def _next(self, name):
        self.calls.append(name)
        fate = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(fate, Exception):
            raise fate
        if callable(fate):
            return fate()
        return fate

    async def execute(self, server_id, command_id, spec, secrets, *, wait_s):
        return self._next("execute")

    async def read_log(self, server_id, command_id, offset, *, wait_s, until_final=False):
        return self._next("locate")

    async def forbid(self, server_id, command_id):
        return self._next("forbid")

    def forget(self, server_id):
        self.forgotten += 1

    async def is_called_otherwise(self, server_id, way):
        """There is another way, once for each of `new_ways`; one that is an error is raised."""
        self.calls.append(f"not by {way}?")
        found = self.new_ways.pop(0) if self.new_ways else way
        if isinstance(found, Exception):
            raise found
        return found != way


class FakeMark:
    """Notes what is stored, beside the agent's calls; the first `refused` times it is not."""

    def __init__(self, agents, *, is_set, refused=0):
        self.is_set = is_set
        self._calls = agents.calls
        self._refused = refused

    async def set(self):
        self._refused -= 1
        self.is_set = self._refused < 0
        self._calls.append("set" if self.is_set else "not set")
        return self.is_set

    async def clear(self):
        self.is_set = False
        self._calls.append("clear")


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(deliver, "_LOOK_AGAIN_S", 0.001)


def delivery(
    agents, *, fence=1, cancel=None, deadline_s=300, valid_until=1e18, age_s=0, held=None, mark=None, **limits
):
    """A delivery with millisecond pauses, and its attempts."""
    one = command(
        status=Status.PENDING, started_at=None, fence=fence, dispatch_at=datetime.now(UTC) - timedelta(seconds=age_s)
    )
    attempts = Attempts(())
    made = Delivery(
        agents,
        Lease(one, valid_until),
        Order(
            server_id=one.server_id,
            command_id=one.id,
            send=lambda: agents.execute(one.server_id, one.id, one.spec, None, wait_s=0),
            maybe_sent=fence > 1,
            since=one.dispatch_at,
            mark=mark or FakeMark(agents, is_set=True),
            held=held,
        ),
        cancel or CancelWish(),
        attempts,
        retry=RetryPolicy(3, 0.001),
        deadline_s=deadline_s,
        calm_s=0.001,
        **{"lost_after_s": 300} | limits,
    )
    return made, attempts


def asked():
    wish = CancelWish()
    wish.ask(1)
    return wish


async def test_an_agent_that_is_never_reached_fails_the_command_after_all_tries():
    agents = FakeAgents(refused())
    made, attempts = delivery(agents)
    outcome = await made.run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "agent_unreachable")
    assert agents.calls == ["execute", "clear", *["locate"] * 3]
    assert agents.forgotten == 4
    assert [attempt.wait_s for attempt in attempts.all] == [0.001, 0.002, 0.004, None]


async def held():
    return True


async def test_what_its_job_does_not_start_any_more_is_not_tried_again():
    agents = FakeAgents(refused(), [])
    made, _ = delivery(agents, held=held)
    outcome = await made.run()
    assert (outcome.status, outcome.reason, agents.calls) == (Status.FAILED, "job_held", ["execute", "clear"])


MISSING = answered(COMMAND_NOT_FOUND, "COMMAND_NOT_FOUND")


async def test_what_is_not_marked_is_marked_once_its_agent_is_there_and_then_sent():
    agents = FakeAgents(hung(), refused(), MISSING, [])
    made, attempts = delivery(agents, mark=FakeMark(agents, is_set=False))
    assert await made.run() == []
    assert agents.calls == ["locate", "locate", "locate", "set", "execute"]
    assert [attempt.cause for attempt in attempts.all] == ["hung", "refused", ""]


async def test_what_was_never_sent_is_not_unknown_whatever_became_of_the_looks_for_its_agent():
    agents = FakeAgents(hung())
    outcome = await delivery(agents, mark=FakeMark(agents, is_set=False))[0].run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "agent_unreachable")
    assert agents.calls == ["locate"] * 4


async def test_a_try_that_proves_that_nothing_was_sent_takes_the_mark_away():
    agents = FakeAgents(Unavailable("SERVICE_UNAVAILABLE", "away"), refused(), MISSING, [])
    assert await delivery(agents)[0].run() == []
    assert agents.calls == ["execute", "clear", "locate", "locate", "set", "execute"]


async def test_the_mark_of_what_may_have_been_sent_stays():
    agents = FakeAgents(hung(), refused(), [])
    assert await delivery(agents)[0].run() == []
    assert agents.calls == ["execute"] * 3


async def test_a_refusal_of_what_may_have_been_sent_before_is_not_its_end():
    """An agent looks at the order, its user for example, before it looks whether it has it already."""
    no_user = answered(-32602, "INVALID_PARAMS")
    agents = FakeAgents(hung(), no_user, [])
    assert await delivery(agents)[0].run() == []
    assert agents.calls == ["execute"] * 3
    agents = FakeAgents(no_user, [])
    assert await delivery(agents, fence=2)[0].run() == []
    assert (await delivery(FakeAgents(no_user))[0].run()).status is Status.FAILED


def test_a_supervisor_that_did_not_answer_in_time_may_have_started_it():
    told = {"code": -32005, "message": "away", "data": {"reason": "SUPERVISOR_UNAVAILABLE", "retryable": True}}
    failure = failed_rpc(rpc.JsonRpcError(**told))
    assert (failure.reason, failure.retryable, failure.maybe_delivered) == ("SUPERVISOR_UNAVAILABLE", True, True)


async def test_what_cannot_be_marked_is_not_sent():
    agents = FakeAgents(MISSING)
    made, _ = delivery(agents, held=held, mark=FakeMark(agents, is_set=False, refused=1))
    outcome = await made.run()
    assert (outcome.reason, agents.calls) == ("job_held", ["locate", "not set"])
    wish = CancelWish()
    mark = FakeMark(agents, is_set=False, refused=1)
    made, _ = delivery(agents, cancel=wish, mark=mark)
    agents.script = [lambda: wish.ask(1), []]
    assert (await made.run()).status is Status.CANCELLED
    assert "execute" not in agents.calls


async def test_what_may_have_been_sent_is_followed_whatever_its_job_does():
    agents = FakeAgents(hung(), [])
    made, _ = delivery(agents, held=held)
    assert await made.run() == []


async def test_a_refusal_that_cannot_change_fails_at_once():
    for failure, reason in (
        (unauthorized(), "unauthorized"),
        (answered(-32001, "COMMAND_CONFLICT"), "command_conflict"),
    ):
        agents = FakeAgents(failure)
        outcome = await delivery(agents)[0].run()
        assert (outcome.status, outcome.reason) == (Status.FAILED, reason)
        assert len(agents.calls) == 1


def wrong(cause, way="old"):
    failure = AgentFailed(cause, cause, retryable=False, maybe_delivered=False)
    failure.way = way
    return failure


@pytest.mark.parametrize("cause", ["unauthorized", "pin_mismatch", "wrong_path"])
async def test_a_refusal_of_a_way_that_is_out_of_date_is_none_of_the_new_one(cause):
    agents = FakeAgents(wrong(cause), [])
    agents.new_ways = ["new"]
    made, attempts = delivery(agents)
    assert await made.run() == []
    assert agents.calls == ["execute", "not by old?", "execute"]
    assert [(attempt.cause, attempt.wait_s) for attempt in attempts.all] == [(cause, 0.0), ("", None)]


@pytest.mark.parametrize("found", ["old", ServerGone("s"), Unavailable("SERVICE_UNAVAILABLE", "away"), wrong("x")])
async def test_a_refusal_stands_when_there_is_no_other_way(found):
    agents = FakeAgents(wrong("unauthorized"))
    agents.new_ways = [found]
    made, attempts = delivery(agents)
    outcome = await made.run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "unauthorized")
    assert agents.calls == ["execute", "not by old?"]
    assert [attempt.wait_s for attempt in attempts.all] == [None]


async def test_a_refusal_of_the_new_way_stands_whatever_comes_then():
    agents = FakeAgents(wrong("wrong_path"), wrong("unauthorized", "new"))
    agents.new_ways = ["new", "newer"]
    outcome = await delivery(agents)[0].run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "unauthorized")
    assert agents.calls == ["execute", "not by old?", "execute"]


async def test_a_busy_agent_is_tried_again_and_named_in_the_end():
    outcome = await delivery(FakeAgents(answered(-32004, "TOO_MANY_COMMANDS", retryable=True)))[0].run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "too_many_commands")


async def test_a_server_without_an_agent_is_not_called_gone():
    outcome = await delivery(FakeAgents(ServerGone("s", no_agent=True)))[0].run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "server_not_found")
    assert outcome.message == "the server has no agent: enrol it first"


async def test_a_lost_reply_is_asked_for_again_by_the_same_id():
    agents = FakeAgents(hung(), refused(), refused(), refused(), refused(), refused(), [])
    made, attempts = delivery(agents)
    assert await made.run() == []
    assert agents.calls == ["execute"] * 7
    assert [attempt.cause for attempt in attempts.all] == ["hung", *["refused"] * 5, ""]


@pytest.mark.parametrize("later", [refused, hung, unauthorized, lambda: ServerGone("s")])
async def test_what_perhaps_arrived_is_unknown_after_the_deadline_never_failed(later):
    agents = FakeAgents(hung(), later())
    outcome = await delivery(agents, deadline_s=0.02)[0].run()
    assert isinstance(outcome, Outcome)
    assert outcome.status is Status.UNKNOWN


async def test_an_old_command_of_a_dead_replica_is_looked_for_but_not_run():
    agents = FakeAgents(answered(COMMAND_NOT_FOUND, "COMMAND_NOT_FOUND"))
    outcome = await delivery(agents, fence=2, age_s=1000)[0].run()
    assert outcome.status is Status.UNKNOWN
    assert agents.calls == ["locate", "locate"]
    found = FakeAgents([])
    assert await delivery(found, fence=2, age_s=1000)[0].run() == []
    assert found.calls == ["locate"]


async def test_a_young_command_of_a_dead_replica_is_handed_over_again():
    agents = FakeAgents([])
    assert await delivery(agents, fence=2)[0].run() == []
    assert agents.calls == ["execute"]


async def test_cancel_before_it_was_sent_sends_nothing():
    agents = FakeAgents([])
    outcome = await delivery(agents, cancel=asked())[0].run()
    assert outcome.status is Status.CANCELLED
    assert agents.calls == []


async def test_cancel_between_two_tries_that_reached_nobody_is_immediate():
    wish = CancelWish()

    def fail_and_cancel():
        wish.ask(1)
        raise refused()

    agents = FakeAgents(fail_and_cancel)
    made, _ = delivery(agents, cancel=wish)
    made._delays = iter([60.0])
    outcome = await made.run()
    assert outcome.status is Status.CANCELLED
    assert agents.calls == ["execute", "clear"]


async def test_cancel_of_what_perhaps_arrived_has_the_agent_promise_not_to_start_it():
    missing = answered(COMMAND_NOT_FOUND, "COMMAND_NOT_FOUND")
    gone = FakeAgents(missing, True)
    assert (await delivery(gone, fence=2, cancel=asked())[0].run()).status is Status.CANCELLED
    assert gone.calls == ["locate", "forbid"]
    meanwhile = FakeAgents(missing, False, [])
    assert await delivery(meanwhile, fence=2, cancel=asked())[0].run() == []
    assert meanwhile.calls == ["locate", "forbid", "locate"]


async def test_a_promise_whose_answer_is_lost_is_asked_for_again():
    missing = answered(COMMAND_NOT_FOUND, "COMMAND_NOT_FOUND")
    agents = FakeAgents(missing, hung(), missing, True)
    assert (await delivery(agents, fence=2, cancel=asked())[0].run()).status is Status.CANCELLED
    assert agents.calls == ["locate", "forbid", "locate", "forbid"]


async def test_cancel_of_what_perhaps_arrived_asks_an_old_agent_twice():
    missing = answered(COMMAND_NOT_FOUND, "COMMAND_NOT_FOUND")
    gone = FakeAgents(missing)
    assert (await delivery(gone, fence=2, cancel=asked())[0].run()).status is Status.CANCELLED
    assert gone.calls == ["locate", "forbid"] * 2
    there = FakeAgents(missing, missing, [])
    assert await delivery(there, fence=2, cancel=asked())[0].run() == []


async def test_a_released_id_is_never_said_to_have_failed():
    outcome = await delivery(FakeAgents(answered(-32001, "COMMAND_RELEASED")))[0].run()
    assert outcome.status is Status.UNKNOWN


AWAY = Unavailable("SERVICE_UNAVAILABLE", "away")


async def test_a_registry_that_is_away_is_waited_for_until_the_connect_limit():
    agents = FakeAgents(*[AWAY] * 10, MISSING, [])
    assert await delivery(agents)[0].run() == []
    assert agents.calls == ["execute", "clear", *["locate"] * 10, "set", "execute"]
    outcome = await delivery(FakeAgents(AWAY), deadline_s=0.02)[0].run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "registry_unavailable")


async def test_an_agent_is_tried_as_often_after_the_registry_was_away():
    agents = FakeAgents(*[AWAY] * 10, refused())
    outcome = await delivery(agents)[0].run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "agent_unreachable")
    assert agents.forgotten == 4


async def test_what_can_wait_in_its_queue_steps_back_while_the_registry_is_away():
    agents = FakeAgents(AWAY)
    outcome = await delivery(agents, steps_back=True)[0].run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "registry_unavailable")
    assert len(agents.calls) == 5


async def test_while_the_registry_is_away_what_its_job_holds_or_nobody_wants_any_more_ends():
    outcome = await delivery(FakeAgents(AWAY), held=held)[0].run()
    assert outcome.reason == "job_held"
    wish = CancelWish()

    def cancel():
        wish.ask(1)
        raise AWAY

    assert (await delivery(FakeAgents(*[AWAY] * 10, cancel), cancel=wish)[0].run()).status is Status.CANCELLED


async def test_the_agent_of_what_perhaps_arrived_is_asked_for_the_end_past_the_connect_limit():
    agents = FakeAgents(*[refused()] * 10, MISSING, True)
    outcome = await delivery(agents, fence=2, age_s=1000, cancel=asked())[0].run()
    assert outcome.status is Status.CANCELLED
    assert agents.calls == [*["locate"] * 11, "forbid"]


async def test_at_the_limit_of_its_cancel_what_perhaps_arrived_is_unknown():
    wish = CancelWish()
    wish.ask(0)
    outcome = await delivery(FakeAgents(refused()), fence=2, cancel=wish, lost_after_s=0.02)[0].run()
    assert (outcome.status, outcome.reason) == (Status.UNKNOWN, "delivery_unknown")


async def test_without_a_lease_nothing_is_sent():
    agents = FakeAgents([])
    with pytest.raises(LeaseLost):
        await delivery(agents, valid_until=0)[0].run()
    assert agents.calls == []


async def test_attempts_are_bounded():
    attempts = Attempts(())
    for _ in range(100):
        attempts.failed(refused(), 1)
    assert len(attempts.all) == deliver.MAX_ATTEMPTS
    assert replace(attempts.all[-1], at=attempts.all[0].at) == attempts.all[0]


async def test_what_never_arrived_fails_at_the_connect_limit_although_tries_are_left():
    agents = FakeAgents(refused())
    outcome = await delivery(agents, age_s=1000)[0].run()
    assert (outcome.status, outcome.reason) == (Status.FAILED, "agent_unreachable")
    assert agents.calls == ["execute"]


async def test_while_a_cancel_cannot_be_delivered_that_is_told():
    said = []

    async def note(message):
        said.append(message)

    agents = FakeAgents(hung(), refused(), answered(COMMAND_NOT_FOUND, "COMMAND_NOT_FOUND"))
    made, _ = delivery(agents, fence=2, cancel=asked())
    made._note = note
    outcome = await made.run()
    assert outcome.status is Status.CANCELLED
    assert said[:2] == ["cancel not delivered: hung; trying again", "cancel not delivered: refused; trying again"]
