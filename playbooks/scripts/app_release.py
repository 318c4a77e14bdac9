"""What a deployment puts into force: the program, its configuration, and what each application knows of itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import app_artifact
from app_artifact import BadArtifact
from app_host import Account, Done, Host, HostError, unit_of
from app_place import Generation, Place, digest, now, read_json, write_json
from app_request import HIDDEN, ONE_RUN, REMEMBERED, Request, Source, read_source
from app_variables import VERSION, BadVariable, Variables

VERSION_TIMEOUT_S = 20


@dataclass(frozen=True)
class Release:
    """A program that can be put into force; `folder` is None when it lives elsewhere (a container image)."""

    name: str
    version: str
    folder: Path | None
    fresh: bool
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """All that the steps of one run share."""

    app: App
    place: Place
    given: Variables
    files: dict[str, str]
    check: bool
    with_diff: bool
    current: Generation | None = None
    warnings: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    singles: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def host(self) -> Host:
        return self.place.host


@dataclass(frozen=True)
class Candidate:
    """A staged new state; `folder` holds everything that will be the generation."""

    folder: Path
    release: Release
    request: Request
    account: Account
    unit: str
    config: Path
    scratch: Path

    def content(self) -> str:
        """A digest over all that makes this state different from another."""
        files = {path.name: digest(path.read_bytes()) for path in (self.config, self.folder / "env")}
        return hashlib.sha256(json.dumps([self.release.name, files, self.unit], sort_keys=True).encode()).hexdigest()


class App:
    """What differs from one kind of service to the next; the rest is the same for all."""

    title = ""
    kind = ""
    prefix = ""
    name = ""
    binary = ""
    extras: tuple[str, ...] = ()
    own_variables: tuple[str, ...] = ()
    remembered: tuple[str, ...] = REMEMBERED
    default_url = ""
    has_account = True
    config_only = False

    @property
    def known(self) -> tuple[str, ...]:
        return (*self.own_variables, *self.remembered, *ONE_RUN)

    def arch_word(self, architecture: str) -> str:
        """What download URLs call this architecture."""
        return architecture

    def check(self, request: Request) -> None:
        """Raises `BadVariable` when a variable of this kind alone is not as it must be."""
        raise NotImplementedError

    def config_name(self, request: Request) -> str:
        raise NotImplementedError

    def unit_text(self, run: Run, request: Request, release: Release) -> str:
        raise NotImplementedError

    def validate(self, run: Run, candidate: Candidate) -> None:
        """Raises `HostError` with the program's own words when it refuses the configuration."""
        raise NotImplementedError

    def facts(self, run: Run, candidate: Candidate) -> dict[str, Any]:
        """What later runs must know of this state; `listen`: where it will listen."""
        raise NotImplementedError

    def version_of(self, output: str) -> str:
        """The version in the program's own words."""
        raise NotImplementedError

    def can_reload(self, current: Generation, candidate: Candidate) -> bool:
        return False

    def reload(self, place: Place, account: Account, running: Generation, wanted: Generation) -> None:
        raise HostError(f"{self.title} cannot be reloaded")

    def owns(self, place: Place, pid: int) -> bool:
        return unit_of(pid) == place.unit or str(pid) == place.host.unit_property(place.unit, "MainPID")

    def forget(self, place: Place, generations: list[Generation]) -> None:
        return

    def abandon(self, run: Run) -> None:
        """Drop what a failed run has brought outside of the folder."""
        return

    def release(self, run: Run, request: Request, workspace: Path, account: Account) -> Release:
        """The program to put into force: the one asked for, or the one that is."""
        source = None if self.config_only else read_source(request.variables, self.default_url)
        if source is None:
            return current_release(run)
        return find_release(run, source) or new_release(run, source, workspace, account)


def current_release(run: Run) -> Release:
    """The program that is deployed; raises when there is none."""
    if run.current is None:
        app = run.app
        raise BadVariable(
            f"{app.title} is not deployed on this host yet: give {app.prefix}version and {app.prefix}sha256 "
            f"(a download), or {app.prefix}artifact_path (a file on the host)"
            if not app.config_only
            else f"{app.title} is not deployed on this host yet under the name {run.place.name}: deploy it first"
        )
    name = run.current.record["release"]
    folder = run.place.releases / name
    return Release(name, run.current.record["version"], folder, False, run.current.record.get("release_facts", {}))


def find_release(run: Run, source: Source) -> Release | None:
    """The release of that artifact when it is on the host already and whole."""
    sha256 = source.sha256 or app_artifact.digest_of(
        app_artifact.readable(source.path, f"{run.app.prefix}artifact_path")
    )
    for folder in run.place.releases.glob(f"*-{sha256[:12]}"):
        record = read_json(folder / "RELEASE.json")
        program = folder / run.app.binary
        if (
            record.get("sha256") == sha256
            and program.is_file()
            and app_artifact.digest_of(program) == record.get("program")
        ):
            _must_be_version(run, source, record["version"])
            return Release(folder.name, record["version"], folder, False)
    return None


def new_release(run: Run, source: Source, workspace: Path, account: Account) -> Release:
    """The artifact, fetched or found, checked and unpacked into the workspace."""
    folder, app = workspace / "release", run.app
    folder.mkdir(mode=0o755)
    artifact, sha256 = _artifact(run, source, workspace)
    program = app_artifact.unpack(artifact, folder, app.binary, app.extras)
    app_artifact.check_architecture(program)
    done = run.host.run([str(program), "version"], account, timeout_s=VERSION_TIMEOUT_S)
    version = app.version_of(done.output) if done.ok else ""
    if not VERSION.fullmatch(version):
        raise BadArtifact(
            f"the new {app.title} does not run ({app.binary} version ended with {done.code}):\n{done.tail()}"
        )
    _must_be_version(run, source, version)
    record = {"version": version, "sha256": sha256, "program": app_artifact.digest_of(program), "installed_at": now()}
    write_json(folder / "RELEASE.json", record)
    return Release(f"{version}-{sha256[:12]}", version, folder, True)


def _artifact(run: Run, source: Source, workspace: Path) -> tuple[Path, str]:
    if not source.path:
        target = workspace / "artifact"
        url = app_artifact.fill_url(source.url, source.version, run.app.arch_word(app_artifact.architecture()))
        app_artifact.fetch(url, target, source.sha256)
        return target, source.sha256
    variable = f"{run.app.prefix}artifact_path"
    path = app_artifact.readable(source.path, variable)
    found = app_artifact.digest_of(path)
    if source.sha256 and found != source.sha256:
        raise BadArtifact(f"{variable}: {path} has SHA-256 {found}, not {source.sha256} as was asked for")
    return path, found


def _must_be_version(run: Run, source: Source, version: str) -> None:
    if source.version and source.version != version:
        raise BadArtifact(
            f"the artifact is {run.app.title} {version}, not {source.version} as {run.app.prefix}version says"
        )


def refused(run: Run, candidate: Candidate, done: Done) -> HostError:
    """The error of a configuration that the new program does not take."""
    words = HIDDEN if candidate.request.hide_config else done.tail()
    serves = f" {run.current.words()} serves as before." if run.current else ""
    text = (
        f"{run.app.title} {candidate.release.version} refuses the configuration: nothing was changed.{serves}\n{words}"
    )
    return HostError(text)
