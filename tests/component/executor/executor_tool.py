"""A deployment tool for tests: the shipped programs with small playbooks of its own."""

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[3] / "playbooks"

PLAYBOOKS = {
    "hello.yml": """
- name: Greet
  hosts: all
  gather_facts: false
  tasks:
    - name: Say hello
      ansible.builtin.debug:
        msg: "hello {{ greeting | default('world') }}"
    - name: Write a file
      ansible.builtin.copy:
        content: "{{ greeting | default('world') }}"
        dest: "{{ target }}"
        mode: "0600"
      when: target is defined
""",
    "fails.yml": """
- name: Break
  hosts: all
  gather_facts: false
  tasks:
    - name: Fail on purpose
      ansible.builtin.fail:
        msg: "broken on purpose"
""",
    "slow.yml": """
- name: Take time
  hosts: all
  gather_facts: false
  tasks:
    - name: Sleep
      ansible.builtin.command: "sleep {{ seconds | default(30) }}"
    - name: Count
      ansible.builtin.shell: "echo run >> {{ counter }}"
      when: counter is defined
""",
}


def make_tool(folder):
    """The folder of a deployment tool."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("scripts", "inventory"):
        if (SHIPPED / name).is_dir():
            shutil.copytree(
                SHIPPED / name, folder / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
            )
    for name in ("VERSION", "ansible.cfg"):
        shutil.copy(SHIPPED / name, folder / name)
    for part in ("playbooks", "roles"):
        (folder / part).mkdir(exist_ok=True)
    for name, text in PLAYBOOKS.items():
        (folder / "playbooks" / name).write_text("---" + text)
    return folder


def project(**playbooks):
    """A pushed project as a gzipped tar; `name="yaml text"` for each playbook."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in playbooks.items():
            data = ("---" + text).encode()
            member = tarfile.TarInfo(f"playbooks/{name}.yml")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def make_bundle(folder):
    """The folder of an agent's bundle that holds nothing for any host; the name of its release."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256().hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"version": "9.0.0", "digest": digest, "files": []}))
    return f"9.0.0-{digest[:12]}"
