"""Whoever writes a playbook reaches his host and nothing of the control plane's."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from test_plays import RUN_PLAY, collect, write_project

from myx_executor.adapters import sandbox
from myx_executor.adapters.ansible import PlayOverSsh
from myx_executor.domain.ssh import PlaySpec
from myx_kit.errors import FailedPrecondition
from myx_testkit.wait import until

pytestmark = pytest.mark.skipif(not sandbox.available(), reason="needs Landlock")

# Run by plug-ins inside the play's process: tries everything, tells what worked.
ATTACK = """
import ctypes, fcntl, glob, os, resource, signal, socket, subprocess, sys

def state(path):
    found = os.stat(path)
    return found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime_ns, found.st_ctime_ns

def attack(planted, port, victim):
    won = []
    def attempt(name, call):
        try:
            result = call()
        except BaseException as error:
            won.append(f"lost {name}: {type(error).__name__}")
        else:
            won.append(f"WON {name}: {result!r}"[:200])
    for path in [*planted, "/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/root/.bashrc", "/dev/mem", "/dev/vda"]:
        attempt(f"read {path}", lambda: open(path, "rb").read(10))
        attempt(f"cat {path}", lambda: subprocess.run(["cat", path], check=True, capture_output=True).stdout)
        attempt(f"list {os.path.dirname(path)}", lambda: os.listdir(os.path.dirname(path)))
        attempt(f"write {path}", lambda: open(path, "ab").write(b"x"))
        attempt(f"empty {path}", lambda: os.open(path, os.O_RDONLY | os.O_TRUNC))
        attempt(f"open for nothing {path}", lambda: os.open(path, 3))
        attempt(f"link {path}", lambda: os.link(path, "stolen"))
        attempt(f"rename {path}", lambda: os.rename(path, "stolen"))
    for pid in {victim, 1}:
        for name in ("environ", "mem", "maps", "cmdline", "stat", "auxv"):
            attempt(f"proc {name}", lambda: open(f"/proc/{pid}/{name}", "rb").read(1))
        for name in ("root", "cwd"):
            attempt(f"proc {name}", lambda: os.listdir(f"/proc/{pid}/{name}"))
        for name in ("fd/0", "fd/1", "exe", "cwd"):
            attempt(f"link {name}", lambda: os.readlink(f"/proc/{pid}/{name}"))
            attempt(f"proc {name}", lambda: open(f"/proc/{pid}/{name}", "rb"))
    for pid in {victim, 1}:
        attempt(f"signal {pid}", lambda: os.kill(pid, 0))
        attempt(f"stop {pid}", lambda: os.kill(pid, signal.SIGCONT))
    libc = ctypes.CDLL(None, use_errno=True)
    def call(*arguments):
        if libc.syscall(*arguments) < 0:
            raise OSError(ctypes.get_errno(), "refused")
    x86 = os.uname().machine == "x86_64"
    for name, numbers in {
        "ptrace": (101 if x86 else 117, 16, victim, 0, 0),
        "process_vm_readv": (310 if x86 else 270, victim, 0, 0, 0, 0, 0),
        "pidfd_getfd": (438, 0, 0, 0),
        "io_uring_setup": (425, 1, 0),
        "keyctl": (250 if x86 else 219, 0, -3, 0),
        "unshare": (272 if x86 else 97, 0x10000000),
        "mount": (165 if x86 else 40, 0, 0, 0, 0, 0),
        "setns": (308 if x86 else 268, 0, 0),
        "bpf": (321 if x86 else 280, 0, 0, 0),
    }.items():
        attempt(f"syscall {name}", lambda: call(*numbers))
    def changed(path, call):
        before = state(path)
        call()
        if state(path) == before:
            raise OSError("nothing changed")
    for path in [*planted, __file__]:
        name = path.encode()
        for way, numbers in {
            "chmod": (90 if x86 else -1, name, 0o666),
            "fchmodat": (268 if x86 else 53, -100, name, 0o666),
            "fchmodat2": (452, -100, name, 0o666, 0),
            "chown": (92 if x86 else -1, name, os.getuid(), os.getgid()),
            "lchown": (94 if x86 else -1, name, os.getuid(), os.getgid()),
            "fchownat": (260 if x86 else 54, -100, name, os.getuid(), os.getgid(), 0),
            "utime": (132 if x86 else -1, name, None),
            "utimes": (235 if x86 else -1, name, None),
            "futimesat": (261 if x86 else -1, -100, name, None),
            "utimensat": (280 if x86 else 88, -100, name, None, 0),
            "setxattr": (188 if x86 else 5, name, b"user.myx", b"x", 1, 0),
            "lsetxattr": (189 if x86 else 6, name, b"user.myx", b"x", 1, 0),
            "setxattrat": (463, -100, name, 0, b"user.myx", (ctypes.c_uint64 * 2)(), 16),
            "file_setattr": (469, -100, name, (ctypes.c_uint64 * 3)(), 24, 0),
            "truncate": (76 if x86 else 45, name, 1),
        }.items():
            attempt(f"{way} {path}", lambda: changed(path, lambda: call(*numbers)))
        attempt(f"empty {path}", lambda: os.open(path, os.O_RDONLY | os.O_TRUNC))
        for command in (["chmod", "666"], ["touch"], ["chown", str(os.getuid())], ["truncate", "-s", "1"]):
            attempt(f"{command[0]} {path}", lambda: changed(path, lambda: subprocess.run([*command, path], check=True)))
    with open(__file__) as file:
        for way, change in {
            "fchmod": lambda: os.fchmod(file.fileno(), 0o666),
            "fchown": lambda: os.fchown(file.fileno(), os.getuid(), os.getgid()),
            "futimens": lambda: os.utime(file.fileno()),
            "fsetxattr": lambda: os.setxattr(file.fileno(), "user.myx", b"x"),
            "by proc": lambda: os.chmod(f"/proc/self/fd/{file.fileno()}", 0o666),
            "flags": lambda: fcntl.ioctl(file, 0x40086602, (0x40).to_bytes(8, sys.byteorder)),
        }.items():
            attempt(way, lambda: changed(__file__, change))
    for pid in {victim, 1, os.getppid()}:
        attempt(f"limits {pid}", lambda: resource.prlimit(pid, resource.RLIMIT_CPU))
        attempt(f"prlimit {pid}", lambda: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0)))
        attempt(f"affinity {pid}", lambda: os.sched_setaffinity(pid, {0}))
        attempt(f"scheduler {pid}", lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
        attempt(f"priority {pid}", lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
        attempt(f"io priority {pid}", lambda: call(251 if x86 else 30, 1, pid, 3 << 13))
    attempt("priority of all", lambda: os.setpriority(os.PRIO_USER, 0, 19))
    for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM),
                         (socket.AF_INET6, socket.SOCK_STREAM), (socket.AF_UNIX, socket.SOCK_STREAM),
                         (socket.AF_NETLINK, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW)):
        attempt(f"socket {family} {kind}", lambda: socket.socket(family, kind))
    attempt("connect", lambda: socket.create_connection(("127.0.0.1", port), 2))
    attempt("datagram pair", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
    def run(*argv):
        return subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
    attempt("bash tcp", lambda: run("bash", "-c", f"echo x >/dev/tcp/127.0.0.1/{port}"))
    attempt("sudo", lambda: run("sudo", "-n", "id"))
    attempt("su", lambda: run("su", "-c", "id"))
    attempt("setuid", lambda: os.setuid(65534 if os.getuid() == 0 else 0))
    attempt("chown", lambda: os.chown(".", 1, 1))
    attempt("terminals", lambda: os.listdir("/dev/pts"))
    attempt("terminal", lambda: os.open("/dev/ptmx", os.O_RDWR))
    attempt("tty", lambda: [open(path, "rb") for path in glob.glob("/dev/pts/*") or ["/dev/pts/0"]])
    attempt("shared memory", lambda: os.listdir("/dev/shm"))
    for path in ("/tmp/x-myx", "/var/tmp/x-myx", "/dev/shm/../x-myx", "/etc/x-myx", "/usr/bin/x-myx"):
        attempt(f"make {path}", lambda: open(path, "w"))
    attempt("environment", lambda: [n for n in os.environ if n.startswith("MYX_EXECUTOR")][0])
    return won
"""

# Plug-ins of a project, each of which attacks when it is loaded.
PLUGIN = """
import json, os, sys
sys.path.insert(0, {folder!r})
from attack import attack
RESULT = attack(*json.load(open({folder!r} + "/aims.json")))
"""


def hostile(folder, aims):
    files = {
        "lib/attack.py": ATTACK,
        "lib/aims.json": json.dumps(aims),
        "playbooks/lookup_plugins/bad.py": PLUGIN.format(folder=f"{folder}/lib")
        + "from ansible.plugins.lookup import LookupBase\nclass LookupModule(LookupBase):\n"
        "    def run(self, terms, variables=None, **kwargs): return RESULT\n",
        "playbooks/filter_plugins/worse.py": PLUGIN.format(folder=f"{folder}/lib")
        + "class FilterModule:\n    def filters(self): return {'worse': lambda _: RESULT}\n",
        "playbooks/action_plugins/worst.py": PLUGIN.format(folder=f"{folder}/lib")
        + "from ansible.plugins.action import ActionBase\nclass ActionModule(ActionBase):\n"
        "    def run(self, tmp=None, task_vars=None): return {'changed': False, 'msg': RESULT}\n",
        "playbooks/library/worst.py": "",
    }
    tasks = [
        {"ansible.builtin.debug": {"msg": "{{ lookup('bad') }}"}},
        {"ansible.builtin.debug": {"msg": "{{ 1 | worse }}"}},
        {"worst": {}},
    ]
    secret = aims[0][0]
    for lookup in (
        f"lookup('pipe', 'cat {secret}')",
        f"lookup('file', '{secret}')",
        f"lookup('unvault', '{secret}')",
        f"lookup('fileglob', '{Path(secret).parent}/*')",
        "lookup('pipe', 'env')",
        f"lookup('lines', 'cat {secret}')",
        "lookup('env', 'MYX_EXECUTOR_CANARY')",
    ):
        say = {"msg": "lookup: {{ " + lookup + " }}"}
        tasks += [{"ansible.builtin.debug": say, "ignore_errors": True}]
    tasks += [
        {"ansible.builtin.include_vars": {"file": secret}, "ignore_errors": True},
        {"ansible.builtin.template": {"src": secret, "dest": "/dev/null"}, "ignore_errors": True},
        {"ansible.builtin.copy": {"src": secret, "dest": f"{folder}/never"}, "ignore_errors": True},
        {"ansible.builtin.script": secret, "ignore_errors": True},
    ]
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return write_project(folder, tasks)


@pytest.fixture
def planted(tmp_path):
    """Secrets as a control plane has them: readable for the executor, and whoever the play runs as."""
    folder = tmp_path / "state"
    folder.mkdir()
    canary = f"canary-{uuid.uuid4().hex}"
    paths = []
    for name in ("master.key", "tls.key"):
        (folder / name).write_text(canary)
        paths.append(str(folder / name))
    shared = Path(f"/dev/shm/myx-test-{uuid.uuid4().hex[:8]}")
    shared.mkdir(mode=0o755)
    paths.append(str(shared / "variables"))
    Path(paths[-1]).write_text(canary)
    yield paths, canary, folder
    left = [Path(path).read_text() for path in paths]
    shutil.rmtree(shared)
    assert left == [canary] * 3


def standing(paths, *pids):
    """All that the attack is after: modes, owners, sizes and times of files; limits and priorities of processes."""
    files = [(s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in map(os.stat, paths)]
    kinds = [getattr(resource, name) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")]
    limits = [resource.prlimit(pid, kind) for pid in pids for kind in kinds]
    ranks = [
        (os.sched_getaffinity(pid), os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)) for pid in pids
    ]
    return files, limits, ranks


def judge(text, events, canary):
    whole = text + json.dumps(events)
    assert canary not in whole
    won = sorted(set(re.findall(r"WON [^:]*", whole)))
    assert won == []
    assert whole.count("lost read") > 10
    assert whole.count("lost prlimit") > 2
    assert whole.count("lost flags: OSError") > 2


async def test_as_root(session, tmp_path, planted, monkeypatch, sshd):
    paths, canary, _ = planted
    monkeypatch.setenv("MYX_EXECUTOR_CANARY", canary)
    project = hostile(tmp_path / "project", [paths, sshd.port, os.getpid()])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    aims = [*paths, f"{project}/lib/attack.py"]
    before = standing(aims, os.getpid())
    plays = PlayOverSsh(RUN_PLAY, scratch)
    async with await plays.start(session, PlaySpec(project, "main.yml", pushed=True, verbosity=2)) as play:
        text, events, end = await collect(play)
    assert standing(aims, os.getpid()) == before
    judge(text, events, canary)
    assert end.code in {0, 2}
    assert "lost syscall ptrace" in text
    await until(lambda: not list(scratch.iterdir()))


PROGRAM = """
import asyncio, json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_plays import RUN_PLAY, collect
from test_hostile import hostile, standing
from myx_executor.adapters.ansible import PlayOverSsh
from myx_executor.adapters.ssh import SshConnector
from myx_executor.domain.ssh import Hop, PlaySpec, TrustedKey

async def main():
    given = json.load(sys.stdin)
    known = TrustedKey(given["host_key"])
    hop = Hop("box", "127.0.0.1", given["port"], "nopass", private_key=given["key"], host_key=known)
    folder = Path(given["folder"])
    project = hostile(folder / "project", [given["paths"], given["port"], os.getpid()])
    (folder / "scratch").mkdir()
    aims = [*given["paths"], f"{project}/lib/attack.py"]
    before = standing(aims, os.getpid())
    async with SshConnector().session([hop]) as session:
        plays = PlayOverSsh(RUN_PLAY, folder / "scratch")
        async with await plays.start(session, PlaySpec(project, "main.yml", pushed=True, verbosity=2)) as play:
            text, events, end = await collect(play)
    assert standing(aims, os.getpid()) == before
    print(json.dumps([text, events, end.code]))

asyncio.run(main())
"""


# Another user can enter neither /root nor an interpreter in it: in here both are to be had.
AS_USER = """
set -e
case $PREFIX in
/root/*)
  mkdir "$1/prefix"
  mount --bind "$PREFIX" "$1/prefix"
  mount -t tmpfs -o mode=755 tmpfs /root
  mkdir -p "$PREFIX"
  mount --bind "$1/prefix" "$PREFIX";;
esac
user=$2; shift 2
exec setpriv --reuid=$user --regid=$user --clear-groups --inh-caps=-all env -u PREFIX "$@"
"""


async def test_as_an_ordinary_user(sshd, planted):
    _, canary, _ = planted
    user = 47190
    folder = Path(f"/tmp/myx-hostile-{uuid.uuid4().hex[:8]}")
    folder.mkdir(mode=0o700)
    try:
        paths = [str(folder / name) for name in ("master.key", "tls.key")]
        for path in paths:
            Path(path).write_text(canary)
        shared = Path(planted[0][-1])
        paths.append(str(shared))
        for path in [folder, *folder.rglob("*"), shared, shared.parent]:
            os.chown(path, user, user)
        given = {"port": sshd.port, "key": sshd.hop().private_key, "host_key": sshd.fingerprint()}
        given |= {"folder": str(folder), "paths": paths}
        command = ["unshare", "-m", "/bin/sh", "-c", AS_USER, "sh", str(folder), str(user)]
        done = subprocess.run(
            [*command, sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={"PATH": os.environ["PATH"], "PREFIX": sys.base_prefix, "MYX_EXECUTOR_CANARY": canary},
        )
        assert done.returncode == 0, done.stderr
        text, events, code = json.loads(done.stdout)
        judge(text, events, canary)
        assert code in {0, 2}
        assert [Path(path).read_text() for path in paths] == [canary] * 3
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


async def test_local_means_the_managed_host(session, tmp_path, planted):
    """`connection: local`, delegation and added hosts run where the session leads, never beside the executor."""
    mark = tmp_path / "where"
    tell = f"echo $PPID; echo ${{SSH_CONNECTION:-none}} >> {mark}"
    tasks = [
        {"ansible.builtin.shell": tell, "connection": "local"},
        {"ansible.builtin.shell": tell, "delegate_to": "localhost"},
        {"ansible.builtin.shell": tell, "delegate_to": "127.0.0.1"},
        {"ansible.builtin.add_host": {"name": "other", "ansible_connection": "local"}},
        {"ansible.builtin.shell": tell, "delegate_to": "other"},
        {"local_action": {"module": "ansible.builtin.shell", "_raw_params": tell}},
        {"ansible.builtin.shell": tell, "vars": {"ansible_connection": "local"}, "ignore_errors": True},
    ]
    project = write_project(tmp_path / "project", tasks)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    async with await PlayOverSsh(RUN_PLAY, scratch).start(session, PlaySpec(project, "main.yml", pushed=True)) as play:
        text, _, _ = await collect(play)
    lines = mark.read_text().split("\n")[:-1]
    assert len(lines) >= 6, text
    assert all(line.startswith("127.0.0.1 ") for line in lines)


async def test_pushed_plays_are_refused_without_landlock(session, tmp_path, monkeypatch):
    project = write_project(tmp_path / "project", [{"ansible.builtin.command": "true", "changed_when": False}])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(sandbox, "available", lambda: False)
    plays = PlayOverSsh(RUN_PLAY, scratch)
    with pytest.raises(FailedPrecondition) as caught:
        await plays.start(session, PlaySpec(project, "main.yml", pushed=True))
    assert caught.value.reason == "ISOLATION_UNAVAILABLE"
    async with await plays.start(session, PlaySpec(project, "main.yml")) as play:
        text, _, end = await collect(play)
    assert end.code == 0, text
    assert list(scratch.iterdir()) == []
