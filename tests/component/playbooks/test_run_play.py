"""run_play.py against real Ansible: what it prints, tells, hides and leaves behind."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from myx_testkit.wait import until_sync as until

pytestmark = pytest.mark.skipif(
    not (Path(sys.prefix) / "bin" / "ansible-playbook").exists(), reason="ansible-core is not installed here"
)


def play(*tasks: str, head: str = "") -> str:
    lines = "\n".join(f"    - {task}" for task in tasks)
    return f"- name: Site\n  hosts: all\n  gather_facts: false\n{head}  tasks:\n{lines}\n"


def test_a_play_is_told_task_by_task(project, tmp_path):
    project.play(
        play(
            "{name: Fine, ansible.builtin.command: id -u, changed_when: false}",
            "{name: Change, ansible.builtin.copy: {content: x, dest: '{{ place }}'}}",
            "{name: Not, ansible.builtin.command: 'false', when: false}",
            "{name: Each, ansible.builtin.command: 'echo {{ item }}', loop: [a, b]}",
            "{name: Bad, ansible.builtin.command: 'false', ignore_errors: true}",
        )
    )
    run = project.run(extra_vars={"place": str(tmp_path / "made")})
    assert run.code == 0, run.out
    statuses = {event["task"]: event["status"] for event in run.of("task_result") if "item" not in event}
    assert statuses == {"Fine": "ok", "Change": "changed", "Not": "skipped", "Each": "changed", "Bad": "failed"}
    assert [event["item"] for event in run.of("task_result") if "item" in event] == ["a", "b"]
    assert [event["ignored"] for event in run.of("task_result") if event["task"] == "Bad"] == [True]
    assert [event["task"] for event in run.of("task_started")] == list(statuses)
    assert [event["seq"] for event in run.events] == list(range(1, len(run.events) + 1))
    recap = run.events[-1]
    assert recap["hosts"] == {
        "localhost": {"ok": 4, "changed": 3, "failed": 0, "skipped": 1, "unreachable": 0, "rescued": 0, "ignored": 1}
    }
    assert recap["rc"] == 0
    assert "PLAY RECAP" in run.out
    assert "\x1b" not in run.out
    assert "\r" not in run.out
    assert not project.left_behind()


def test_a_variable_of_a_user_is_never_a_template(project, tmp_path):
    trap = tmp_path / "trap"
    bad = f"{{{{ lookup('pipe', 'touch {trap}') }}}}"
    project.play(play("{name: 'Say {{ a }}', ansible.builtin.debug: {msg: '{{ a }} {{ b.c[0] }} {{ d }}'}}"))
    run = project.run(extra_vars={"a": bad, "b": {"c": [bad]}}, secret_vars={"d": "secret " + bad})
    assert run.code == 0, run.out
    assert f"{bad} {bad} ********" in next(event["message"] for event in run.of("task_result"))
    assert not trap.exists()


def test_trusted_variables_may_be_templates(project):
    project.play(play("{ansible.builtin.debug: {msg: '{{ a }}'}}"))
    assert project.run(trusted_vars={"a": "{{ 40 + 2 }}"}).of("task_result")[0]["message"] == "42"


def test_secrets_are_seen_nowhere(project):
    secret = 'tig"ër-cat {{ x }}'
    project.play(
        play(
            "{name: 'Task {{ s }}', ansible.builtin.debug: {msg: '{{ s }} {{ s | b64encode }}', verbosity: 0}}",
            "{ansible.builtin.command: {argv: [echo, '{{ s }}']}}",
            "{ansible.builtin.command: {argv: ['false', '{{ s }}']}}",
        )
    )
    run = project.run(secret_vars={"s": secret}, verbosity=4, diff=True)
    assert run.code == 2
    text = run.out + run.err + project.events_path.read_text()
    assert not re.search("tig|r-cat", text)
    assert "********" in run.out
    assert not project.left_behind()


def arguments(process: psutil.Process) -> list[str]:
    """None of one that has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_secrets_are_in_no_argument_and_their_file_is_gone_while_the_play_runs(project, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    project.play(play("{ansible.builtin.command: 'cat {{ gate }}'}"))
    process = project.start(secret_vars={"gate": str(gate), "s": "the-secret-word"})
    try:
        tree = [psutil.Process(process.pid)]

        def waits() -> bool:
            tree[:] = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            return any("cat" in arguments(item)[:1] for item in tree)

        until(waits, timeout_s=60)
        assert not any("the-secret-word" in " ".join(arguments(item)) for item in tree)
        files = [path for path in project.work.rglob("*") if path.is_file() and path.name != "command"]
        assert not [path for path in files if b"the-secret-word" in path.read_bytes()]
        assert not [path for path in project.work.iterdir() if path.stat().st_mode & 0o077]
    finally:
        gate.open("w").close()
    assert project.finish(process).code == 0


def test_output_and_events_are_there_as_they_happen(project, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    project.play(
        play(
            "{name: One, ansible.builtin.debug: {msg: first words}}",
            f"{{name: Two, ansible.builtin.command: cat {gate}}}",
        )
    )
    process = project.start()
    assert process.stdout is not None
    seen = ""
    while "first words" not in seen or "TASK [Two]" not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    assert '"task": "One", "host"' in project.events_path.read_text()
    gate.open("w").close()
    run = project.finish(process, seen)
    assert run.status("Two") == "changed"


def test_check_mode_changes_nothing_and_diff_shows_what_would(project, tmp_path):
    place = tmp_path / "made"
    project.play(play(f"{{name: Copy, ansible.builtin.copy: {{content: 'new text', dest: {place}}}}}"))
    run = project.run(check=True, diff=True)
    assert (run.code, run.status("Copy")) == (0, "changed")
    assert "+new text" in run.out
    assert not place.exists()


def test_tags_and_limit_choose(project):
    project.play(
        play(
            "{name: A, ansible.builtin.debug: {msg: a}, tags: [a]}",
            "{name: B, ansible.builtin.debug: {msg: b}, tags: [b]}",
        )
    )
    assert [event["task"] for event in project.run(tags=["a"]).of("task_result")] == ["A"]
    assert [event["task"] for event in project.run(skip_tags=["a"]).of("task_result")] == ["B"]
    nobody = project.run(limit="web*")
    assert nobody.code != 0
    assert not nobody.of("task_result")


@pytest.mark.parametrize("delegate", ["localhost", "127.0.0.1", "elsewhere"])
def test_every_task_goes_by_the_given_connection(project, tmp_path, delegate):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "myx.py").write_text(PLUGIN)
    project.play(
        "- hosts: all\n  connection: local\n  gather_facts: false\n  tasks:\n"
        "    - ansible.builtin.add_host: {name: elsewhere, ansible_connection: local}\n"
        f"    - {{name: Go, ansible.builtin.command: id, delegate_to: {delegate}}}\n"
    )
    log = tmp_path / "log"
    way = {"type": "myx", "socket": str(log), "plugin_dir": str(plugins)}
    run = project.run(connection=way, python_interpreter=sys.executable)
    assert run.code == 0, run.out
    assert "by myx" in log.read_text()


PLUGIN = '''
DOCUMENTATION = """
name: myx
short_description: a stand-in
description: a stand-in
author: a test
options:
  socket:
    description: where
    vars: [{name: ansible_myx_socket}]
"""
from ansible.plugins.connection.local import Connection as Local

class Connection(Local):
    transport = "myx"

    def exec_command(self, *args, **kwargs):
        with open(self.get_option("socket"), "a") as file:
            file.write("by myx\\n")
        return super().exec_command(*args, **kwargs)
'''


def test_an_unreachable_host_has_its_own_code(project, tmp_path):
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "myx.py").write_text(
        PLUGIN.replace(
            "with open",
            "from ansible.errors import AnsibleConnectionFailure as Gone\n"
            "        raise Gone('gone')\n        with open",
        )
    )
    project.play(play("{name: Go, ansible.builtin.command: id}"))
    run = project.run(connection={"type": "myx", "socket": "/nowhere", "plugin_dir": str(plugins)})
    assert (run.code, run.status("Go")) == (4, "unreachable")
    assert "gone" in run.of("task_result")[0]["message"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (play("{ansible.builtin.command: 'false'}"), 2),
        ("- hosts: all\n  tasks: [{nonsense_module: {}}]\n", 2),
        ("this is: [no play", 2),
        (play("{ansible.builtin.command: 'true'}"), 0),
    ],
)
def test_exit_codes_of_plays(project, text, code):
    project.play(text)
    run = project.run()
    assert run.code == code
    assert run.events[-1]["type"] == "recap"
    assert run.events[-1]["rc"] == code
    assert not project.left_behind()


def test_refusals_have_codes_and_one_line(project):
    project.play(play("{ansible.builtin.command: 'true'}"))
    assert project.run(playbook="none.yml").code == 65
    run = project.run(extra_vars={"ansible_connection": "local"})
    assert (run.code, run.err.count("\n"), run.out) == (64, 1, "")
    assert project.run(python=("-S",)).code == 69


def is_alive(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_term_ends_the_play_with_all_its_children_and_leaves_nothing(project, tmp_path):
    flag = tmp_path / "flag"
    script = f"trap '' TERM; touch {flag}; setsid sh -c \"trap '' TERM; sleep 1000.25\" & sleep 1000.25"
    project.play(play("{name: Nap, ansible.builtin.shell: '{{ script }}'}"))
    process = project.start(extra_vars={"script": script}, secret_vars={"s": "secret-word"})
    until(flag.exists, timeout_s=60)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    until(lambda: not is_alive(children[0]), timeout_s=60)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)  # how long it may take is up to whoever sent TERM: now the grace is over
    run = project.finish(process)
    assert run.code == 143
    assert not [child for child in children if is_alive(child)]
    assert not subprocess.run(["pgrep", "-f", "sleep 1000.25"], capture_output=True, check=False).stdout
    assert run.events[-1]["rc"] == 143
    assert not project.left_behind()


def test_what_takes_its_time_to_clean_up_after_term_is_not_killed_by_the_play(project, tmp_path):
    began, cleaned = tmp_path / "began", tmp_path / "cleaned"
    # Deaf from then on, with what it starts: Ansible's own processes pass on TERM once more.
    clean = f"trap '' TERM; sleep 7; touch {cleaned}; exit"
    script = f'exec 2>/dev/null; trap "{clean}" TERM; touch {began}; while :; do sleep 0.1; done'
    project.play(play("{name: Nap, ansible.builtin.shell: '{{ script }}'}"))
    process = project.start(extra_vars={"script": script})
    until(began.exists, timeout_s=60)
    process.send_signal(signal.SIGTERM)
    assert project.finish(process).code == 143
    assert cleaned.exists()
    assert not project.left_behind()


def test_a_time_limit_ends_the_play(project):
    project.play(play("{name: Nap, ansible.builtin.command: sleep 1000}"))
    run = project.run(timeout_s=3)
    assert run.code == 124
    assert "time limit" in run.out
    assert not project.left_behind()


def test_what_a_killed_play_left_is_swept_by_the_next(project, tmp_path):
    flag = tmp_path / "flag"
    project.play(play(f"{{ansible.builtin.shell: touch {flag}; sleep 1000}}"))
    process = project.start()
    until(flag.exists, timeout_s=60)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in children:
        if child.is_running():
            child.kill()
    project.finish(process)
    assert project.left_behind()
    project.play(play("{ansible.builtin.command: 'true'}"))
    assert project.run().code == 0
    assert not project.left_behind()


def test_a_project_brings_roles_and_modules_and_no_other_settings(project):
    role = project.folder / "roles" / "greet" / "tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text("- {name: Hello, ansible.builtin.debug: {msg: from the role}}\n")
    (project.folder / "ansible.cfg").write_text(
        "[defaults]\nstdout_callback = json\ncallback_plugins = /etc\nlog_path = /tmp/no\n"
    )
    project.play("- hosts: all\n  gather_facts: false\n  roles: [greet]\n")
    run = project.run()
    assert run.code == 0, run.out
    assert run.of("task_result")[0] | {"role": "greet", "message": "from the role"} == run.of("task_result")[0]
