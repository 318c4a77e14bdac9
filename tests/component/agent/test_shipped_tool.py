"""A play by the tool that is shipped, with the Ansible of this environment."""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

pytest.importorskip("ansible_runner")
TOOL = Path(__file__).resolve().parents[3] / "playbooks"
PLAY = """
- name: try
  hosts: all
  gather_facts: false
  tasks:
    - name: write it
      copy: {content: "{{ greeting }} {{ password }}", dest: "{{ place }}", mode: "600"}
    - name: tell it
      debug: {msg: "{{ greeting }} {{ password }}"}
"""


@pytest.fixture
async def installed(own_agent, tools):
    """An agent that has the shipped tool, a project, and this environment's Ansible."""
    folder = Path(own_agent.configuration["ansible_dir"])
    folder.mkdir()
    (folder / "current").symlink_to(sys.prefix)
    own_agent.start()
    async with tools.calling(own_agent) as own:
        shipped, project = io.BytesIO(), io.BytesIO()
        with tarfile.open(fileobj=shipped, mode="w:gz") as tar:
            tar.add(TOOL, ".", filter=lambda info: None if "__pycache__" in info.name else info)
        with tarfile.open(fileobj=project, mode="w:gz") as tar:
            info = tarfile.TarInfo("playbooks/try.yml")
            info.size = len(PLAY)
            tar.addfile(info, io.BytesIO(PLAY.encode()))
        for path, file in (("myx", shipped), ("projects/mine", project)):
            data = file.getvalue()
            digest = hashlib.sha256(data).hexdigest()
            await own("put_file", upload_id=digest, root="deployment-tool", path=path, extract=True, final=True,
                      size=len(data), sha256=digest, data=tools.b64(data))  # fmt: skip
        yield own


async def test_a_play_runs_with_its_log_its_progress_and_its_recap(installed, tmp_path):
    place = tmp_path / "place"
    await installed(
        "execute_ansible", command_id="play", playbook="try.yml", project="mine",
        extra_vars={"greeting": "{{ 7 * 7 }}", "place": str(place)}, secret_vars={"password": "hunter2-hunter2"},
    )  # fmt: skip
    log = await installed.follow("play")
    answer = await installed("get_playbook_events", command_id="play")

    assert (log.result["success"], log.result["tree_gone"]) == (True, True), log.text
    assert place.read_text() == "{{ 7 * 7 }} hunter2-hunter2"
    assert log.result["recap"]["localhost"]["changed"] == 1
    assert answer["is_final"]
    assert [event["type"] for event in answer["events"]] == [
        "play_started", "task_started", "task_result", "task_started", "task_result", "recap",
    ]  # fmt: skip
    assert b"write it" in log.stdout
    assert b"hunter2" not in log.text + json.dumps(answer).encode()
    assert (await installed("get_status"))["ansible"]["version"]


async def test_a_play_that_cannot_be_run_is_a_command_that_failed(installed):
    await installed("execute_ansible", command_id="bad", playbook="try.yml", project="mine",
                    extra_vars={"ansible_connection": "ssh"})  # fmt: skip
    result = (await installed.follow("bad")).result

    assert (result["success"], result["return_code"]) == (False, 64)
    assert "recap" not in result
