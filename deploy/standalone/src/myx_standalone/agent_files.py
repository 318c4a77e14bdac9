"""Where the files of the local agent lie, and its configuration as far as it names them."""

import json

from myx_kit.files import write_private
from myx_standalone.home import Home, is_free

FOLDERS = {
    "spool": "spool",
    "deployment_tool": "deployment-tool",
    "staging": "staging",
    "files": "files",
    "ansible": "ansible",
    "releases": "releases",
    "upgrade": "upgrade",
}


def agent_places(home: Home) -> dict[str, str]:
    """The settings of the agent that name files of the home."""
    return {
        "certificate_path": str(home.agent / "ssl" / "agent.crt"),
        "key_path": str(home.agent / "ssl" / "agent.key"),
        **{f"{name}_dir": str(home.agent / folder) for name, folder in FOLDERS.items()},
    }


def follow_the_home(home: Home) -> None:
    """Make the agent's configuration of last time name the files of this folder: it may have been moved since.

    A damaged configuration is removed; enrolling writes it anew.
    """
    try:
        configuration = json.loads(home.agent_config.read_text())
    except FileNotFoundError:
        return
    except ValueError:
        configuration = None
    if not isinstance(configuration, dict):
        home.agent_config.unlink()
    elif not agent_places(home).items() <= configuration.items():
        write_private(home.agent_config, as_text(configuration | agent_places(home)))


def may_start(home: Home) -> bool:
    """Whether there is a configuration of last time whose port nobody has taken meanwhile; the agent does not run."""
    try:
        return is_free(int(json.loads(home.agent_config.read_text())["rpc_port"]))
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return False


def as_text(configuration: dict[str, object]) -> str:
    """The configuration as it is written."""
    return json.dumps(configuration, indent=2) + "\n"
