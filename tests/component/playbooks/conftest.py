"""A project of one's own and run_play.py on it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from myx_testkit.apps import FolderHost

RUN_PLAY = Path(__file__).parents[3] / "playbooks" / "scripts" / "run_play.py"


@dataclass
class Run:
    code: int
    out: str
    err: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def status(self, task: str) -> str:
        return next(event["status"] for event in self.of("task_result") if event["task"] == task)


class Project:
    """Plays run with their temporary files below `work`, so that a test sees what is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.work = folder / "work"
        self.events_path = folder / "events.jsonl"
        (self.folder / "playbooks").mkdir(parents=True)
        self.work.mkdir()

    def play(self, text: str, name: str = "site.yml") -> None:
        (self.folder / "playbooks" / name).write_text(text)

    def start(self, *, python: tuple[str, ...] = (), **changes: Any) -> subprocess.Popen[str]:
        document = {"project_dir": str(self.folder), "playbook": "site.yml", "work_dir": str(self.work)}
        document |= {"events_path": str(self.events_path)} | changes
        process = subprocess.Popen(
            [sys.executable, *python, str(RUN_PLAY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"]},
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(document))
        process.stdin.close()
        process.stdin = None
        return process

    def finish(self, process: subprocess.Popen[str], already: str = "") -> Run:
        out, err = process.communicate(timeout=100)
        lines = self.events_path.read_text().splitlines() if self.events_path.exists() else []
        return Run(process.returncode, already + out, err, [json.loads(line) for line in lines])

    def run(self, **changes: Any) -> Run:
        self.events_path.unlink(missing_ok=True)
        return self.finish(self.start(**changes))

    def left_behind(self) -> list[Path]:
        return list(self.work.iterdir())


@pytest.fixture
def host() -> Iterator[FolderHost]:
    """A folder that stands for a host; what was started on it ends with the test."""
    with tempfile.TemporaryDirectory(prefix="mx") as folder:
        found = FolderHost(Path(folder))
        yield found
        found.stop_all()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
