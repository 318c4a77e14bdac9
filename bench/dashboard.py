"""A large fleet in the dashboard: a real Chromium before a live fleet of simulated agents.

How long until its servers are listed, sorted and counted, and what a reading of them all costs.
"""

import argparse
import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import aiohttp
from playwright.async_api import Page, Request, async_playwright

from bench import stats
from bench.calls import settled
from bench.cluster import Cluster, cluster
from bench.seed import seed
from bench.simulator.fleet import SimulatedFleet
from myx_testkit import chromium

_WITHIN_MS = 120_000
_PASSWORD = secrets.token_urlsafe(16)


async def add_admin(myx: Cluster) -> None:
    """A user for the browser."""
    headers = {"Authorization": f"Bearer {myx.home.token}", "Idempotency-Key": secrets.token_hex(8)}
    user = {"name": "bench", "password": _PASSWORD, "grants": [{"role": "admin", "selector": "all"}]}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{myx.url}/api/v1/users", json=user) as answer,
    ):
        answer.raise_for_status()


@contextlib.asynccontextmanager
async def signed_in(myx: Cluster) -> AsyncIterator[Page]:
    """A page of that user's browser."""
    async with async_playwright() as driver:
        arguments = (*chromium.ARGUMENTS, "--enable-precise-memory-info")
        browser = await driver.chromium.launch(executable_path=chromium.PATH, args=arguments)
        page = await browser.new_page(base_url=myx.url, locale="en-US", viewport={"width": 1280, "height": 820})
        page.set_default_timeout(_WITHIN_MS)
        await page.goto("/login")
        await page.get_by_label("Name").fill("bench")
        await page.locator("input[name=password]").fill(_PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.locator("input[name=password]").wait_for(state="detached")
        yield page
        await browser.close()


class Visit:
    """What somebody does on the page of servers, step by step."""

    def __init__(self, page: Page, count: int) -> None:
        self._page = page
        self._count = count
        self._requests: list[Request] = []
        page.on("requestfinished", self._note)
        self.seconds: dict[str, float] = {}

    def _note(self, request: Request) -> None:
        self._requests.append(request)

    async def all(self) -> dict[str, Any]:
        """Seconds of each step; what was read for them, and what the tab holds."""
        shown = self._page.get_by_text(f"{self._count:,} servers", exact=True)
        first = self._page.get_by_role("table").get_by_role("row").nth(1)
        begun = time.monotonic()
        await self._step("first rows", self._page.goto("/servers"), first.wait_for())
        await self._step("all of them", shown.wait_for(), begun=begun)
        sizes = [await one.sizes() for one in self._requests if "/api/v1/servers?" in one.url]
        by_name = self._page.get_by_role("button", name="Name", exact=False).first
        before = await first.inner_text()
        await by_name.click()
        await self._step("sorted", by_name.click(), self._differs(before))
        field = self._page.get_by_label("Filter")
        found = self._page.get_by_test_id("matches").filter(has_text="servers")
        await self._step("counted", field.fill("name ~ '*7'"), found.wait_for())
        heap = await self._page.evaluate("performance.memory.usedJSHeapSize")
        return {
            "seconds": self.seconds,
            "requests": len(sizes),
            "megabytes": round(sum(one["responseBodySize"] for one in sizes) / 1e6, 2),
            "heap_mb": round(heap / 1e6, 1),
        }

    async def _step(self, name: str, *doings: Any, begun: float | None = None) -> None:
        begun = time.monotonic() if begun is None else begun
        for doing in doings:
            await doing
        self.seconds[name] = round(time.monotonic() - begun, 2)

    async def _differs(self, before: str) -> None:
        script = "text => document.querySelectorAll('[role=row]')[1]?.innerText !== text"
        await self._page.wait_for_function(script, arg=before)


async def read_all(myx: Cluster, times: int) -> dict[str, Any]:
    """CPU and time of a reading of all servers by pages of 1,000, and of a count, without a browser."""
    result: dict[str, Any] = {}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {myx.home.token}"}) as session:
        for name in ("servers", "server-counts", "status"):
            before, begun = myx.costs(), time.monotonic()
            for _ in range(times):
                await _pages(session, f"{myx.url}/api/v1/{name}", paged=name == "servers")
            spent = stats.difference(before, myx.costs())
            cpu_ms = {part: round(cost["cpu_s"] * 1e3 / times, 1) for part, cost in spent.items()}
            result[name] = {
                "ms": round((time.monotonic() - begun) * 1e3 / times),
                "cpu_ms": {part: cpu_ms[part] for part in ("gateway", "registry", "postgres")},
            }
    return result


async def _pages(session: aiohttp.ClientSession, url: str, *, paged: bool) -> None:
    token: str | None = ""
    while token is not None:
        query = {"page_size": "1000", "page_token": token} if paged else {}
        async with session.get(url, params=query) as answer:
            answer.raise_for_status()
            token = (await answer.json()).get("next_page_token")


async def measure(count: int) -> None:
    """All of it, as text."""
    with SimulatedFleet(count) as fleet:
        async with cluster(1, before_services=partial(seed, fleet=fleet.file)) as myx:
            await settled(myx, fleet, count)
            await add_admin(myx)
            print("API:", await read_all(myx, 3), flush=True)
            async with signed_in(myx) as page:
                print("dashboard:", await Visit(page, count).all(), flush=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    asyncio.run(measure(parser.parse_args().servers))


if __name__ == "__main__":
    main()
