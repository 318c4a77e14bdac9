"""Where things lie on a managed host (docs/operations: what the agent does on a host)."""

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


def release_folder(tool: str, digest: str) -> str:
    """Where an unpacked tool or project lies, whatever is current."""
    return f"{TOOL}/{tool}/releases/{digest[:16]}"
