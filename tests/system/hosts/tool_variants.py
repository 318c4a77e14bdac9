"""Agents that are broken on purpose, each as a bundle of its own."""

import shutil
from pathlib import Path

from myx_testkit.apps import REPOSITORY
from myx_testkit.bundle import variant

AGENT = REPOSITORY / "agent"
GOOD = "9.0.0"

OTHER_CERTIFICATE = """    import msgspec
    config = msgspec.structs.replace(config, certificate_path='/run/x.crt', key_path='/run/x.key')
    ensure_certificate(config)
"""

# Name → (file below myx_agent, text, what takes its place).
BREAKS = {
    "no-import": ("agent.py", "import asyncio\n", "import asyncio\nimport no_such_package\n"),
    "crash-loop": (
        "agent.py",
        "    ready_fd = _take_ready_fd()\n",
        "    raise OSError('the new agent has a bug')\n",
    ),
    "hang": ("agent.py", "    ready_fd = _take_ready_fd()\n", "    await asyncio.sleep(1e6)\n"),
    "wrong-port": ("agent.py", "config.rpc_port)\n    with", "config.rpc_port + 1)\n    with"),
    "wrong-certificate": (
        "tls.py",
        '    """The server\'s TLS context. Raises CertificateError."""\n',
        OTHER_CERTIFICATE,
    ),
    "schema": ("config.py", '_REQUIRED = ("agent_token",', '_REQUIRED = ("new_key", "agent_token",'),
    "no-commands": (
        "commands/supervisor.py",
        '        """Start a command from its specification (and stdin). Raises SupervisorAway, SupervisorError."""\n',
        "        raise SupervisorAway('no command can be run')\n",
    ),
    # It passes every test on its own host.
    "no-streams": ("stream.py", "await websocket.accept()", "await asyncio.sleep(1e6)"),
}

# Of those that the host itself notices: the defect, how the upgrade ends, what is said.
ENDS = [
    ("no-import", "failed", "no_such_package"),
    ("crash-loop", "reverted", "the new agent has a bug"),
    ("hang", "reverted", "did not answer"),
    ("wrong-port", "reverted", "refused"),
    ("wrong-certificate", "reverted", "the certificate that it shows is not the one"),
    ("schema", "failed", "new_key is missing"),
    ("no-commands", "reverted", "the supervisor of commands does not answer"),
]


def good(folder: Path, version: str = GOOD) -> Path:
    """The agent of this checkout under another version."""
    return variant("good", AGENT, version)


def broken(folder: Path, name: str) -> Path:
    """A bundle whose agent has this defect."""
    source = folder / name
    if not source.exists():
        shutil.copytree(AGENT, source, ignore=shutil.ignore_patterns("__pycache__"))
        file, old, new = BREAKS[name]
        path = source / "src/myx_agent" / file
        text = path.read_text()
        assert text.count(old) == 1, (file, old, text.count(old))
        path.write_text(text.replace(old, new))
    return variant(name, source, GOOD)
