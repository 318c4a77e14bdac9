"""get_upgrade and confirm_upgrade. State files and the guard answer, not this agent: it may be the one on trial."""

from pathlib import Path
from typing import Any

import msgspec

from myx_agent.commands.programs import ProgramFailed, Programs
from myx_agent.commands.spec import check_command_id
from myx_agent.config import Config
from myx_agent.jsonrpc import RpcError
from myx_agent.spool import layout

GUARD_TIMEOUT_S = 20.0


class UpgradeMethods:
    """What became of an upgrade, and the word that the new release may stay."""

    def __init__(self, config: Config, programs: Programs) -> None:
        self._folder = Path(config.upgrade_dir)
        self._guard = config.upgrade_guard_path or str(Path(config.releases_dir).parent / "bin" / "upgrade-guard")
        self._programs = programs

    async def get_upgrade(self, upgrade_id: str) -> dict[str, Any]:
        check_command_id(upgrade_id, "upgrade_id")
        return self._state(upgrade_id)

    async def confirm_upgrade(self, upgrade_id: str) -> dict[str, Any]:
        check_command_id(upgrade_id, "upgrade_id")
        state = self._state(upgrade_id)
        waits = self._waits(upgrade_id)
        if state.get("state") == "confirmed" and not waits:
            return state
        if state.get("state") != "switched" and not waits:
            message = f"the upgrade is {state.get('state')}: there is nothing to confirm"
            raise RpcError(-32016, message, "UPGRADE_NOT_PENDING", state=state)
        try:
            code, said = await self._programs.run([self._guard, "confirm", upgrade_id], GUARD_TIMEOUT_S)
        except ProgramFailed as failed:
            raise _guard_failed(str(failed)) from None
        state = self._state(upgrade_id)
        if state.get("state") in {"reverted", "failed"}:
            message = f"the upgrade is {state['state']}: it came too late"
            raise RpcError(-32016, message, "UPGRADE_NOT_PENDING", state=state)
        if code != 0 or state.get("state") != "confirmed":
            raise _guard_failed(said.strip().splitlines()[-1][:300] if said.strip() else f"exit code {code}")
        return state

    def _state(self, upgrade_id: str) -> dict[str, Any]:
        text = layout.read_whole(str(self._folder / f"{upgrade_id}.json"))
        if text is None:
            raise RpcError(-32009, "no such upgrade", "UPGRADE_NOT_FOUND")
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = "the state file of the upgrade cannot be read"
            raise RpcError(-32016, message, "UPGRADE_STATE_UNREADABLE", retryable=True) from None

    def _waits(self, upgrade_id: str) -> bool:
        """A switched upgrade waits for its confirmation exactly while this file names it."""
        text = layout.read_whole(str(self._folder / "pending")) or b""
        return f"UPGRADE_ID={upgrade_id}" in text.decode(errors="replace").replace("'", "").replace('"', "").split()


def _guard_failed(why: str) -> RpcError:
    return RpcError(-32016, f"the upgrade could not be confirmed: {why}", "UPGRADE_GUARD_FAILED", retryable=True)
