#!/usr/bin/env python3
"""Run one play: a JSON document on stdin, Ansible's output on stdout as it is written, events in a file beside it.

Exit codes: 0 done, 2 a task failed, 4 host unreachable, 64 bad document, 65 no such playbook, 69 no Ansible here,
124 time limit, 128 + n ended by signal n.
"""

import contextlib
import json
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from myx_play import document as documents  # noqa: E402 - found by the line above
from myx_play import processes, variables, workspace  # noqa: E402
from myx_play.document import Document, Refused  # noqa: E402
from myx_play.events import EventFile, Progress  # noqa: E402
from myx_play.masking import Masker  # noqa: E402

EXIT_NO_ANSIBLE = 69
_POLL_S = 1
# Where Ansible looks for a Python on a host over SSH: as ever, and at the one that MyX brought before one that is older
# than all that have a name of their own here.
_PYTHONS = [*(f"python3.{minor}" for minor in range(13, 7, -1)), "/opt/myx-agent/python/current/bin/python3"]
_PYTHONS += ["/usr/bin/python3", "python3"]


def main() -> int:
    try:
        document = documents.parse(sys.stdin.buffer.read().decode("utf-8", errors="surrogateescape"))
    except Refused as refused:
        return _fail(str(refused), refused.code)
    try:
        import ansible_runner  # noqa: PLC0415 - its absence is an answer, not a crash
    except ImportError:
        return _fail("ansible-runner is not installed here", EXIT_NO_ANSIBLE)
    if shutil.which("ansible-playbook", path=_programs()) is None:
        return _fail("ansible-playbook is not installed here", EXIT_NO_ANSIBLE)
    masker = Masker([document.secret_vars])
    try:
        workspace.sweep(document.work_dir)
        folder = workspace.Workspace(document.work_dir)
        progress = Progress(EventFile(document.events_path, masker), masker)
    except OSError as error:
        return _fail(f"cannot prepare the play: {error}", 1)
    return _play(ansible_runner, document, folder, progress, masker)


def _play(runner: Any, document: Document, folder: workspace.Workspace, progress: Progress, masker: Masker) -> int:
    processes.adopt_orphans()
    for name in [name for name in os.environ if name.startswith(("ANSIBLE_", "AWX_", "PYTHON"))]:
        del os.environ[name]  # what steers Ansible stands in the document
    stop = processes.Stop()
    stop.start(document.timeout_s)
    code = 2
    try:
        secrets = folder.write("variables.yml", variables.write(document))
        arguments = _arguments(document, folder, secrets)
        folder.write("runner/env/settings", json.dumps({"pexpect_timeout": _POLL_S, "suppress_output_file": True}))

        def on_event(event: dict[str, Any]) -> bool:
            if event.get("event") == "playbook_on_play_start":  # the variables have been read
                secrets.unlink(missing_ok=True)
            progress.take(event)
            _print(event, masker)
            return False

        if not stop.exit_code:
            done = runner.run(
                private_data_dir=str(folder.path / "runner"),
                project_dir=str(document.project_dir),
                playbook=str(document.playbook),
                inventory=str(folder.write("inventory.json", workspace.inventory(document))),
                cmdline=shlex.join(arguments),
                envvars=_environment(document, folder),
                event_handler=on_event,
                cancel_callback=lambda: bool(stop.exit_code),
                fact_cache_type="memory",
                suppress_env_files=True,
                quiet=True,
            )
            code = progress.exit_code(done.rc if isinstance(done.rc, int) else 2)
    finally:
        stop.end(folder.remove)
        code = stop.exit_code or code
        if stop.reason:
            _say(f"\n{stop.reason}")
        progress.finish(code)
    return code


def _arguments(document: Document, folder: workspace.Workspace, secrets: Path) -> list[str]:
    ways = folder.write("way.json", json.dumps(_way(document)))
    arguments = ["-e", f"@{secrets}", "-e", f"@{ways}"]
    arguments += ["--check"] * document.check + ["--diff"] * document.diff
    arguments += [f"--tags={','.join(document.tags)}"] if document.tags else []
    arguments += [f"--skip-tags={','.join(document.skip_tags)}"] if document.skip_tags else []
    arguments += [f"--limit={document.limit}"] if document.limit else []
    arguments += ["-" + "v" * document.verbosity] if document.verbosity else []
    return arguments


def _way(document: Document) -> dict[str, Any]:
    """How every host is reached, above all that a play says: with "myx" also one that a play invents."""
    way: dict[str, Any] = {}
    if document.connection.type == "myx":
        way |= {"ansible_connection": "myx", "ansible_myx_socket": document.connection.socket}
        way["ansible_interpreter_python_fallback"] = _PYTHONS
    if document.python_interpreter or document.connection.type == "local":
        way["ansible_python_interpreter"] = document.python_interpreter or sys.executable
    return way


def _environment(document: Document, folder: workspace.Workspace) -> dict[str, str]:
    path = str(folder.path)
    environment = {
        "PATH": _programs(),
        "HOME": os.environ.get("HOME") or path,
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(folder.write("ansible.cfg", workspace.settings(document))),
        "ANSIBLE_HOME": f"{path}/home",
        "ANSIBLE_LOCAL_TEMP": f"{path}/local",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_CACHE_PLUGIN": "memory",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    environment |= {"ANSIBLE_FORCE_COLOR": "1"} if os.environ.get("FORCE_COLOR") else {"ANSIBLE_NOCOLOR": "1"}
    if document.connection.type == "myx":
        environment["ANSIBLE_CONNECTION_PLUGINS"] = document.connection.plugin_dir
    return environment


def _programs() -> str:
    """PATH with this interpreter's own folder first, past any link that may be switched meanwhile."""
    own = str(Path(sys.prefix).resolve() / "bin")
    path = os.environ.get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return ":".join(dict.fromkeys([own, str(Path(sys.executable).parent), *path.split(":")]))


def _print(event: dict[str, Any], masker: Masker) -> None:
    text = event.get("stdout")
    if text or (event.get("event") == "verbose" and text is not None):
        _say(masker.text(text.replace("\r\n", "\n")))


def _say(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"run_play: {message}\n")
    return code


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
