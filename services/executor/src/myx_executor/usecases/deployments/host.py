"""Where things lie on a managed host (docs/operations: what the agent does on a host)."""

from collections.abc import Mapping
from typing import Any

STAGING = "/var/lib/myx-agent/staging"
FILES = "/var/lib/myx-agent/files"
UPGRADES = "/var/lib/myx-agent/upgrade"
TOOL = "/opt/myx-deployment-tool"
ANSIBLE_PYTHON = "/opt/myx-agent/ansible/current/bin/python"
GUARD = "/opt/myx-agent/bin/upgrade-guard"
# While this file is there the agent is to be restarted, whatever else is as it should be.
RESTART_NEEDED = "/opt/myx-agent/restart-needed"
# Roots of put_file.
STAGING_ROOT, FILES_ROOT, TOOL_ROOT = "agent-staging", "files", "deployment-tool"


_FOLDERS = {
    "deployment_tool": TOOL,
    "staging": STAGING,
    "files": FILES,
    "ansible": "/opt/myx-agent/ansible",
}


def folder(status: Mapping[str, Any], name: str) -> str:
    """The folder that an agent's `get_status` names, else where every installed agent has it."""
    folders = status.get("folders")
    told = folders.get(name) if isinstance(folders, Mapping) else None
    return told if isinstance(told, str) and told.startswith("/") else _FOLDERS[name]


def release_folder(tool: str, digest: str, root: str = TOOL) -> str:
    """Where an unpacked tool or project lies, whatever is current."""
    return f"{root}/{tool}/releases/{digest[:16]}"
