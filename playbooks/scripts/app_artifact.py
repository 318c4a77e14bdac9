"""Programs from an archive or a single file: fetched by digest, unpacked safely, of the right architecture."""

from __future__ import annotations

import hashlib
import http.client
import os
import platform
import shutil
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import urlsplit

from app_variables import BadVariable

MAX_ARTIFACT_BYTES = 512 * 1024 * 1024
MAX_MEMBERS = 10_000
TIMEOUT_S = 60
PIECE_BYTES = 1024 * 1024
MACHINES = {"x86_64": 62, "aarch64": 183, "armv7l": 40, "i686": 3, "riscv64": 243, "s390x": 22, "ppc64le": 21}


class BadArtifact(RuntimeError):
    """The program cannot be had or must not be used; the text says why."""


def architecture() -> str:
    """This machine's architecture as the variables name it."""
    machine = platform.machine()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            found.update(piece)
    return found.hexdigest()


def _copy(source: IO[bytes], target: Path, limit: int) -> str:
    found, size = hashlib.sha256(), 0
    with target.open("xb") as file:
        while piece := source.read(PIECE_BYTES):
            size += len(piece)
            if size > limit:
                raise BadArtifact(f"it is larger than {limit // 1024 // 1024} MB")
            found.update(piece)
            file.write(piece)
    return found.hexdigest()


def shown(url: str) -> str:
    """The URL without user name, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def fetch(url: str, target: Path, sha256: str) -> None:
    """Download to `target`; raises unless its SHA-256 is the given one (and then leaves no file)."""
    _check_url(url)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 -- the scheme is checked above
            found = _copy(answer, target, MAX_ARTIFACT_BYTES)
            missing = getattr(answer, "length", None)  # reading in pieces takes a cut body for a whole one
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise BadArtifact(f"{shown(url)} cannot be downloaded: {reason}") from error
    if missing:
        raise BadArtifact(f"{shown(url)} cannot be downloaded: the connection ended {missing} bytes too early")
    if found != sha256:
        target.unlink()
        raise BadArtifact(f"{shown(url)} has SHA-256 {found}, not {sha256} as was asked for")


def _check_url(url: str) -> None:
    """Raises for what cannot be asked for as it stands, in words that show nothing of what the URL hides."""
    scheme = url.partition(":")[0].lower()
    if scheme == "file":
        return
    if scheme not in {"http", "https"}:
        raise BadVariable(f"the download URL must begin with https://, http:// or file://, not {scheme[:20]!r}")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BadVariable("the download URL must be ASCII without blanks: write other characters as %XX")
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise BadVariable("the download URL has no valid host and port")
    if parts.username is not None:
        raise BadVariable("the download URL must not hold a user name or password")


def unpack(artifact: Path, folder: Path, wanted: str, extras: tuple[str, ...] = ()) -> Path:
    """`folder/wanted`, executable, from a .zip, a tar or a bare program; files named in `extras` come along.

    Only regular files of exactly these names are taken out, wherever they lie in the archive; no other path is written.
    """
    target = folder / wanted
    try:
        if zipfile.is_zipfile(artifact) and not _is_program(artifact):
            _from_zip(artifact, folder, (wanted, *extras))
        elif not _is_program(artifact) and tarfile.is_tarfile(artifact):
            _from_tar(artifact, folder, (wanted, *extras))
        elif _is_program(artifact):
            shutil.copyfile(artifact, target)
        else:
            raise BadArtifact("the artifact is neither a program nor a .zip or .tar.gz")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise BadArtifact(f"the artifact cannot be unpacked: {error}") from error
    if not target.is_file():
        raise BadArtifact(f"the artifact holds no file named {wanted}")
    target.chmod(0o755)
    return target


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(4)
    return begin == b"\x7fELF" or begin[:2] == b"#!"


def _chosen(names: list[tuple[str, Any]], wanted: tuple[str, ...]) -> dict[str, Any]:
    """The shallowest member of each wanted name."""
    if len(names) > MAX_MEMBERS:
        raise BadArtifact(f"the archive has more than {MAX_MEMBERS} members")
    found: dict[str, tuple[int, Any]] = {}
    for name, member in names:
        path = PurePosixPath(name)
        if path.name in wanted and (path.name not in found or len(path.parts) < found[path.name][0]):
            found[path.name] = (len(path.parts), member)
    return {name: member for name, (_, member) in found.items()}


def _from_zip(artifact: Path, folder: Path, wanted: tuple[str, ...]) -> None:
    with zipfile.ZipFile(artifact) as archive:
        files = [
            (entry.filename, entry) for entry in archive.infolist() if not _is_zip_link(entry) and not entry.is_dir()
        ]
        for name, member in _chosen(files, wanted).items():
            with archive.open(member) as source:
                _copy(source, folder / name, MAX_ARTIFACT_BYTES)


def _is_zip_link(entry: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return kind not in {0, stat.S_IFREG, stat.S_IFDIR}


def _from_tar(artifact: Path, folder: Path, wanted: tuple[str, ...]) -> None:
    with tarfile.open(artifact) as archive:
        files = []
        for member in archive:
            files.append((member.name, member))
            if len(files) > MAX_MEMBERS:
                break
        regular = [(name, member) for name, member in files if member.isreg()]
        for name, member in _chosen(regular if len(files) <= MAX_MEMBERS else files, wanted).items():
            source = archive.extractfile(member)
            if source is not None:
                _copy(source, folder / name, MAX_ARTIFACT_BYTES)


def check_architecture(program: Path) -> None:
    """Raises when the program is made for another machine; scripts fit everywhere."""
    with program.open("rb") as file:
        head = file.read(20)
    if head[:4] != b"\x7fELF":
        return
    made_for = int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
    here = architecture()
    if made_for != MACHINES.get(here, made_for):
        names = {number: name for name, number in MACHINES.items()}
        raise BadArtifact(f"the program is made for {names.get(made_for, f'machine {made_for}')}, this host is {here}")


def fill_url(url: str, version: str, arch: str) -> str:
    """The URL with {version} and {arch} replaced."""
    return url.replace("{version}", version.removeprefix("v")).replace("{arch}", arch)


def readable(path: str, variable: str) -> Path:
    """The file on this host; raises when it is none."""
    file = Path(path)
    if not file.is_file() or not os.access(file, os.R_OK):
        raise BadVariable(f"{variable}: there is no file {path} on the host; upload it first")
    return file
