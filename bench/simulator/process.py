"""One process of the simulator: its share of the agents, and a Unix socket to control them.

A request is one line of JSON, the answer too:
`{"agents": "all" | [from, to] | ["name", …], "set": {"dead": true}}`, `{"agents": …, "reboot": true}`,
`{"get": "counts"}`, `{"get": "executions"}`.
"""

import asyncio
import gc
import os
import resource
import signal
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from bench.simulator.agent import Agent, Shared, tls_context
from bench.simulator.fleet_file import FleetFile
from bench.simulator.wire import Connection


class Simulator:
    """The agents numbered `first` to `last` (not included) of a fleet."""

    def __init__(self, fleet: FleetFile, first: int, last: int) -> None:
        self._shared = Shared(tls_context(fleet), tls_context(fleet, wrong=True), Connection)
        self._first = first
        self._agents = [Agent(identity, self._shared) for identity in fleet.agents[first:last]]
        self._by_name = {agent.identity.name: agent for agent in self._agents}

    def open(self) -> None:
        """All agents listen."""
        for agent in self._agents:
            agent.open()

    def close(self) -> None:
        """All agents are gone."""
        for agent in self._agents:
            agent.close()

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests of one client of the control socket."""
        while line := await reader.readline():
            try:
                answer = self._obey(msgspec.json.decode(line))
            except (msgspec.MsgspecError, KeyError, TypeError, ValueError, OSError) as error:
                answer = {"error": str(error)}
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
        writer.close()

    def _obey(self, request: dict[str, Any]) -> dict[str, Any]:
        shared = self._shared
        match request:
            case {"get": "counts"}:
                times = os.times()
                open_now = sum(len(agent.connections) for agent in self._agents)
                return asdict(shared.counts) | {"cpu_s": times.user + times.system, "connections": open_now}
            case {"get": "executions"}:
                return {"started": shared.marks.started, "doubled": shared.marks.doubled}
            case {"get": "checks"}:
                return {"checks": [(one.asked_at, one.longest_gap_s) for one in self._agents]}
            case {"forget": "gaps"}:
                for agent in self._agents:
                    agent.longest_gap_s = 0.0
                return {"agents": len(self._agents)}
            case {"agents": agents, "set": changes}:
                chosen = list(self._chosen(agents))
                for agent in chosen:
                    agent.behave(changes)
                return {"agents": len(chosen)}
            case {"agents": agents, "reboot": True}:
                chosen = list(self._chosen(agents))
                for agent in chosen:
                    agent.methods.reboot()
                return {"agents": len(chosen)}
        raise ValueError("no such request")

    def _chosen(self, agents: Any) -> Iterable[Agent]:
        if agents == "all":
            return self._agents
        if len(agents) == 2 and all(isinstance(one, int) for one in agents):
            first, last = (max(0, number - self._first) for number in agents)
            return self._agents[first:last]
        return [self._by_name[name] for name in agents if name in self._by_name]


async def serve(fleet_file: Path, first: int, last: int, control: Path) -> None:
    """Until SIGTERM or SIGINT; READY on stdout when all listen."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    simulator = Simulator(FleetFile.read(fleet_file), first, last)
    simulator.open()
    server = await asyncio.start_unix_server(simulator.control, control)
    # What is there now stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    print("READY", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    server.close()
    simulator.close()
