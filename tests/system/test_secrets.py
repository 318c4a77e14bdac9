"""After all that the other tests did: no secret anywhere but in the files made for it."""

import base64
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import psutil

from myx_testkit import wait
from myx_testkit.event_stream import connected
from myx_testkit.standalone import Standalone

CHUNK = 1 << 20


def secrets_of(myx: Standalone) -> dict[str, str]:
    agent = json.loads(myx.home.agent_config.read_text())
    found = {f"agent {key}": agent[key] for key in ("agent_token", "secret_key", "rpc_path")}
    found |= {path.name: path.read_text().strip() for path in myx.home.secrets.iterdir() if "password" in path.name}
    found |= {"postgres password": myx.home.postgres.joinpath("password").read_text().strip()}
    found |= {"admin token": myx.home.token}
    for service in ("registry", "executor"):
        keys = json.loads(myx.home.master_key_file(service).read_text())["keys"]
        found |= {f"{service} key {name}": value for name, value in keys.items()}
    for path in (*myx.home.tls.glob("*.key"), myx.home.agent / "ssl" / "agent.key"):
        found[path.name] = path.read_text().splitlines()[1]
    return found


def made_for_secrets(myx: Standalone) -> set[Path]:
    home = myx.home
    kept = {home.agent_config, home.agent / "ssl" / "agent.key", home.standalone_file, home.postgres / "password"}
    return kept | set(home.secrets.iterdir()) | set(home.tls.glob("*.key"))


def files_that_hold(folder: Path, wanted: dict[str, str], leave_out: set[Path]) -> Iterator[str]:
    """Which of the secrets (as they are, or in base64) occur in which file below a folder."""
    needles = {name: value.encode() for name, value in wanted.items()}
    needles |= {f"{name} in base64": base64.b64encode(value).rstrip(b"=")[:-1] for name, value in needles.items()}
    overlap = max(len(needle) for needle in needles.values())
    for path in folder.rglob("*"):
        if path in leave_out or path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            before = b""
            while block := file.read(CHUNK):
                text = before + block
                yield from (f"{name} in {path}" for name, needle in needles.items() if needle in text)
                before = text[-overlap:]


async def events_of(myx: Standalone) -> list[bytes]:
    async with connected(myx.home) as client:
        stream = client.jetstream()
        state = (await stream.stream_info("MYX_EVENTS")).state
        messages = [await stream.get_msg("MYX_EVENTS", number) for number in range(state.first_seq, state.last_seq + 1)]
        return [message.data or b"" for message in messages]


async def test_no_secret_is_anywhere_but_where_it_belongs(myx: Standalone) -> None:
    given, typed = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    body = {
        "server": "local",
        "command": "sh",
        "args": ["-c", "cat >/dev/null; echo value=$VERY_SECRET; sleep 3"],
        "secret_env": {"VERY_SECRET": given},
        "stdin": base64.b64encode(typed.encode()).decode(),
    }
    command = myx.api().request("POST", "/commands", body)["id"]
    await wait.until(lambda: myx.api().request("GET", f"/commands/{command}")["status"] == "running")
    assert myx.follow_first_line(command).startswith(b"value=")
    wanted = secrets_of(myx) | {"secret environment": given, "standard input": typed}

    lists = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [name for name, value in wanted.items() for line in lists if value in line] == []

    shown = json.dumps(myx.api().request("GET", f"/commands/{command}"))
    assert [name for name, value in wanted.items() if value in shown] == []

    done = myx.cli("logs", "-f", command)
    assert done.returncode == 0
    assert given.encode() not in done.stdout, "the value of a secret variable is masked in the output"

    assert set(files_that_hold(myx.home.secrets, wanted, set())), "the search finds what is there"
    assert sorted(set(files_that_hold(myx.home.path, wanted, made_for_secrets(myx)))) == []
    assert [name for name, value in wanted.items() if value in myx.said()] == []

    events = await events_of(myx)
    assert events
    assert [name for name, value in wanted.items() for event in events if value.encode() in event] == []
