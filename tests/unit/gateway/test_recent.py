"""What was looked up in the last seconds."""

import asyncio

import pytest

from myx_gateway.access.recent import Recent
from myx_kit.errors import Unavailable


class Source:
    """Looks up, and counts how often; a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0
        self.value: str | None = "a"
        self.error: Exception | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.recent = Recent[str](clock=lambda: self.now, size=3)

    async def look(self) -> str | None:
        self.looks += 1
        await self.hold.wait()
        if self.error is not None:
            raise self.error
        return self.value

    async def get(self, key: bytes = b"k") -> str | None:
        return await self.recent.get(key, self.look)


async def test_one_look_serves_two_seconds_and_no_more() -> None:
    source = Source()
    for source.now in (0.0, 1.0, 1.9):
        assert await source.get() == "a"
    assert source.looks == 1
    source.now, source.value = 2.0, "b"
    assert await source.get() == "b"


async def test_what_is_not_there_is_not_kept() -> None:
    source = Source()
    source.value = None
    assert await source.get() is None
    assert len(source.recent) == 0
    source.value = "a"
    assert await source.get() == "a"


async def test_many_who_ask_for_the_same_at_once_cause_one_look() -> None:
    source = Source()
    source.hold.clear()
    asking = [asyncio.create_task(source.get()) for _ in range(50)]
    await asyncio.sleep(0)
    source.hold.set()
    assert set(await asyncio.gather(*asking)) == {"a"}
    assert source.looks == 1


async def test_while_the_source_is_away_the_last_answer_holds_for_four_seconds() -> None:
    source = Source()
    await source.get()
    source.error = Unavailable("DATABASE_UNAVAILABLE", "away")
    source.now = 3.9
    assert await source.get() == "a"
    source.now = 4.0
    with pytest.raises(Unavailable):
        await source.get()
    with pytest.raises(Unavailable):
        await source.get(b"never seen")
    source.error = None
    assert await source.get() == "a"


async def test_what_was_dropped_is_looked_up_again_and_does_not_outlive_the_source() -> None:
    source = Source()
    await source.get()
    source.recent.drop(lambda value: value == "b")
    await source.get()
    assert source.looks == 1
    source.recent.drop(lambda value: value == "a")
    source.error = Unavailable("DATABASE_UNAVAILABLE", "away")
    with pytest.raises(Unavailable):
        await source.get()


async def test_a_look_that_was_under_way_when_it_was_dropped_is_not_kept() -> None:
    source = Source()
    await source.get()
    source.now = 2.0
    source.hold.clear()
    asking = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    source.recent.drop(lambda value: value == "a")
    source.hold.set()
    await asking
    source.value = None
    assert await source.get() is None


async def test_a_first_look_that_was_under_way_when_anything_was_dropped_is_not_kept() -> None:
    source = Source()
    source.hold.clear()
    asking = asyncio.create_task(source.get())
    await asyncio.sleep(0)
    source.recent.drop(lambda value: value == "a")
    source.hold.set()
    assert await asking == "a"
    source.value = None
    assert await source.get() is None


async def test_it_is_bounded() -> None:
    source = Source()
    for number in range(10):
        await source.get(str(number).encode())
    assert len(source.recent) == 3


async def test_an_error_of_ours_leaves_nothing_behind() -> None:
    source = Source()
    source.error = RuntimeError("a fault")
    with pytest.raises(RuntimeError):
        await source.get()
    assert len(source.recent) == 0
