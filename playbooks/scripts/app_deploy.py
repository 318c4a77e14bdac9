"""One deployment from its variables to its outcome: plan, stage, validate, switch, report.

A program of this family reads {"variables": {…}, "files": {…}, "check": false, "diff": false} and answers with one
JSON object:
{"changed", "failed", "message", "action", "release", "generation", "previous", "warnings", "diff"?}.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import app_artifact
from app_artifact import BadArtifact
from app_host import MARK, NOBODY, Account, Done, Host, HostError, lock, remove_tree, unit_of
from app_place import Generation, Place, digest, now, read_json, write_json
from app_request import (
    ACTIONS,
    ONE_RUN,
    REMEMBERED,
    Request,
    Source,
    given_config,
    merge,
    read_request,
    read_source,
    split_singles,
)
from app_switch import (
    Cancelled,
    Switch,
    cancel_by_signal,
    erase,
    listen_targets,
    make,
    must_be_free,
    must_not_be_foreign,
    probe_of,
    recover,
)
from app_variables import VERSION, BadVariable, Variables, mask
from check_service import Probe, run_probe

OK, FAILED, BAD_INPUT = 0, 1, 64
VERSION_TIMEOUT_S = 20
HIDDEN = "(its words are not shown: hide_config is set)"


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


def answer(app: App, document: Any) -> int:
    """Run, print the one answer, and say by the exit code how it went."""
    secrets: set[str] = set()
    try:
        outcome, code = deploy(app, document, secrets), OK
    except BadVariable as error:
        outcome, code = {"failed": True, "changed": False, "message": str(error)}, BAD_INPUT
    except Cancelled:
        words = "the deployment was cancelled before anything was changed"
        outcome, code = {"failed": True, "changed": False, "message": words}, FAILED
    except (HostError, BadArtifact, OSError) as error:
        outcome, code = {"failed": True, "changed": False, "message": str(error)}, FAILED
    text = json.dumps(_masked(outcome, secrets), ensure_ascii=False)
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError:
        return code
    return code


def _masked(value: Any, secrets: set[str]) -> Any:
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, dict):
        return {key: _masked(entry, secrets) for key, entry in value.items()}
    return [_masked(entry, secrets) for entry in value] if isinstance(value, list) else value


def deploy(app: App, document: Any, secrets: set[str]) -> dict[str, Any]:
    """The outcome of one request; `secrets` is filled with what must not be shown."""
    cancel_by_signal()
    plain, singles = split_singles(document["variables"], app.known)
    given = Variables(plain, app.prefix, app.known)
    place = Place(Host(), given.name(app.name), app.kind)
    run = Run(app, place, given, document.get("files", {}), bool(document.get("check")), bool(document.get("diff")))
    run.secrets = secrets
    run.singles = singles
    action = given.choice("action", "deploy", ACTIONS)
    place.host.must_have_systemd()
    place.must_be_ours(app.prefix)
    with lock(place.lock_file, place.name):
        _recover(run)
        run.current = place.current()
        outcome = {"deploy": _deploy, "rollback": _rollback, "remove": _remove}[action](run)
    return {"failed": False, "warnings": run.warnings, **outcome}


def _recover(run: Run) -> None:
    if run.check and run.place.attempt.exists():
        run.warnings.append("an earlier deployment was cut off; a real run puts its state back first")
    elif not run.check and (words := recover(run.app, run.place)):
        run.warnings.append(words)


def _deploy(run: Run) -> dict[str, Any]:
    must_not_be_foreign(run.place, run.given.flag("takeover"), run.app.prefix)
    request = _request(run)
    made = False if run.check else run.place.create()
    first = made or run.current is None
    try:
        with run.place.workspace(run.check) as workspace:
            candidate = _stage(run, request, workspace)
            return _apply(run, candidate, first)
    except BaseException:
        run.app.abandon(run)
        if made and run.place.exists() and not run.place.attempt.exists():
            erase(run.place, run.place.new_data_folders(), account=True)
        raise


def _request(run: Run) -> Request:
    app, remembered = run.app, run.current.variables() if run.current else {}
    given = {name: run.given.get(name) for name in app.known}
    together = merge(given, given_config(run.given, run.files), remembered)
    for name, entries in run.singles.items():
        if entries:
            together[name] = {**(Variables(together, app.prefix, app.known).mapping(name) or {}), **entries}
    merged = Variables(together, app.prefix, app.known)
    if run.current is not None:
        run.secrets |= _remembered_values(remembered, "config_values") | _remembered_values(remembered, "environment")
    request = read_request(merged, app.remembered)
    run.secrets |= request.secrets()
    request.config()
    app.check(request)
    return request


def _remembered_values(variables: dict[str, Any], name: str) -> set[str]:
    """The values of a remembered mapping."""
    value = variables.get(name)
    return {str(entry) for entry in value.values()} if isinstance(value, dict) else set()


def _account(run: Run) -> Account:
    """Whom the service runs as; made when it is missing. Check mode takes nobody instead."""
    if not run.app.has_account:
        return Account(0, 0)
    found = run.host.account(run.place.name)
    if found is not None:
        return found
    if run.check:
        return Account(NOBODY, NOBODY)
    account = run.host.add_account(run.place.name, str(run.place.home))
    run.place.note(account_made=True)
    return account


def _make_data_folders(run: Run, account: Account) -> None:
    """What the service writes: a configuration that logs there is validated before systemd would make the folders."""
    if run.app.has_account and not run.check:
        for folder in run.place.data_folders:
            if not folder.exists():
                folder.mkdir(parents=True)
                run.host.give(folder, account.gid, 0o750, account.uid)


def _stage(run: Run, request: Request, workspace: Path) -> Candidate:
    """All of the new state in the workspace, checked by the new program itself."""
    account = _account(run)
    _make_data_folders(run, account)
    run.host.give(workspace, account.gid, 0o750)
    release = run.app.release(run, request, workspace, account)
    folder, scratch = workspace / "generation", workspace / "scratch"
    for path in (folder, scratch):
        path.mkdir()
    run.host.give(folder, account.gid, 0o750)
    run.host.give(scratch, account.gid, 0o770)
    config = folder / run.app.config_name(request)
    config.write_bytes(request.config())
    run.host.give(config, account.gid, 0o640)
    _write_private(folder / "env", env_file(request.environment))
    _write_private(folder / "variables.json", json.dumps(request.remembered))
    unit = run.app.unit_text(run, request, release)
    (folder / "unit").write_text(unit)
    candidate = Candidate(folder, release, request, account, unit, config, scratch)
    if not _is_current(run, candidate):
        run.app.validate(run, candidate)
    return candidate


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def env_file(environment: dict[str, str]) -> str:
    """The lines of a systemd EnvironmentFile."""
    escaped = {name: "".join("\\" + c if c in '"\\$`' else c for c in value) for name, value in environment.items()}
    return "".join(f'{name}="{value}"\n' for name, value in sorted(escaped.items()))


def _is_current(run: Run, candidate: Candidate) -> bool:
    """Whether exactly this is in force already and nobody has touched it."""
    current = run.current
    return current is not None and current.record["content"] == candidate.content() and current.is_intact()


def plan(run: Run, candidate: Candidate) -> str:
    """What must be done: `unchanged`, `start`, `reload` or `restart`."""
    host, place, current = run.host, run.place, run.current
    active = host.is_active(place.unit)
    if _is_current(run, candidate):
        in_place = place.unit_file.is_file() and place.unit_file.read_text(errors="replace") == candidate.unit
        if active and in_place and host.is_enabled(place.unit):
            return "unchanged"
        return "restart" if active and not in_place else "start"
    if current is None or not active:
        return "start"
    same = (
        current.record["release"] == candidate.release.name and current.unit() == candidate.unit and current.is_intact()
    )
    same = same and (current.path / "env").read_bytes() == (candidate.folder / "env").read_bytes()
    return "reload" if same and run.app.can_reload(current, candidate) else "restart"


def _apply(run: Run, candidate: Candidate, first: bool) -> dict[str, Any]:
    how = plan(run, candidate)
    if how == "unchanged":
        return _unchanged(run, candidate.request)
    facts = run.app.facts(run, candidate)
    if not _is_current(run, candidate):
        must_be_free(run.app, run.place, [(str(h), int(p)) for h, p in facts.get("listen", [])])
    outcome = _outcome(run, candidate, how)
    if run.check:
        return {**outcome, "message": f"would {outcome['message']}"}
    if _is_current(run, candidate) and run.current is not None:
        generation, fresh, release = run.current, False, ""
    else:
        (generation, release), fresh = _settle(run, candidate, facts), True
    switch = Switch(generation, run.current, how, fresh, release, first, candidate.account, candidate.request.probing)
    try:
        _remember_foreign_unit(run.place)
        make(run.app, run.place, switch)
    except BaseException:
        _drop_unused(run, switch)
        raise
    run.app.forget(run.place, run.place.prune(candidate.request.keep))
    done = {"start": "started", "reload": "reloaded", "restart": "restarted"}[how]
    words = f"{run.app.title} {candidate.release.version} was {done} and passes its probe"
    return {**outcome, "generation": generation.path.name, "message": words}


def _drop_unused(run: Run, switch: Switch) -> None:
    """Remove what was brought for a switch that was not even begun; one that was, removes it itself."""
    if not run.place.attempt.exists() and switch.fresh_generation:
        remove_tree(switch.new.path)
        if switch.fresh_release:
            remove_tree(run.place.releases / switch.fresh_release)


def _remember_foreign_unit(place: Place) -> None:
    """Keep the unit that is about to be taken over, for the day when the deployment is removed."""
    text = place.unit_file.read_text(errors="replace") if place.unit_file.is_file() else ""
    if text and MARK not in text:
        place.note(unit_before=text)


def _unchanged(run: Run, request: Request) -> dict[str, Any]:
    """Nothing is touched; but a service that does not answer is no success."""
    assert run.current is not None  # noqa: S101 -- the plan said so
    probe = probe_of(run.place, run.current, request.probing)
    health = run_probe(Probe(probe.unit, probe.tcp, probe.http, 0, min(5, probe.timeout_s)))
    if not health.healthy:
        problems = "; ".join(health.problems)
        raise HostError(f"everything is as asked for, but {run.app.title} does not pass its probe: {problems}")
    if not run.check:
        run.app.forget(run.place, run.place.prune(request.keep))
    return {
        "changed": False,
        "action": "unchanged",
        "message": f"{run.current.words()}: nothing to change",
        "release": run.current.record["release"],
        "generation": run.current.path.name,
        "previous": None,
    }


def _outcome(run: Run, candidate: Candidate, how: str) -> dict[str, Any]:
    outcome = {
        "changed": True,
        "action": how,
        "message": f"{how} {run.app.title} {candidate.release.version}",
        "release": candidate.release.name,
        "generation": None,
        "previous": run.current.path.name if run.current else None,
    }
    if run.with_diff:
        outcome["diff"] = config_diff(run, candidate)
    return outcome


def config_diff(run: Run, candidate: Candidate) -> list[dict[str, str]]:
    """Before and after for a person: templates without their values, names instead of secrets."""
    old = run.current.variables() if run.current else {}
    before, after = old.get("config", ""), candidate.request.remembered["config"]
    if candidate.request.hide_config:
        before, after = "", "" if before == after else "(the configuration changes; not shown)\n"
    name = candidate.config.name
    diffs = [{"before_header": name, "after_header": name, "before": _text(before), "after": _text(after)}]
    lines = [_release_line(run.current.record if run.current else None), f"{run.app.title} {candidate.release.name}\n"]
    diffs.append({"before_header": "release", "after_header": "release", "before": lines[0], "after": lines[1]})
    new = candidate.request.remembered
    secret = ("config_values", "environment")
    diffs += [_secret_diff(variable, old.get(variable) or {}, new.get(variable) or {}) for variable in secret]
    unit = run.current.unit() if run.current else ""
    diffs.append(
        {"before_header": run.place.unit, "after_header": run.place.unit, "before": unit, "after": candidate.unit}
    )
    return [diff for diff in diffs if diff["before"] != diff["after"]]


def _release_line(record: dict[str, Any] | None) -> str:
    return f"{record['title']} {record['release']}\n" if record else ""


def _text(config: Any) -> str:
    return config if isinstance(config, str) else json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def _secret_diff(variable: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    before = "".join(f"{name}=(set)\n" for name in sorted(old))
    after = "".join(
        f"{name}={'(set)' if old.get(name) == value else '(new value)'}\n" for name, value in sorted(new.items())
    )
    return {"before_header": variable, "after_header": variable, "before": before, "after": after}


def _settle(run: Run, candidate: Candidate, facts: dict[str, Any]) -> tuple[Generation, str]:
    """Move the staged state to its place, not yet in force; (generation, name of a release that came with it)."""
    place, release = run.place, candidate.release
    fresh = ""
    if release.folder is not None and release.fresh:
        target = place.releases / release.name
        if target.exists():
            shutil.rmtree(target)
        release.folder.rename(target)
        fresh = release.name
    if release.folder is not None:
        (candidate.folder / "bin").symlink_to(f"../../releases/{release.name}")
    content = candidate.content()
    files = {path.name: digest(path.read_bytes()) for path in (candidate.config, candidate.folder / "env")}
    record = {
        "title": run.app.title,
        "release": release.name,
        "release_facts": release.facts,
        "version": release.version,
        "config": candidate.config.name,
        "content": content,
        "files": files,
        "deployed_at": now(),
        **facts,
    }
    write_json(candidate.folder / "GENERATION.json", record)
    target = place.generations / place.next_name(content)
    candidate.folder.rename(target)
    return Generation(target, record), fresh


def _rollback(run: Run) -> dict[str, Any]:
    """Go back to the generation before the current one, proved like any other."""
    current = run.current
    wanted = run.place.before(current) if current else None
    if current is None or wanted is None:
        raise HostError(f"there is no earlier state of {run.place.name} to go back to")
    outcome = {
        "changed": True,
        "action": "rollback",
        "message": f"would go back to {wanted.words()}",
        "release": wanted.record["release"],
        "generation": wanted.path.name,
        "previous": current.path.name,
    }
    if run.check:
        return outcome
    account = _account(run)
    must_be_free(run.app, run.place, listen_targets(wanted))
    request = read_request(Variables(wanted.variables(), run.app.prefix, run.app.known), run.app.remembered)
    make(run.app, run.place, Switch(wanted, current, "restart", False, "", False, account, request.probing))
    return {**outcome, "message": f"went back to {wanted.words()}; it passes its probe"}


def _remove(run: Run) -> dict[str, Any]:
    """Take the service away; its data stay unless they are to be purged."""
    purge = run.given.flag("purge")
    outcome = {"changed": True, "action": "remove", "release": None, "generation": None, "previous": None}
    if not run.place.exists():
        return {**outcome, "changed": False, "message": f"{run.place.name} is not deployed here"}
    data = str(run.place.home)
    kept = (
        ""
        if purge or not run.place.home.exists()
        else f"; its data in {data} stay ({run.app.prefix}purge removes them)"
    )
    if run.check:
        return {**outcome, "message": f"would remove {run.place.name}{kept}"}
    generations = run.place.all()
    erase(run.place, run.place.data_folders if purge else [], account=purge)
    run.app.forget(run.place, generations)
    return {**outcome, "message": f"{run.place.name} was removed{kept}"}


def refused(run: Run, candidate: Candidate, done: Done) -> HostError:
    """The error of a configuration that the new program does not take."""
    words = HIDDEN if candidate.request.hide_config else done.tail()
    serves = f" {run.current.words()} serves as before." if run.current else ""
    text = (
        f"{run.app.title} {candidate.release.version} refuses the configuration: nothing was changed.{serves}\n{words}"
    )
    return HostError(text)
