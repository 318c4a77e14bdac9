"""What may be asked of run_play.py, and what is refused before anything starts."""

import fcntl
import json
import os
import tempfile
from pathlib import Path

import pytest
import yaml
from myx_play import document as documents
from myx_play import variables, workspace


@pytest.fixture
def project(tmp_path):
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "site.yml").write_text("[]")
    (tmp_path / "secret.yml").write_text("[]")
    return tmp_path


def parse(project, **changes):
    raw = {"project_dir": str(project), "playbook": "site.yml"} | changes
    return documents.parse(json.dumps(raw))


def refusal(project, **changes):
    with pytest.raises(documents.Refused) as caught:
        parse(project, **changes)
    return caught.value


def test_the_defaults_run_locally_without_limits(project):
    document = parse(project)
    assert document.connection.type == "local"
    assert (document.check, document.diff, document.tags, document.limit, document.timeout_s) == (
        False,
        False,
        (),
        "",
        0,
    )


@pytest.mark.parametrize(
    "name",
    [
        "ansible_connection",
        "ansible_python_interpreter",
        "hostvars",
        "groups",
        "omit",
        "vars",
        "a-b",
        "1a",
        "",
        "class",
        "é",
    ],
)
def test_names_that_steer_ansible_or_are_none_are_refused(project, name):
    for group in ("extra_vars", "secret_vars"):
        assert refusal(project, **{group: {name: "x"}}).code == 64
    if name.startswith("ansible_"):
        assert name in parse(project, trusted_vars={name: "x"}).trusted_vars


def test_a_variable_is_given_once(project):
    assert "given twice" in str(refusal(project, extra_vars={"a": 1}, secret_vars={"a": 2}))
    assert "given twice" in str(refusal(project, extra_vars={"a": 1}, trusted_vars={"a": 2}))


@pytest.mark.parametrize(
    "name", ["../secret.yml", "/etc/passwd.yml", "-e.yml", "site.txt", "", "a\0.yml", "x/../../secret.yml"]
)
def test_a_playbook_outside_of_the_folder_is_refused(project, name):
    assert refusal(project, playbook=name).code == 64


def test_a_link_that_leads_out_is_refused(project):
    (project / "playbooks" / "link.yml").symlink_to(project / "secret.yml")
    assert refusal(project, playbook="link.yml").code == 64


def test_a_playbook_that_is_not_there_has_its_own_code(project):
    assert refusal(project, playbook="other.yml").code == 65


@pytest.mark.parametrize(
    "changes",
    [
        {"limit": "@/etc/shadow"}, {"limit": "a,@/etc/shadow"}, {"limit": "-x"}, {"limit": "a\nb"},
        {"tags": ["-x"]}, {"tags": ["a,b"]}, {"tags": "a"}, {"check": 1}, {"verbosity": True}, {"work_dir": "relative"},
        {"events_path": "x"}, {"extra_vars": []},
        {"connection": {"type": "ssh"}}, {"connection": {"type": "myx"}}, {"connection": "local"}, {"surprise": 1},
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused(project, changes):
    assert refusal(project, **changes).code == 64


def test_what_is_no_object_is_refused():
    for text in ("", "[]", "1", "{"):
        with pytest.raises(documents.Refused):
            documents.parse(text)


class Unsafe(str):
    __slots__ = ()


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!unsafe", lambda loader, node: Unsafe(loader.construct_scalar(node)))

NASTY = [
    "{{ 1 }}",
    "a\nb",
    'q"uote',
    "it's",
    "\u2028",
    "😀",
    "\t",
    "# no comment",
    "yes",
    "!tag",
    "&a",
    "\x01",
    "a: b",
    "%",
    "@",
]


def test_every_string_of_a_user_is_marked_as_data_and_arrives_unchanged(project):
    document = parse(
        project,
        extra_vars={"a": {"k {{ 2 }}": NASTY}, "n": 1},
        secret_vars={"s": NASTY[0]},
        trusted_vars={"t": "{{ n }}"},
    )
    read = yaml.load(variables.write(document), Loader)
    assert read["a"] == {"k {{ 2 }}": NASTY}
    assert all(isinstance(text, Unsafe) for text in [*read["a"]["k {{ 2 }}"], read["s"]])
    assert read["n"] == 1
    assert type(read["t"]) is str


def test_no_variables_are_a_file_too(project):
    assert yaml.safe_load(variables.write(parse(project))) == {}


def test_the_host_is_called_localhost_either_way(project):
    way = {"type": "myx", "socket": "/run/x", "plugin_dir": "/plugins"}
    for connection in ({"type": "local"}, way):
        hosts = json.loads(workspace.inventory(parse(project, connection=connection)))["all"]["hosts"]
        assert list(hosts) == ["localhost"]
        assert hosts["localhost"]["ansible_connection"] == connection["type"]


def test_a_projects_configuration_sets_switches_and_paths_inside_only(project):
    (project / "roles").mkdir()
    (project / "mine").mkdir()
    (project / "ansible.cfg").write_text(
        "[defaults]\nforks = 3\nlibrary = mine:/etc:../x\nconnection_plugins = mine\ncallback_plugins = mine\n"
        "stdout_callback = json\nlog_path = /tmp/x\nvault_password_file = /etc/shadow\n"
        "[privilege_escalation]\nbecome = true\n"
    )
    text = workspace.settings(parse(project))
    assert text == f"[defaults]\nforks = 3\nroles_path = {project}/roles\nlibrary = {project}/mine\n"


def test_a_broken_configuration_is_none(project):
    (project / "ansible.cfg").write_bytes(b"\xff\xfe no ini")
    assert workspace.settings(parse(project)) == "[defaults]\n"


def test_a_workspace_is_private_and_a_dead_ones_is_swept(tmp_path):
    used = workspace.Workspace(str(tmp_path))
    assert used.path.stat().st_mode & 0o777 == 0o700
    assert used.write("a", "x").stat().st_mode & 0o777 == 0o600
    dead = tmp_path / f"{workspace.PREFIX}dead"
    dead.mkdir()
    (dead / "secret").write_text("x")
    workspace.sweep(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [used.path.name]
    used.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sweeper", ["comes and goes", "is at it", "has opened it"])
def test_a_workspace_that_another_play_sweeps_before_it_is_held_is_made_anew(tmp_path, monkeypatch, sweeper):
    make, made, taken = tempfile.mkdtemp, [], []

    def meet_a_sweeper(**where):
        path = make(**where)
        made.append(path)
        if len(made) == 1 and sweeper == "comes and goes":
            workspace.sweep(str(tmp_path))
        elif len(made) == 1 and sweeper == "is at it":
            taken.append(os.open(path, os.O_RDONLY))
            fcntl.flock(taken[0], fcntl.LOCK_EX)
        return path

    def sweep_what_was_opened(fd, how):
        if len(made) == 1 and sweeper == "has opened it":
            Path(made[0]).rmdir()
        fcntl_flock(fd, how)

    fcntl_flock = fcntl.flock
    monkeypatch.setattr(workspace.tempfile, "mkdtemp", meet_a_sweeper)
    monkeypatch.setattr(workspace.fcntl, "flock", sweep_what_was_opened)
    used = workspace.Workspace(str(tmp_path))
    for fd in taken:
        os.close(fd)
    assert str(used.path) == made[1]
    workspace.sweep(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [used.path.name]
    used.remove()
