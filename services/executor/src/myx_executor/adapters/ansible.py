"""Plays over SSH: Ansible beside the executor, in a process that holds no credential."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import myx_executor
from myx_executor.adapters import sandbox, sandbox_pty
from myx_executor.adapters.ansible_door import PlayDoor
from myx_executor.adapters.ansible_play import RunningPlay
from myx_executor.adapters.ssh_session import SshSession
from myx_executor.domain.ssh import PlaySpec
from myx_kit.errors import FailedPrecondition

__all__ = ["PlayOverSsh", "RunningPlay"]

_PLUGINS = Path(myx_executor.__file__).parent / "ansible_plugins" / "connection"


class PlayOverSsh:
    """Starts plays; `run_play` is the shipped tool's scripts/run_play.py, `work_dir` scratch (None: the system's)."""

    def __init__(self, run_play: Path, work_dir: Path | None = None) -> None:
        self._run_play = run_play
        self._work_dir = work_dir

    async def start(self, session: SshSession, spec: PlaySpec) -> RunningPlay:
        """A play on the session's host.

        FailedPrecondition `ISOLATION_UNAVAILABLE` for pushed projects where nothing can be locked in.
        """
        isolated = sandbox.available()
        if spec.pushed and not isolated:
            raise FailedPrecondition(
                "ISOLATION_UNAVAILABLE",
                "the control plane's kernel has no Landlock (Linux 5.13): pushed playbooks are not run over SSH; "
                "use the method agent",
            )
        work = Path(tempfile.mkdtemp(prefix="myx-ssh-play-", dir=self._work_dir)).resolve()
        door = PlayDoor(session, work / "link")
        try:
            (work / "play").mkdir(mode=0o700)
            (work / "tmp").mkdir(mode=0o700)
            door.open()
            play = RunningPlay(work, door)
            await play.start(
                self._command(spec, work, isolated=isolated),
                _environment(work),
                _document(spec, work),
                spec.timeout_s,
                spec.no_output_timeout_s,
            )
        except BaseException:
            await door.close()
            shutil.rmtree(work, ignore_errors=True)
            raise
        return play

    def _command(self, spec: PlaySpec, work: Path, *, isolated: bool) -> list[str]:
        run_play = self._run_play.resolve()
        limits = ["--open"]
        if isolated:
            readable = [spec.project_dir, str(run_play.parent), str(_PLUGINS), sandbox_pty.__file__]
            limits = [part for path in readable for part in ("--read", path)] + ["--write", str(work)]
        launcher = [sys.executable, "-I", "-m", "myx_executor.adapters.sandbox_main", "--parent", str(os.getpid())]
        return [*launcher, "--pty", *limits, "--", sys.executable, "-I", sandbox_pty.__file__, str(run_play)]


def _environment(work: Path) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "HOME": str(work),
        "TMPDIR": str(work / "tmp"),
    }


def _document(spec: PlaySpec, work: Path) -> bytes:
    document: Mapping[str, Any] = {
        "project_dir": spec.project_dir,
        "playbook": spec.playbook,
        "extra_vars": dict(spec.extra_vars),
        "secret_vars": dict(spec.secret_vars),
        "trusted_vars": dict(spec.trusted_vars),
        "check": spec.check,
        "diff": spec.diff,
        "tags": list(spec.tags),
        "skip_tags": list(spec.skip_tags),
        "limit": spec.limit,
        "verbosity": spec.verbosity,
        "timeout_s": spec.timeout_s,
        "connection": {"type": "myx", "socket": str(work / "link"), "plugin_dir": str(_PLUGINS)},
        "python_interpreter": spec.python_interpreter or None,
        "work_dir": str(work / "play"),
        "events_path": str(work / "events"),
    }
    return json.dumps(document).encode()
