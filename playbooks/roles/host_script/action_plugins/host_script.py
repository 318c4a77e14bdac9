"""Run one of the tool's scripts on the managed host, by whatever way Ansible reaches it, in one round trip.

The script and its neighbours travel on stdin together with the variables: nothing is written on the host, and
nothing stands in argv.

    - host_script:
        script: deploy_caddy      a module of scripts/ with main(document) -> exit code
        prefix: caddy_            every variable of the play with this prefix goes to the script, without the prefix
        options: {}               further keys of the document
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

BOOTSTRAP = """
import importlib, importlib.abc, importlib.util, json, sys
sent = json.loads(sys.stdin.buffer.read())
class Sent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_loader(name, self) if name in sent["modules"] else None
    def exec_module(self, module):
        exec(compile(sent["modules"][module.__name__], module.__name__ + ".py", "exec"), module.__dict__)
sys.meta_path.insert(0, Sent())
module = importlib.import_module(sent["main"])
sys.exit(module.main(sent["document"]))
"""
MAX_FILE_BYTES = 4 * 1024 * 1024


class ActionModule(ActionBase):
    """The action `host_script`."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True
    _VALID_ARGS = frozenset(("script", "prefix", "options"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        script = str(self._task.args["script"])
        document = self._document(variables)
        program = {"modules": modules(self._scripts(), script), "main": script, "document": document}
        answer = self._on_host(json.dumps(program), variables)
        result["msg"] = answer.pop("message", "")
        result.update(answer)
        return result

    def _scripts(self) -> Path:
        return Path(__file__).resolve().parents[3] / "scripts"

    def _document(self, variables: dict[str, Any]) -> dict[str, Any]:
        prefix = str(self._task.args["prefix"])
        chosen = {
            name[len(prefix) :]: plain(self._templar.template(value))
            for name, value in variables.items()
            if name.startswith(prefix)
        }
        artifact = plain(self._templar.template(variables.get("artifact_path")))
        if artifact and not chosen.get("artifact_path"):
            chosen["artifact_path"] = artifact
        files = {}
        if chosen.get("config_file"):
            files["config_file"] = project_file(variables, str(chosen["config_file"]), f"{prefix}config_file")
        options = plain(self._task.args.get("options") or {})
        check, diff = bool(self._task.check_mode), bool(self._task.diff)
        return {**options, "variables": chosen, "files": files, "check": check, "diff": diff}

    def _on_host(self, program: str, variables: dict[str, Any]) -> dict[str, Any]:
        python = str(variables.get("ansible_python_interpreter") or "")
        python = python if python.startswith("/") else "python3"
        command = f"{shlex.quote(python)} -c {shlex.quote(BOOTSTRAP)}"
        done = self._low_level_execute_command(command, sudoable=True, in_data=program.encode())
        lines = [line for line in str(done.get("stdout") or "").splitlines() if line.startswith("{")]
        try:
            answer = json.loads(lines[-1])
        except (IndexError, ValueError):
            words = (str(done.get("stderr") or "") + str(done.get("stdout") or "")).strip()[-2000:]
            answer = {"failed": True, "changed": False, "message": f"the script ended with {done.get('rc')}: {words}"}
        return answer if isinstance(answer, dict) else {"failed": True, "message": "the script gave no answer"}


def plain(value: Any) -> Any:
    """The value as JSON has it, without Ansible's own types."""
    return json.loads(json.dumps(value, default=str))


def project_file(variables: dict[str, Any], name: str, variable: str) -> str:
    """The text of a file of the play's project; nothing outside of the project is ever read."""
    project = Path(str(variables["playbook_dir"])).resolve().parent
    path = (project / name).resolve()
    if Path(name).is_absolute() or not path.is_relative_to(project):
        raise AnsibleActionFail(f"{variable} must be a path within the project, relative to its folder, not {name!r}")
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise AnsibleActionFail(f"{variable}: the project has no file {name!r} of at most 4 MB")
    return path.read_text(encoding="utf-8")


def modules(folder: Path, first: str) -> dict[str, str]:
    """{module: source} of a script and of every neighbour that it imports."""
    found: dict[str, str] = {}
    wanted = [first]
    while wanted:
        name = wanted.pop()
        path = folder / f"{name}.py"
        if name in found or not path.is_file():
            continue
        found[name] = path.read_text(encoding="utf-8")
        wanted += re.findall(r"^(?:from|import) (\w+)", found[name], re.MULTILINE)
    if first not in found:
        raise AnsibleActionFail(f"the tool has no script {first}")
    return found
