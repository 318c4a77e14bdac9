"""A stand-in for systemctl below a folder: it starts and stops the programs of units, with none of systemd's rights.

    systemctl.py ROOT show UNIT --property=NAMES [--value] | start | stop | restart | enable | disable [--now]
    | is-enabled | daemon-reload | reset-failed

A program that ends by itself leaves its unit failed; it is not started again.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT, WORDS = Path(sys.argv[1]), [word for word in sys.argv[2:] if not word.startswith("-")]
OPTIONS = [word for word in sys.argv[2:] if word.startswith("-")]
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
STATE = ROOT / "run/standin"


def entry(unit):
    path = STATE / f"{unit}.json"
    found = {"pid": 0, "enabled": False, "state": "inactive"}
    return {**found, **json.loads(path.read_text())} if path.exists() else found


def save(unit, **changes):
    STATE.mkdir(parents=True, exist_ok=True)
    (STATE / f"{unit}.json").write_text(json.dumps({**entry(unit), **changes}))


def alive(pid):
    try:
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def state(unit):
    found = entry(unit)
    return "failed" if found["state"] == "active" and not alive(found["pid"]) else found["state"]


def settings(unit):
    lines = (ROOT / "etc/systemd/system" / unit).read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    env = {}
    for name, value in pairs:
        if name == "Environment":
            key, _, text = shlex.split(value)[0].partition("=")
            env[key] = text
        if name == "EnvironmentFile" and Path(value.lstrip("-")).exists():
            lines = Path(value.lstrip("-")).read_text().splitlines()
            env |= dict(shlex.split(line)[0].split("=", 1) for line in lines)
    return dict(pairs), env


def start(unit):
    if state(unit) == "active":
        return 0
    try:
        values, env = settings(unit)
    except OSError:
        return 5
    for folder in (f"run/{unit[:-8]}", f"var/lib/{unit[:-8]}"):
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
    with (ROOT / "run" / f"{unit}.log").open("ab") as log:
        program = subprocess.Popen(
            shlex.split(values["ExecStart"]),
            env={"PATH": os.environ["PATH"], **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    save(unit, pid=program.pid, state="active")
    time.sleep(0.2)
    return 1 if program.poll() is not None else 0


def stop(unit):
    pid = entry(unit)["pid"]
    if alive(pid):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    save(unit, pid=0, state="inactive")
    return 0


def show(unit):
    found = entry(unit)
    now = state(unit)
    fragment = ROOT / "etc/systemd/system" / unit
    values = {
        "ActiveState": now,
        "SubState": {"active": "running", "failed": "failed"}.get(now, "dead"),
        "MainPID": str(found["pid"] if now == "active" else 0),
        "NRestarts": "0",
        "Result": "exit-code" if now == "failed" else "success",
        "ExecMainStatus": "2" if now == "failed" else "0",
        "FragmentPath": str(fragment) if fragment.exists() else "",
    }
    names = next(option for option in OPTIONS if option.startswith("--property=")).split("=")[1].split(",")
    for name in names:
        sys.stdout.write(f"{values[name]}\n" if "--value" in OPTIONS else f"{name}={values[name]}\n")
    return 0


def main():
    word, unit = WORDS[0], WORDS[1] if len(WORDS) > 1 else ""
    if word == "restart":
        stop(unit)
        return start(unit)
    if word in {"start", "stop", "show"}:
        return {"start": start, "stop": stop, "show": show}[word](unit)
    if word in {"enable", "disable"}:
        save(unit, enabled=word == "enable")
        return stop(unit) if "--now" in OPTIONS else 0
    if word == "is-enabled":
        return 0 if entry(unit)["enabled"] else 1
    return 0


sys.exit(main())
