"""One command's way through every part, beside plain ssh in the same run (`make bench`).

Prints a table and, with `--json FILE`, writes the same as JSON. `--quick` takes fewer rounds.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench import plain_ssh, stats
from bench.myx_api import Api, own_myx

TICKER = (
    "import sys,time\nfor i in range({n}):\n print('%.6f line %d' % (time.time(), i), flush=True); time.sleep({gap})"
)
LINE = b"TASK [role : install package] ok: [host042] => changed=false rc=0 %09d\n"


async def trivial_s(api: Api) -> float:
    """Seconds from the API call to the final record of `true`."""
    begin = time.perf_counter()
    final = await api.run("true")
    taken = time.perf_counter() - begin
    assert final["exit_code"] == 0, final
    return taken


async def first_byte_s(api: Api) -> float:
    """Seconds from the API call to the first output byte of `echo` at the client."""
    seen: list[float] = []
    begin = time.perf_counter()
    await api.run("echo", "myx-ok", on_data=partial(note_time, seen))
    return seen[0] - begin


def note_time(seen: list[float], _: bytes) -> None:
    """Remember when data came."""
    seen.append(time.perf_counter())


async def rate(api: Api, in_flight: int, total: int) -> float:
    """Commands per second with so many in flight, each followed to its final record."""
    left = iter(range(total))

    async def worker() -> None:
        for _ in left:
            await api.run("true")

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return total / (time.perf_counter() - begin)


async def throughput(api: Api, file: Path) -> float:
    """MB/s of `cat` of a file, stored and followed to its end."""
    size = 0

    def count(data: bytes) -> None:
        nonlocal size
        size += len(data)

    begin = time.perf_counter()
    final = await api.run("cat", str(file), on_data=count)
    taken = time.perf_counter() - begin
    assert size == file.stat().st_size, (size, final)
    assert final["log_completeness"] == "complete", final
    return size / taken / 1e6


async def line_lag(api: Api, lines: int, gap_s: float) -> list[float]:
    """Seconds between a line's printing and its arrival."""
    lags: list[float] = []
    rest = b""

    def arrived(data: bytes) -> None:
        nonlocal rest
        now = time.time()
        *whole, rest = (rest + data).split(b"\n")
        lags.extend(now - float(line.split()[0]) for line in whole)

    await api.run(sys.executable, "-S", "-E", "-c", TICKER.format(n=lines, gap=gap_s), on_data=arrived)
    return lags


async def measure(quick: bool) -> dict[str, Any]:
    """All figures of one run."""
    rounds, megabytes, idle_s = (15, 50, 5) if quick else (50, 200, 20)
    result: dict[str, Any] = {"cpus": os.cpu_count(), "load_before": os.getloadavg()}
    with tempfile.TemporaryDirectory(prefix="myx-bench-data-") as folder, plain_ssh.plain_ssh() as ssh:
        file = Path(folder) / "lines.txt"
        with file.open("wb") as output:
            for block in range(megabytes):
                output.write(b"".join(LINE % (block * 14000 + i) for i in range(14000)))
        noise = Path(folder) / "noise.bin"
        with noise.open("wb") as output:
            for _ in range(megabytes // 2):
                output.write(os.urandom(1_000_000))
        async with own_myx() as (api, home):
            for _ in range(5):
                await trivial_s(api)
            before = stats.costs(home)
            await asyncio.sleep(idle_s)
            result["idle"] = stats.difference(before, stats.costs(home)) | {"seconds": idle_s}
            await in_turn(result, api, ssh, rounds)
            before = stats.costs(home)
            result["commands_per_s"] = {n: round(await rate(api, n, max(50, 4 * n)), 1) for n in (1, 10, 100)}
            result["commands_cost"] = stats.difference(before, stats.costs(home)) | {"commands": 50 + 50 + 400}
            await lags(result, api, ssh, rounds * 5)
            before = stats.costs(home)
            result["throughput_mb_s"] = await bulk(api, ssh, file)
            result["throughput_cost"] = stats.difference(before, stats.costs(home)) | {"megabytes": 3 * megabytes}
            result["random_mb_s"] = await bulk(api, ssh, noise)
    result["load_after"] = os.getloadavg()
    return result


def ways(ssh: plain_ssh.PlainSsh | None) -> dict[str, list[str]]:
    """The beginnings of ssh's command lines, by name."""
    return {"ssh fresh": ssh.fresh, "ssh multiplexed": ssh.mux} if ssh else {}


async def in_turn(result: dict[str, Any], api: Api, ssh: plain_ssh.PlainSsh | None, rounds: int) -> None:
    """Trivial command and first byte, MyX and ssh by turns, so that all meet the same machine."""
    trivial: dict[str, list[float]] = {}
    first: dict[str, list[float]] = {}
    for _ in range(rounds):
        trivial.setdefault("myx", []).append(await trivial_s(api))
        first.setdefault("myx", []).append(await first_byte_s(api))
        for name, base in ways(ssh).items():
            run, byte = partial(plain_ssh.run_s, [*base, "true"]), partial(plain_ssh.first_byte_s, [*base, "echo", "x"])
            trivial.setdefault(name, []).append(await asyncio.to_thread(run))
            first.setdefault(name, []).append(await asyncio.to_thread(byte))
    result["trivial_ms"] = {name: stats.summary_ms(taken) for name, taken in trivial.items()}
    result["first_byte_ms"] = {name: stats.summary_ms(taken) for name, taken in first.items()}


async def lags(result: dict[str, Any], api: Api, ssh: plain_ssh.PlainSsh | None, lines: int) -> None:
    """Line lag of a command that prints a time every 10 ms."""
    result["line_lag_ms"] = {"myx": stats.summary_ms(await line_lag(api, lines, 0.01))}
    ticker = [sys.executable, "-S", "-E", "-c", f'"{TICKER.format(n=lines, gap=0.01)}"']
    for name, base in ways(ssh).items():
        lag = await asyncio.to_thread(plain_ssh.line_lags_s, [*base, *ticker])
        result["line_lag_ms"][name] = stats.summary_ms(lag)


async def bulk(api: Api, ssh: plain_ssh.PlainSsh | None, file: Path) -> dict[str, float]:
    """MB/s of a large output, the median of three, MyX and ssh by turns."""
    speeds: dict[str, list[float]] = {}
    for _ in range(3):
        speeds.setdefault("myx", []).append(await throughput(api, file))
        for name, base in ways(ssh).items():
            taken, size = await asyncio.to_thread(plain_ssh.read_all_s, [*base, "cat", str(file)])
            speeds.setdefault(name, []).append(size / taken / 1e6)
    return {name: round(sorted(found)[1], 1) for name, found in speeds.items()}


def table(result: dict[str, Any]) -> str:
    """The figures as text."""
    rows = []
    for work in ("trivial_ms", "first_byte_ms", "line_lag_ms"):
        for who, figures in result[work].items():
            rows.append(f"{work:16} {who:16} " + "  ".join(f"{k} {v:9.2f}" for k, v in figures.items()))
    for work in ("throughput_mb_s", "random_mb_s"):
        rows += [f"{work:16} {who:16} {speed:9.1f}" for who, speed in result[work].items()]
    rows += [f"commands_per_s   {n:3} in flight    {speed:9.1f}" for n, speed in result["commands_per_s"].items()]
    for work in ("idle", "commands_cost", "throughput_cost"):
        rows.append(f"\n{work} ({', '.join(f'{k} {v}' for k, v in result[work].items() if not isinstance(v, dict))})")
        rows += [
            f"  {part:18} cpu {c['cpu_s']:8.3f} s  rss {c['rss_mb']:7.1f} MB"
            for part, c in result[work].items()
            if isinstance(c, dict)
        ]
    fresh, mux = result["trivial_ms"].get("ssh fresh"), result["trivial_ms"].get("ssh multiplexed")
    if fresh and mux:
        own = result["trivial_ms"]["myx"]["p50"]
        speed = result["throughput_mb_s"]
        rows.append(
            f"\ntrivial command: {own / fresh['p50']:.3f} of a fresh ssh, {own / mux['p50']:.2f} times a shared one"
            f"; throughput: {speed['myx'] / speed['ssh fresh']:.2f} of a fresh ssh"
        )
    return "\n".join(rows)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    result = asyncio.run(measure(options.quick))
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
