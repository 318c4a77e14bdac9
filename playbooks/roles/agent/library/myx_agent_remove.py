"""Ansible module: take the agent off the host with everything that it made."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.myx_agent_host import CONFIG, CURRENT, HOME, UNIT, Failure, read_file, run, running_commands

DOCUMENTATION = """
module: myx_agent_remove
short_description: Removes the MyX agent
description: Refuses while commands run, unless forced; then they are cancelled.
options:
  force: {description: cancel what runs, type: bool, default: false}
"""
_FOLDERS = (HOME, "/etc/myx-agent", "/var/lib/myx-agent", "/opt/myx-deployment-tool")
_UNITS = "/etc/systemd/system/"
_REVERT = ("myx-agent-revert.timer", "myx-agent-revert.service")
_WAIT_S = 15


def main() -> None:
    module = AnsibleModule(argument_spec={"force": {"type": "bool", "default": False}}, supports_check_mode=True)
    try:
        module.exit_json(**remove(force=module.params["force"], check=module.check_mode))
    except (Failure, OSError) as failure:
        module.fail_json(msg=str(failure))


def remove(*, force: bool, check: bool) -> dict[str, Any]:
    if "MYX_COMMAND_ID" in os.environ:
        raise Failure("the agent cannot remove itself: use SSH")
    there = [path for path in (*_FOLDERS, *units()) if os.path.lexists(path)]
    result = {"changed": bool(there or helpers()), "removed": there, "cancelled": []}
    commands = running_commands()
    if commands and not force:
        some = ", ".join(commands[:5]) + (" …" if len(commands) > 5 else "")
        raise Failure(f"{len(commands)} commands run on this host ({some}): wait, cancel them, or use force")
    if check or not result["changed"]:
        return result
    result["cancelled"] = commands
    for name in (*_REVERT, UNIT):
        run(["systemctl", "disable", "--now", name], check=False)
    stop_commands()
    end_helpers()
    for path in units():
        delete(path)
    run(["systemctl", "daemon-reload"])
    for name in (*_REVERT, UNIT):
        run(["systemctl", "reset-failed", name], check=False)
    for path in _FOLDERS:
        delete(path)
    left = [path for path in (*_FOLDERS, *units()) if os.path.lexists(path)]
    if left:
        raise Failure(f"cannot be removed: {', '.join(left)}")
    return result


def units() -> list[str]:
    names = (UNIT, UNIT + ".d", *_REVERT)
    links = [path for name in names for path in glob.glob(_UNITS + "*.wants/" + name)]
    return [path for path in (_UNITS + name for name in names) if os.path.lexists(path)] + links


def stop_commands() -> None:
    """By the agent's own program when it works, so that their ends are collected; end_helpers takes the rest."""
    with contextlib.suppress(Failure):
        run([CURRENT + "/bin/myx-agent", "--config", CONFIG, "--stop-commands", "--grace", "5"], timeout_s=90)


def helpers() -> list[int]:
    """Processes of ours: what runs an interpreter below our folder, and commands that nobody supervises."""
    found = []
    commands = set(running_commands())
    for folder in glob.glob("/proc/[0-9]*"):
        pid = int(os.path.basename(folder))
        first = (read_file(folder + "/cmdline") or b"").split(b"\0")[0].decode("utf-8", "replace")
        tag = [part[15:].decode("utf-8", "replace") for part in (read_file(folder + "/environ") or b"").split(b"\0")
               if part.startswith(b"MYX_COMMAND_ID=")]  # fmt: skip
        if pid != os.getpid() and (first.startswith(HOME + "/") or (tag and tag[0] in commands)):
            found.append(pid)
    return found


def end_helpers() -> None:
    for number, wait_s in ((signal.SIGTERM, 1), (signal.SIGKILL, _WAIT_S)):
        for pid in helpers():
            with contextlib.suppress(OSError):
                os.kill(pid, number)
        deadline = time.monotonic() + wait_s
        while helpers() and time.monotonic() < deadline:
            time.sleep(0.1)
    left = helpers()
    if left:
        raise Failure(f"processes {', '.join(map(str, left))} do not end")


def delete(path: str) -> None:
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


if __name__ == "__main__":
    main()
