"""Ends what still runs on this machine's server when MyX stops."""

import asyncio
import contextlib
from typing import Any

from myx_standalone.api import Api, ApiUnavailable
from myx_standalone.child import Say

GRACE_S = 1.5
POLL_S = 0.1


async def cancel_all(api: Api, server: str, say: Say, within_s: float) -> None:
    """Cancel every active command of `server` through the API, wait for their ends, and say so.

    What cannot be proved to have ended in time is said too; it is left to the caller.
    """
    try:
        async with asyncio.timeout(within_s):
            await _cancel_all(api, server, say)
    except TimeoutError:
        say("Some commands did not end in time; they are killed now.")
    except ApiUnavailable as error:
        say(f"The commands on {server} could not be asked about ({error}).")


async def _cancel_all(api: Api, server: str, say: Say) -> None:
    asked: dict[str, str] = {}
    while active := await asyncio.to_thread(api.active_commands, server):
        for command in active:
            command_id = str(command["id"])
            if command_id not in asked:
                asked[command_id] = _text(command)
                say(f"Cancelling a command that still runs on this machine: {command_id} {asked[command_id]}")
                with contextlib.suppress(ApiUnavailable):  # it may have ended meanwhile
                    await asyncio.to_thread(api.cancel, command_id, GRACE_S)
        await asyncio.sleep(POLL_S)
    if asked:
        say(f"{len(asked)} command{'s were' if len(asked) > 1 else ' was'} cancelled.")


def _text(command: dict[str, Any]) -> str:
    text = " ".join(str(part) for part in [command.get("command", ""), *(command.get("args") or [])])
    return text if len(text) <= 60 else text[:59] + "…"
