import pytest

from myx_heartbeat.usecases.hand_over import HandOver
from myx_heartbeat.usecases.ports import Taken
from myx_heartbeat.usecases.reports import Reports
from myx_kit.errors import Internal, InvalidArgument, Unavailable


class FakeRegistry:
    def __init__(self):
        self.taken = []
        self.poison = {}
        self.error = None
        # What is added while the first batch is on its way, and to what.
        self.meanwhile = []
        self.waiting = None

    async def report(self, reports):
        if self.error is not None:
            raise self.error
        for one in reports:
            if one.agent_id in self.poison:
                raise self.poison[one.agent_id]
        while self.meanwhile:
            self.waiting.add(self.meanwhile.pop())
        self.taken.extend(one.agent_id for one in reports)
        ids = [one.agent_id for one in reports]
        return Taken(
            tuple(one for one in ids if one == "id-deleted"), tuple(one for one in ids if one == "id-of-another")
        )


@pytest.fixture
def registry():
    return FakeRegistry()


@pytest.fixture
def quarantined():
    return []


@pytest.fixture
def reports():
    return Reports(1000)


async def test_all_that_waits_is_handed_over(registry, reports, quarantined, report):
    for number in range(700):
        reports.add(report(str(number)))

    assert await HandOver(registry, reports, quarantined.extend).run_once()

    assert (len(registry.taken), len(reports)) == (700, 0)


@pytest.mark.parametrize(("cause", "sent"), [("", ["id-a"]), ("refused", ["id-a", "id-c", "id-b"])])
async def test_plain_reports_that_come_meanwhile_are_gathered_and_changes_are_not(
    registry, reports, quarantined, report, cause, sent
):
    registry.meanwhile = [report("b"), report("c", cause)]
    registry.waiting = reports
    reports.add(report("a"))

    assert await HandOver(registry, reports, quarantined.extend).run_once()

    assert registry.taken == sent
    assert len(reports) == 3 - len(sent)
    assert reports.waiting.is_set() == (len(sent) < 3)


async def test_nothing_is_lost_while_the_registry_is_away(registry, reports, quarantined, report):
    registry.error = Unavailable("SERVICE_UNAVAILABLE", "away")
    reports.add(report("a", "refused"))

    assert not await HandOver(registry, reports, quarantined.extend).run_once()
    registry.error = None
    assert await HandOver(registry, reports, quarantined.extend).run_once()

    assert registry.taken == ["id-a"]


@pytest.mark.parametrize("error", [InvalidArgument("X", "bad"), Internal("INTERNAL", "internal error")])
async def test_a_report_that_is_refused_does_not_keep_the_others(registry, reports, quarantined, report, error):
    registry.poison = {"id-b": error}
    for name in "abc":
        reports.add(report(name))

    assert await HandOver(registry, reports, quarantined.extend).run_once()

    assert (sorted(registry.taken), len(reports)) == (["id-a", "id-c"], 0)


async def test_reports_of_deleted_agents_are_forgotten(registry, reports, quarantined, report):
    reports.add(report("deleted"))

    assert await HandOver(registry, reports, quarantined.extend).run_once()

    assert len(reports) == 0


async def test_agents_of_another_machine_are_told_at_once(registry, reports, quarantined, report):
    reports.add(report("of-another"))
    reports.add(report("sound"))

    assert await HandOver(registry, reports, quarantined.extend).run_once()

    assert quarantined == ["id-of-another"]
