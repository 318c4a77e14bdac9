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


async def trivial(api: Api, rounds: int) -> list[float]:
    """Seconds from the API call to the final record of `true`."""
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        final = await api.run("true")
        taken.append(time.perf_counter() - begin)
        assert final["exit_code"] == 0, final
    return taken


async def first_byte(api: Api, rounds: int) -> list[float]:
    """Seconds from the API call to the first output byte of `echo` at the client."""
    taken = []
    for _ in range(rounds):
        seen: list[float] = []
        begin = time.perf_counter()
        await api.run("echo", "myx-ok", on_data=partial(note_time, seen))
        taken.append(seen[0] - begin)
    return taken


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
    rounds, megabytes = (15, 50) if quick else (60, 200)
    result: dict[str, Any] = {"cpus": os.cpu_count(), "load_before": os.getloadavg()}
    with tempfile.TemporaryDirectory(prefix="myx-bench-data-") as folder, plain_ssh.plain_ssh() as ssh:
        file = Path(folder) / "lines.txt"
        with file.open("wb") as output:
            for block in range(megabytes):
                output.write(b"".join(LINE % (block * 14000 + i) for i in range(14000)))
        ticker = [sys.executable, "-S", "-E", "-c", f'"{TICKER.format(n=rounds * 5, gap=0.01)}"']
        async with own_myx() as (api, home):
            await trivial(api, 5)
            before = stats.costs(home)
            await asyncio.sleep(5 if quick else 20)
            result["idle"] = stats.difference(before, stats.costs(home)) | {"seconds": 5 if quick else 20}
            result["trivial_ms"] = {"myx": stats.summary_ms(await trivial(api, rounds))}
            result["first_byte_ms"] = {"myx": stats.summary_ms(await first_byte(api, rounds))}
            before = stats.costs(home)
            result["commands_per_s"] = {n: round(await rate(api, n, max(50, 4 * n)), 1) for n in (1, 10, 100)}
            result["commands_cost"] = stats.difference(before, stats.costs(home)) | {"commands": 50 + 50 + 400}
            result["line_lag_ms"] = {"myx": stats.summary_ms(await line_lag(api, rounds * 5, 0.01))}
            before = stats.costs(home)
            speeds = [await throughput(api, file) for _ in range(3)]
            result["throughput_mb_s"] = {"myx": round(sorted(speeds)[1], 1)}
            result["throughput_cost"] = stats.difference(before, stats.costs(home)) | {"megabytes": 3 * megabytes}
            if ssh:
                await asyncio.to_thread(beside, result, ssh, file, ticker, rounds)
    result["load_after"] = os.getloadavg()
    return result


def beside(result: dict[str, Any], ssh: plain_ssh.PlainSsh, file: Path, ticker: list[str], rounds: int) -> None:
    """The same works through plain ssh, while MyX idles."""
    for name, base in (("ssh fresh", ssh.fresh), ("ssh multiplexed", ssh.mux)):
        plain_ssh.run_s([*base, "true"])
        result["trivial_ms"][name] = stats.summary_ms([plain_ssh.run_s([*base, "true"]) for _ in range(rounds // 2)])
        result["first_byte_ms"][name] = stats.summary_ms(
            [plain_ssh.first_byte_s([*base, "echo", "myx-ok"]) for _ in range(rounds // 2)]
        )
        result["line_lag_ms"][name] = stats.summary_ms(plain_ssh.line_lags_s([*base, *ticker]))
        speeds = sorted(
            size / taken / 1e6 for taken, size in (plain_ssh.read_all_s([*base, "cat", str(file)]) for _ in range(3))
        )
        result["throughput_mb_s"][name] = round(speeds[1], 1)


def table(result: dict[str, Any]) -> str:
    """The figures as text."""
    rows = []
    for work in ("trivial_ms", "first_byte_ms", "line_lag_ms"):
        for who, figures in result[work].items():
            rows.append(f"{work:16} {who:16} " + "  ".join(f"{k} {v:9.2f}" for k, v in figures.items()))
    rows += [f"throughput_mb_s  {who:16} {speed:9.1f}" for who, speed in result["throughput_mb_s"].items()]
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
