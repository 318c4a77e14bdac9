"""A simulated fleet as its users see it: started, controlled, stopped."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.simulator.fleet_file import FIRST_PORT, FleetFile, make_fleet

ROOT = Path(__file__).resolve().parents[2]
_STOP_S = 10.0


class SimulatedFleet:
    """`count` agents in `processes` processes; `with` starts and stops them."""

    def __init__(self, count: int, processes: int = 1, *, first_port: int = FIRST_PORT) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="myx-sim-")
        self.folder = Path(self._folder.name)
        self.file: FleetFile = make_fleet(count, first_port)
        self.file.write(self.folder / "fleet.json")
        self._bounds = [(count * n // processes, count * (n + 1) // processes) for n in range(processes)]
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [process.pid for process in self._processes]

    def __enter__(self) -> Self:
        for number, (first, last) in enumerate(self._bounds):
            words: list[str | Path] = [self.folder / "fleet.json", str(first), str(last), self._socket(number)]
            log = (self.folder / f"{number}.log").open("wb")
            with log:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "bench.simulator", "serve", *words],
                        cwd=ROOT,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        env={**os.environ, "PYTHONPATH": str(ROOT)},
                        start_new_session=True,
                    )
                )
        for number, process in enumerate(self._processes):
            assert process.stdout is not None
            if process.stdout.readline() != b"READY\n":
                told = (self.folder / f"{number}.log").read_text()
                self.close()
                raise RuntimeError(f"the simulator did not start:\n{told}")
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all agents."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._processes = []
        self._folder.cleanup()

    def behave(self, agents: Any = "all", **changes: Any) -> int:
        """Let agents ("all", (from, to) or a list of names) misbehave, or no more; how many (see `Behaviour`)."""
        return sum(self._ask(n, {"agents": agents, "set": changes})["agents"] for n in range(len(self._bounds)))

    def reboot(self, agents: Any = "all") -> int:
        """Let the hosts of agents start anew; how many."""
        return sum(self._ask(n, {"agents": agents, "reboot": True})["agents"] for n in range(len(self._bounds)))

    def counts(self) -> dict[str, float]:
        """What the agents have seen, and the CPU seconds of their processes."""
        found = [self._ask(n, {"get": "counts"}) for n in range(len(self._bounds))]
        return {name: sum(one[name] for one in found) for name in found[0]}

    def checks(self) -> list[tuple[float, float]]:
        """Of each agent in order: when it was last asked for a heartbeat (`time.monotonic`; 0: never), and the longest
        time between two of them, in seconds."""
        found = [self._ask(n, {"get": "checks"})["checks"] for n in range(len(self._bounds))]
        return [(asked_at, gap_s) for one in found for asked_at, gap_s in one]

    def forget_gaps(self) -> None:
        """From now on the longest time counts anew."""
        for number in range(len(self._bounds)):
            self._ask(number, {"forget": "gaps"})

    def executions(self) -> tuple[int, list[str]]:
        """How many commands were started, and the ids of those that were started again."""
        found = [self._ask(n, {"get": "executions"}) for n in range(len(self._bounds))]
        return sum(one["started"] for one in found), [name for one in found for name in one["doubled"]]

    def _socket(self, number: int) -> Path:
        return self.folder / f"{number}.sock"

    def _ask(self, number: int, request: dict[str, Any]) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self._socket(number)))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer
