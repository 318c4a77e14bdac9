"""A play by the tool that is shipped, with the Ansible of this environment."""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from myx_testkit.wait import until

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
NAP = """
- hosts: all
  gather_facts: false
  tasks:
    - shell: "{{ script }}"
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
            for name, text in (("try", PLAY), ("nap", NAP)):
                info = tarfile.TarInfo(f"playbooks/{name}.yml")
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
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


async def test_a_cancelled_play_has_the_whole_grace_to_clean_up(installed, tmp_path):
    began, cleaned = tmp_path / "began", tmp_path / "cleaned"
    # Deaf from then on, with what it starts: Ansible's own processes pass on TERM once more.
    clean = f"trap '' TERM; sleep 7; touch {cleaned}; exit"
    script = f'exec 2>/dev/null; trap "{clean}" TERM; touch {began}; while :; do sleep 0.1; done'
    await installed("execute_ansible", command_id="nap", playbook="nap.yml", project="mine",
                    extra_vars={"script": script})  # fmt: skip
    await until(began.exists, 60)
    await installed("cancel_command", command_id="nap", grace=60)
    result = (await installed.follow("nap")).result

    assert (result["reason"], cleaned.exists()) == ("cancelled", True)


async def test_what_heeds_no_cancel_is_gone_when_its_grace_is_over(installed, tools, tmp_path):
    pid = tmp_path / "pid"
    script = f"trap '' TERM; echo $$ > {pid}.new; mv {pid}.new {pid}; while :; do sleep 1; done"
    await installed("execute_ansible", command_id="nap", playbook="nap.yml", project="mine",
                    extra_vars={"script": script})  # fmt: skip
    await until(pid.exists, 60)
    await installed("cancel_command", command_id="nap", grace=1)
    result = (await installed.follow("nap")).result

    assert result["reason"] == "cancelled"
    assert not tools.is_alive(int(pid.read_text()))
