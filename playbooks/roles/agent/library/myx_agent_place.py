"""Ansible module: put a built release and its files into place, under the watch of upgrade-guard where an agent ran."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.myx_agent_host import (
    CONFIG,
    CURRENT,
    GUARD,
    HOME,
    RELEASES,
    RESTART_NEEDED,
    UNIT,
    UPGRADES,
    Failure,
    current_release,
    process_release,
    read_file,
    read_release,
    restore_labels,
    run,
    sync_folder,
    tail,
    unit_state,
    write_file,
)  # fmt: skip

DOCUMENTATION = """
module: myx_agent_place
short_description: Puts a release of the MyX agent and its files into place
description: Writes what differs, switches, restarts; when all is as it should be, nothing is touched.
options:
  release: {description: name of a complete release, type: str, required: true}
  guard: {description: the program upgrade-guard, type: str, required: true}
  files: {description: contents by path, type: dict, required: true}
  upgrade_id: {description: an upgrade that has begun; empty for an install, type: str, default: ""}
  confirm_s: {description: until it must be confirmed, type: int, default: 120}
"""
_FOLDERS = (("/etc/myx-agent", 0o700), ("/etc/myx-agent/ssl", 0o700), ("/var/lib/myx-agent", 0o700), (UPGRADES, 0o700))
# What a rotation writes, and the files that it names: those that the installation brings are in force afterwards.
_OF_ROTATION = {"previous", "rotation_id", "certificate_path", "key_path"}
_SECRET = ("/etc/myx-agent/config.json", "/etc/myx-agent/ssl/agent.key")
_PUBLIC = "/etc/systemd/"
_CHECK_S = 60


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str", "required": True},
            "guard": {"type": "str", "required": True},
            # Ansible blackens every value in here wherever it stands in the result, as part of a number or name too: so
            # there is nothing short in it.
            "files": {"type": "dict", "required": True, "no_log": True},
            "upgrade_id": {"type": "str", "default": ""},
            "confirm_s": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    params = module.params
    result = {"changed": False, "guarded": "", "restarted": False, "since": int(time.time()), "not_kept": ""}
    try:
        place(params, result, check=module.check_mode)
    except Failure as failure:
        module.fail_json(msg=str(failure), **result)
    except OSError as error:
        module.fail_json(msg=f"the agent cannot be put into place: {error}", **result)
    if result["not_kept"]:
        module.warn(f"settings that were in {CONFIG} are gone: {result['not_kept']}")
    module.exit_json(**result)


def place(params: dict[str, Any], result: dict[str, Any], *, check: bool) -> None:
    """Fills `result`, so that a failure tells how far it came."""
    release = params["release"]
    if not check and read_release(release) is None:
        raise Failure(f"release {release} is not complete")
    given = [
        {"path": path, "content": content, "mode": "644" if path.startswith(_PUBLIC) else "600"}
        for path, content in params["files"].items()
    ]
    files = [item | {"content": kept(item["content"])} if item["path"] == CONFIG else item for item in given]
    differing = [item for item in files if differs(item)]
    result["diff"] = [diff(item) for item in differing]
    guard = {"path": GUARD, "content": params["guard"], "mode": "755"}
    result["changed"] = bool(differing or differs(guard) or needs_restart(release))
    # A switch that was not yet confirmed is the caller's to end, too.
    result["guarded"] = under_way()
    if check or not result["changed"]:
        return
    make_folders()
    if differs(guard):
        os.makedirs(os.path.dirname(GUARD), mode=0o755, exist_ok=True)
        write_file(GUARD, params["guard"].encode(), 0o755)
    refused = refusal(release, files)
    if refused and files != given and not refusal(release, given):
        # An agent that cannot start with what stands in its file is repaired by installing it again.
        result["not_kept"], refused, files = refused, "", given
        differing = [item for item in files if differs(item)]
    if refused:
        raise Failure(f"the new agent does not take the configuration: {refused}")
    if not (differing or needs_restart(release)):
        return
    result["guarded"] = watch(params, release, result["since"])
    # An earlier switch that was never confirmed has been undone by that.
    differing = [item for item in files if differs(item)]
    write_file(RESTART_NEEDED, b"", 0o644)
    for item in differing:
        write_file(item["path"], item["content"].encode(), int(item["mode"], 8))
    restore_labels("/etc/myx-agent", "/etc/systemd/system/" + UNIT, HOME + "/bin")
    result["restarted"] = True
    switch(release, result["guarded"])
    with contextlib.suppress(FileNotFoundError):
        os.unlink(RESTART_NEEDED)


def kept(given: str) -> str:
    """The given configuration with all else that the file says now, so that an operator's settings stay."""
    try:
        there, new = json.loads(read_file(CONFIG) or b""), json.loads(given)
    except ValueError:
        return given
    if not isinstance(there, dict):
        return given
    # A rotation that ended with this token may still be asked for: its id stays.
    ended = {"rotation_id"} if there.get("agent_token") == new.get("agent_token") else set()
    left_out = _OF_ROTATION - ended
    return json.dumps({key: value for key, value in there.items() if key not in left_out} | new, indent=2) + "\n"


def differs(item: dict[str, str]) -> bool:
    """Content, mode or owner are not as they should be; of JSON the meaning counts."""
    there = read_file(item["path"])
    if there is None or not same(item, there):
        return True
    stat = os.lstat(item["path"])
    return (stat.st_mode & 0o7777) != int(item["mode"], 8) or stat.st_uid != 0 or stat.st_gid != 0


def same(item: dict[str, str], there: bytes) -> bool:
    if item["path"].endswith(".json"):
        with contextlib.suppress(ValueError):
            return bool(json.loads(there) == json.loads(item["content"]))
    return there == item["content"].encode()


def diff(item: dict[str, str]) -> dict[str, str]:
    """What changes, without secrets."""
    there = (read_file(item["path"]) or b"").decode("utf-8", "replace")
    if item["path"] in _SECRET:
        return {"prepared": f"{item['path']} changes (not shown)\n"}
    lines = difflib.unified_diff(there.splitlines(True), item["content"].splitlines(True), item["path"], item["path"])
    return {"prepared": "".join(lines) or f"{item['path']}: mode or owner\n"}


def needs_restart(release: str) -> bool:
    state = unit_state()
    return (
        current_release() != release
        or os.path.exists(RESTART_NEEDED)
        or state.get("UnitFileState") != "enabled"
        or state.get("ActiveState") != "active"
        or process_release(state["MainPID"]) != release
    )


def make_folders() -> None:
    for path, mode in _FOLDERS:
        os.makedirs(path, mode=mode, exist_ok=True)
        os.chmod(path, mode)


def refusal(release: str, files: list[dict[str, str]]) -> str:
    """Why the new code does not take the configuration that it will get, before anything is touched; or empty."""
    content = next((item["content"] for item in files if item["path"] == CONFIG), None)
    path = CONFIG
    if content is not None:
        path = CONFIG + ".myx-try"
        write_file(path, content.encode(), 0o600)
    try:
        argv = [RELEASES + "/" + release + "/bin/myx-agent", "--config", path, "--check"]
        code, text = run(argv, timeout_s=_CHECK_S, check=False)
    finally:
        if content is not None:
            os.unlink(path)
    return (tail(text) or f"exit code {code}") if code else ""


def under_way() -> str:
    """Id of the switch that waits for its confirmation; empty when none does."""
    lines = (read_file(UPGRADES + "/pending") or b"").decode().splitlines()
    return next((line.partition("=")[2] for line in lines if line.startswith("UPGRADE_ID=")), "")


def watch(params: dict[str, Any], release: str, now: int) -> str:
    """Id of the upgrade that watches over the change; empty where there is nothing that could be put back."""
    upgrade_id = params["upgrade_id"]
    previous = current_release()
    if not upgrade_id:
        if read_release(previous) is None or read_file("/etc/systemd/system/" + UNIT) is None:
            return ""
        upgrade_id = f"install-{now}"
        version = (read_release(release) or {})["version"]
        argv = [GUARD, "begin", upgrade_id, release, version, "300", str(params["confirm_s"])]
        run(argv, env={"MYX_GUARD_TAKEOVER": "1"})
    back_up(UPGRADES + "/backup-" + upgrade_id, list(params["files"]))
    run([GUARD, "arm", upgrade_id])
    return str(upgrade_id)


def back_up(folder: str, paths: list[str]) -> None:
    """Copies of what is there, for the guard; `complete` comes last."""
    if os.path.exists(folder + "/complete"):
        return
    for path in paths:
        content = read_file(path)
        if content is not None:
            copy = folder + path
            os.makedirs(os.path.dirname(copy), mode=0o700, exist_ok=True)
            write_file(copy, content, os.stat(path).st_mode & 0o7777)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    write_file(folder + "/complete", b"", 0o600)


def switch(release: str, upgrade_id: str) -> None:
    if upgrade_id:
        run([GUARD, "activate", upgrade_id], timeout_s=180)
        return
    if current_release() != release:
        temporary = CURRENT + ".new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink("releases/" + release, temporary)
        os.replace(temporary, CURRENT)
        sync_folder(HOME)
    run(["systemctl", "daemon-reload"])
    run(["systemctl", "enable", "--quiet", UNIT])
    run(["systemctl", "restart", UNIT])


if __name__ == "__main__":
    main()
