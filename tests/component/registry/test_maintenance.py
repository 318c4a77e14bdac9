"""The exclusive maintenance lease of a server."""

import asyncio

import pytest

from myx_kit.errors import FailedPrecondition, InvalidArgument, NotFound
from myx_testkit.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_lease_is_shown_and_refuses_others_with_who_holds_it(registry) -> None:
    made = await registry.create()
    held = await registry.acquire(made.name, "d1", kind="upgrade_agent", actor="token:admin")
    assert (held.holder, held.kind, held.actor) == ("d1", "upgrade_agent", "token:admin")
    assert held.expires_at.ToNanoseconds() - held.since.ToNanoseconds() >= 60 * 10**9
    assert (await registry.get(made.id)).maintenance == held
    with pytest.raises(FailedPrecondition, match="MAINTENANCE_HELD") as caught:
        await registry.acquire(made.id, "d2")
    fields = caught.value.fields
    assert (fields["holder"], fields["kind"], fields["actor"]) == ("d1", "upgrade_agent", "token:admin")
    assert fields["since"] == held.since.ToJsonString().partition(".")[0].removesuffix("Z") + "Z"
    assert "upgrade_agent" in caught.value.message


async def test_the_holder_renews_it_and_it_stays_the_same_lease(registry) -> None:
    made = await registry.create()
    first = await registry.acquire(made.id, "d1")
    again = await registry.acquire(made.id, "d1", ttl_s=120)
    assert again.since == first.since
    assert again.expires_at.ToNanoseconds() > first.expires_at.ToNanoseconds() + 59 * 10**9


async def test_only_its_holder_gives_it_back(registry) -> None:
    made = await registry.create()
    await registry.acquire(made.id, "d1")
    await registry.release(made.id, "d2")
    assert (await registry.get(made.id)).maintenance.holder == "d1"
    for _ in range(2):
        await registry.release(made.id, "d1")
    assert not (await registry.get(made.id)).HasField("maintenance")
    assert (await registry.acquire(made.id, "d2")).holder == "d2"
    await registry.release("nowhere", "d1")


async def test_a_lease_that_ran_out_is_free(registry) -> None:
    made = await registry.create()
    first = await registry.acquire(made.id, "d1", ttl_s=1)
    await until(lambda: _is_free(registry, made.id))
    taken = await registry.acquire(made.id, "d2")
    assert taken.since.ToNanoseconds() > first.expires_at.ToNanoseconds()
    with pytest.raises(FailedPrecondition, match="MAINTENANCE_HELD"):
        await registry.acquire(made.id, "d1")


async def _is_free(registry, server: str) -> bool:
    return not (await registry.get(server)).HasField("maintenance")


async def test_of_many_who_ask_at_once_one_gets_it(registry) -> None:
    made = await registry.create()
    for round_number in range(10):
        holders = [f"r{round_number}-{number}" for number in range(12)]
        outcomes = await asyncio.gather(
            *(registry.acquire(made.id, holder) for holder in holders for _ in range(2)), return_exceptions=True
        )
        winners = {outcome.holder for outcome in outcomes if not isinstance(outcome, BaseException)}
        lost = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(winners) == 1
        assert {(type(error), error.reason) for error in lost} == {(FailedPrecondition, "MAINTENANCE_HELD")}
        assert {error.fields["holder"] for error in lost} == winners
        await registry.release(made.id, winners.pop())


async def test_a_server_that_is_worked_on_is_not_removed(registry) -> None:
    made = await registry.create()
    await registry.acquire(made.id, "d1")
    with pytest.raises(FailedPrecondition, match="MAINTENANCE_HELD"):
        await registry.delete(made.id)
    await registry.release(made.id, "d1")
    await registry.delete(made.id)
    with pytest.raises(NotFound, match="SERVER_NOT_FOUND"):
        await registry.acquire(made.id, "d1")


async def test_acquiring_while_the_server_goes_ends_one_way_or_the_other(registry) -> None:
    for number in range(10):
        made = await registry.create()
        outcomes = await asyncio.gather(
            registry.acquire(made.id, f"d{number}"), registry.delete(made.id), return_exceptions=True
        )
        reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, BaseException)]
        assert reasons in (["SERVER_NOT_FOUND"], ["MAINTENANCE_HELD"])


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"holder": ""}, "holder"),
        ({"holder": "x" * 129}, "holder"),
        ({"holder": "a b"}, "holder"),
        ({"kind": ""}, "kind"),
        ({"kind": "k" * 65}, "kind"),
        ({"actor": "a\n"}, "actor"),
        ({"actor": "a" * 201}, "actor"),
        ({"ttl_s": 0.5}, "ttl"),
        ({"ttl_s": 90_000}, "ttl"),
    ],
)
async def test_claims_are_bounded(registry, values, field) -> None:
    made = await registry.create()
    with pytest.raises(InvalidArgument, match="MAINTENANCE_INVALID") as caught:
        await registry.acquire(made.id, **({"holder": "d1"} | values))
    assert caught.value.fields["field"] == field
