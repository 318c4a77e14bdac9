"""What a time of a schedule starts: on the servers that its owner was checked for."""

from uuid import uuid4

import pytest

from myx_executor.adapters.scheduled_work import ScheduledWork
from myx_executor.domain.schedules import Work, WorkKind
from myx_executor.usecases.schedules.ports import Order, Subject


class Starter:
    """Keeps the request that it is to start."""

    async def start(self, request, schedule_id, targets_sha256):
        self.request, self.targets_sha256 = request, targets_sha256
        return uuid4()


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (WorkKind.COMMAND, {"server": "web-1", "command": "true"}),
        (WorkKind.DEPLOYMENT, {"server": "web-1", "play": {"playbook": "site.yml"}}),
    ],
)
async def test_a_server_that_took_the_name_meanwhile_is_not_meant(kind, document) -> None:
    starter = Starter()
    order = Order(Work(kind, document), "schedule:1:2", "token:admin", uuid4())
    await ScheduledWork({kind: starter}).start(order, Subject("commands.run", ["id-of-web-1"]))
    assert starter.request.server == "id-of-web-1"
    assert (starter.request.request_id, starter.request.requested_by) == ("schedule:1:2", "token:admin")


async def test_a_job_has_the_list_that_was_asked_about() -> None:
    starter = Starter()
    document = {"selector": "all", "work": {"command": {"command": "true"}}}
    order = Order(Work(WorkKind.JOB, document), "schedule:1:2", "token:admin", uuid4())
    await ScheduledWork({WorkKind.JOB: starter}).start(order, Subject("jobs.create", ["a", "b"], "digest"))
    assert starter.targets_sha256 == "digest"
