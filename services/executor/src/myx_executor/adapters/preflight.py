"""What a host is, and what is in the way of an agent on it, before anything of it is touched."""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress

from myx_executor.adapters import preflight_script as script
from myx_executor.adapters.ssh_errors import where
from myx_executor.adapters.ssh_session import SshSession
from myx_executor.domain.ssh import HostFacts, PreflightResult, Problem, RemoteFailed

_SCRIPT_S = 60.0
_LISTEN_S = 15.0
_CONNECT_S = 5.0
_FREE_MB = 400
# Signed requests are taken when the clocks are this close; before that, a word of warning.
_CLOCK_FATAL_S = 300.0
_CLOCK_WARN_S = 60.0
_SYSTEMD = 249
_ARCHITECTURES = ("x86_64", "aarch64")


async def preflight(session: SshSession, *, address: str, port: int) -> PreflightResult:
    """One script over SSH, and a TCP connect from here to a listener there. SshError only when the session fails.

    `address`: under which the control plane will call the agent. Fatal problems, in this order: `ARCH_UNSUPPORTED`,
    `LIBC_UNSUPPORTED`, `SYSTEMD_MISSING`, `SYSTEMD_TOO_OLD`, `PYTHON_MISSING`, `DISK_FULL`, `DISK_READ_ONLY`,
    `CLOCK_SKEW`, `PORT_TAKEN`, `PORT_BLOCKED`, `ADDRESS_WRONG`. Not fatal: `CLOCK_SKEW` (small), `PORT_UNCHECKED`.
    """
    before = time.time()
    result = await session.run(
        ["/bin/sh", "-c", script.SCRIPT, "sh", str(port)], timeout_s=_SCRIPT_S, max_output=1 << 18
    )
    after = time.time()
    try:
        found = script.parsed(result.text)
        offset = _offset(float(script.one(found, "time")), before, after)
    except ValueError:
        words = result.stderr.decode(errors="replace").strip()[-300:]
        raise RemoteFailed(
            "SSH_COMMAND_FAILED",
            f"{where(session.hop)} could not be looked at: {words or 'the script did not come to its end'}",
            "see whether the host runs ordinary commands, then run it again",
            host=session.hop.name,
        ) from None
    facts = script.facts(found, offset)
    problems = [*_machine(facts, found), *_room(facts, found), *_clock(offset)]
    problems += await _port(session, address or session.hop.address, port, found)
    return PreflightResult(facts, tuple(problems))


def _machine(facts: HostFacts, found: Mapping[str, list[str]]) -> list[Problem]:
    problems = []
    if facts.arch not in _ARCHITECTURES or script.one(found, "bits") == "32":
        what = f"{facts.arch} with 32 bit programs" if facts.arch in _ARCHITECTURES else facts.arch or "unknown"
        problems.append(
            Problem(
                "ARCH_UNSUPPORTED", f"the host is {what}", "use a host with x86-64 or 64 bit ARM: the agent needs one"
            )
        )
    if not facts.libc.lower().startswith("glibc"):
        kind = "musl" if "musl" in facts.libc else "another C library than glibc"
        problems.append(
            Problem(
                "LIBC_UNSUPPORTED",
                f"the host ({facts.system or 'unknown system'}) has {kind}",
                "use a system with glibc, such as Debian, Ubuntu, Fedora or SUSE",
            )
        )
    if script.one(found, "init") != "systemd" or not facts.systemd_version:
        init = script.one(found, "init") or "unknown"
        problems.append(
            Problem(
                "SYSTEMD_MISSING",
                f"systemd does not run the host (process 1 is {init})",
                "use a host that systemd runs: the agent is a unit of it",
            )
        )
    elif (version := _systemd(facts.systemd_version)) < _SYSTEMD:
        problems.append(
            Problem(
                "SYSTEMD_TOO_OLD",
                f"the host has systemd {version}, the agent needs {_SYSTEMD} or newer",
                "use a newer system, such as Debian 12, Ubuntu 22.04 or RHEL 9",
            )
        )
    if not facts.python:
        there = ", ".join(sorted({line.split(" ")[0] for line in found.get("python", []) if line})) or "none"
        problems.append(
            Problem(
                "PYTHON_MISSING",
                f"there is no whole Python 3.11 to 3.14 on the host (found: {there})",
                "install one, for example `apt install python3.11` or `dnf install python3.11`, beside the old one, or"
                " give the control plane one to bring (MYX_EXECUTOR_PYTHON_DIR)",
            )
        )
    return problems


def _systemd(line: str) -> int:
    """The version in `systemd 252 (252.5-2)`; a line that says none is believed to be new enough."""
    found = re.search(r"\d+", line)
    return int(found[0]) if found else _SYSTEMD


def _room(facts: HostFacts, found: Mapping[str, list[str]]) -> list[Problem]:
    problems = [
        Problem("DISK_FULL", f"{folder} has {free} MB left, {_FREE_MB} are needed", f"free some space below {folder}")
        for folder, free in facts.free_mb.items()
        if free < _FREE_MB
    ]
    problems += [
        Problem("DISK_READ_ONLY", f"{folder} cannot be written", "mount it for writing; see `dmesg` for why it is not")
        for folder in found.get("read_only", [])
    ]
    return problems


def _clock(offset: float) -> list[Problem]:
    if abs(offset) <= _CLOCK_WARN_S:
        return []
    side = "ahead of" if offset > 0 else "behind"
    return [
        Problem(
            "CLOCK_SKEW",
            f"the host's clock is {abs(offset):.0f} s {side} the control plane's",
            "set both clocks by NTP (`timedatectl set-ntp true`): signed requests bear 300 s",
            fatal=abs(offset) > _CLOCK_FATAL_S,
        )
    ]


def _offset(there: float, before: float, after: float) -> float:
    """How far the host's clock is off, not counting how long the answer took."""
    if there < before - 1:
        return there - before
    return there - after if there > after + 1 else 0.0


async def _port(session: SshSession, address: str, port: int, found: Mapping[str, list[str]]) -> list[Problem]:
    holders = found.get("holder", [])
    if any("/opt/myx-agent/" in holder or "myx-agent.service" in holder for holder in holders):
        word = await _asked(address, port, wait_for_word=False)
        return _verdict(word, b"", address, port)
    if holders:
        return [_taken(port, _holder(holders[0]))]
    python = script.any_python(found)
    if not python:
        return [_unchecked(port, "there is no Python to listen with")]
    word = secrets.token_hex(16).encode()
    async with session.process([python, "-I", "-c", script.LISTENER, str(port), word.decode()]) as listener:
        said = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LISTEN_S):
                said = await listener.read("stdout")
        if said.startswith(b"taken"):
            return [_taken(port, "another program")]
        if not said.startswith(b"ready"):
            return [_unchecked(port, "no listener could be started")]
        return _verdict(await _asked(address, port, wait_for_word=True), word, address, port)


async def _asked(address: str, port: int, *, wait_for_word: bool) -> bytes | str:
    """What is said there, or why nothing is."""
    writer = None
    try:
        async with asyncio.timeout(_CONNECT_S):
            reader, writer = await asyncio.open_connection(address, port)
            return await reader.read(64) if wait_for_word else b""
    except TimeoutError:
        return "no answer in time"
    except OSError as error:
        return error.strerror or str(error)
    finally:
        if writer is not None:
            writer.close()


def _verdict(answer: bytes | str, word: bytes, address: str, port: int) -> list[Problem]:
    if answer == word:
        return []
    if isinstance(answer, str):
        return [
            Problem(
                "PORT_BLOCKED",
                f"the control plane cannot reach {address}:{port}: {answer}",
                f"open TCP port {port} for the control plane in the firewall of the host and of the network between",
            )
        ]
    return [
        Problem(
            "ADDRESS_WRONG",
            f"what answers at {address}:{port} is not the host that SSH reaches",
            "correct the server's address, or the forwarding of its ports",
        )
    ]


def _taken(port: int, holder: str) -> Problem:
    return Problem(
        "PORT_TAKEN",
        f"port {port} of the host is held by {holder}",
        "stop that program, or give the agent another port (install with a new port)",
    )


def _unchecked(port: int, why: str) -> Problem:
    message = f"whether port {port} can be reached was not seen: {why}"
    return Problem("PORT_UNCHECKED", message, f"see that TCP port {port} is open for the control plane", fatal=False)


def _holder(line: str) -> str:
    pid, _, rest = line.partition(" ")
    name = rest.split(" ")[0]
    return f"{name} (process {pid})" if pid.isdigit() and name else "another program"
