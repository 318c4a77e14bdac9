"""Bells of jobs: rung here at once, told to others in one go, never kept by who left."""

import asyncio
import uuid

from myx_executor.usecases.jobs.bells import JobBells


class Others:
    def __init__(self):
        self.told = []

    async def tell(self, job_id):
        self.told.append(job_id)


async def heard(event):
    async with asyncio.timeout(5):
        await event.wait()


async def test_many_ends_are_told_once_to_everybody():
    others, job, other = Others(), uuid.uuid4(), uuid.uuid4()
    bells = JobBells(others.tell)
    with bells.listen(job) as one, bells.listen(job) as two, bells.listen(other) as stranger:
        for _ in range(100):
            bells.note(job)
        await heard(one)
        await heard(two)
        assert not stranger.is_set()
    while not others.told:
        await asyncio.sleep(0)
    assert others.told == [job]
    await bells.close()


async def test_what_may_have_been_missed_rings_every_bell():
    bells = JobBells(Others().tell)
    with bells.listen(uuid.uuid4()) as one, bells.listen(uuid.uuid4()) as two:
        bells.ring_all()
        assert one.is_set()
        assert two.is_set()


async def test_who_left_is_forgotten_and_a_closed_one_sends_away():
    job = uuid.uuid4()
    bells = JobBells(Others().tell)
    with bells.listen(job):
        pass
    bells.ring(job)
    with bells.listen(job) as event:
        await bells.close()
        assert event.is_set()
        assert bells.closed
    bells.note(job)
