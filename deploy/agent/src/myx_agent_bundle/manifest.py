"""manifest.json: what is in a bundle, and for which hosts."""

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from myx_agent_bundle.wheels import digest

NAME = "manifest.json"


@dataclass(frozen=True)
class Entry:
    """`arch` and `python` say which hosts need the file, `set` for what: agent, ansible or any (both)."""

    path: str
    sha256: str
    size: int
    kind: str
    arch: str
    python: tuple[str, ...]
    set: str


def entry(root: Path, path: str, kind: str, *, arch: str, python: tuple[str, ...], of: str) -> Entry:
    file = root / path
    return Entry(path, digest(file), file.stat().st_size, kind, arch, python, of)


def write(
    root: Path, version: str, requires_python: str, entries: list[Entry], inputs: dict[str, str]
) -> dict[str, Any]:
    entries = sorted(entries, key=lambda item: item.path)
    document: dict[str, Any] = {
        "version": version,
        "digest": digest_of(entries),
        "created_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "agent_requires_python": requires_python,
        "inputs": inputs,
        "files": [asdict(item) | {"python": list(item.python)} for item in entries],
    }
    (root / NAME).write_text(json.dumps(document, indent=1) + "\n")
    return document


def digest_of(entries: list[Entry]) -> str:
    """SHA-256 over `path NUL sha256 LF` of all files, sorted by path."""
    text = "".join(f"{item.path}\0{item.sha256}\n" for item in sorted(entries, key=lambda item: item.path))
    return hashlib.sha256(text.encode()).hexdigest()


def read(root: Path) -> dict[str, Any] | None:
    """A bundle's manifest when all its files are there in their sizes; None otherwise."""
    try:
        document: dict[str, Any] = json.loads((root / NAME).read_text())
        whole = all((root / item["path"]).stat().st_size == item["size"] for item in document["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return document if whole else None
