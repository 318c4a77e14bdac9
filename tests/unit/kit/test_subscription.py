import asyncio

from myx_kit.events.subscription import Subscription


async def test_payloads_come_in_order():
    subscription = Subscription("s")
    for payload in (b"1", b"2"):
        subscription.put(payload)
    assert [await subscription.next(1), await subscription.next(1)] == [b"1", b"2"]


async def test_a_reader_that_waits_is_woken_by_a_payload_and_by_a_loss():
    subscription = Subscription("s")
    reader = asyncio.create_task(subscription.next(5))
    await asyncio.wait([reader], timeout=0.01)
    subscription.put(b"1")
    assert await reader == b"1"
    reader = asyncio.create_task(subscription.next(5))
    await asyncio.wait([reader], timeout=0.01)
    subscription.mark_lost()
    assert await reader is None
    assert subscription.lost


async def test_a_loss_wakes_only_once():
    subscription = Subscription("s")
    subscription.mark_lost()
    assert await anext(subscription) == b""
    reader = asyncio.ensure_future(anext(subscription))
    done, _ = await asyncio.wait([reader], timeout=0.02)
    assert not done
    reader.cancel()


async def test_room_comes_back_when_payloads_are_taken():
    subscription = Subscription("s", max_messages=2, max_bytes=10)
    subscription.put(b"12345")
    subscription.put(b"67890")
    await subscription.next(1)
    subscription.put(b"abcde")
    assert not subscription.lost
    assert [await subscription.next(1), await subscription.next(1)] == [b"67890", b"abcde"]
    assert await subscription.next(0.001) is None
