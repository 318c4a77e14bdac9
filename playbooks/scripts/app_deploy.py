"""One deployment from its variables to its outcome: plan, stage, validate, switch, report.

A program of this family reads {"variables": {…}, "files": {…}, "check": false, "diff": false} and answers with one
JSON object:
{"changed", "failed", "message", "action", "release", "generation", "previous", "warnings", "diff"?}.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from app_artifact import BadArtifact
from app_host import MARK, NOBODY, Account, Host, HostError, lock, remove_tree, sync, sync_tree
from app_place import Generation, Place, digest, now, write_json
from app_release import App, Candidate, Run
from app_report import config_diff
from app_request import (
    ACTIONS,
    Request,
    given_config,
    merge,
    read_request,
    split_singles,
)
from app_switch import (
    Cancelled,
    Switch,
    cancel_by_signal,
    erase,
    erase_first,
    listen_targets,
    make,
    must_be_free,
    must_not_be_foreign,
    probe_of,
    recover,
    uninterruptible,
)
from app_variables import BadVariable, Variables, mask
from check_service import Probe, run_probe

OK, FAILED, BAD_INPUT = 0, 1, 64


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
    os.umask(0o022)  # the service's user must reach its program, also where root's own files are closed to others
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
        run.secrets |= run.current.secrets() if run.current else set()
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
    made = not run.check and not run.place.exists()
    first = made or run.current is None
    try:
        if not run.check:
            run.place.create()
        with run.place.workspace(run.check) as workspace:
            candidate = _stage(run, request, workspace)
            return _apply(run, candidate, first)
    except BaseException:
        uninterruptible()
        run.app.abandon(run)
        if made and run.place.exists() and not run.place.attempt.exists():
            erase_first(run.place)
        raise


def _request(run: Run) -> Request:
    app, remembered = run.app, run.current.variables() if run.current else {}
    given = {name: run.given.get(name) for name in app.known}
    together = merge(given, given_config(run.given, run.files), remembered)
    for name, entries in run.singles.items():
        if entries:
            together[name] = {**(Variables(together, app.prefix, app.known).mapping(name) or {}), **entries}
    merged = Variables(together, app.prefix, app.known)
    request = read_request(merged, app.remembered)
    run.secrets |= request.secrets()
    request.config()
    app.check(request)
    return request


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
    current, release = run.current, candidate.release
    same = current is not None and current.record["content"] == candidate.content() and current.is_intact()
    return same and not release.fresh  # a program that must be brought anew under its name was touched


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
    same = same and not candidate.release.fresh
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
    request = candidate.request
    switch = Switch(
        generation, run.current, how, fresh, release, first, candidate.account, request.probing, request.hide_config
    )
    try:
        _remember_foreign_unit(run.place)
        make(run.app, run.place, switch)
    except BaseException:
        _drop_unused(run, switch)
        raise
    run.app.forget(run.place, run.place.prune(request.keep))
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


def _settle(run: Run, candidate: Candidate, facts: dict[str, Any]) -> tuple[Generation, str]:
    """Move the staged state to its place, not yet in force; (generation, name of a release that came with it)."""
    place, release = run.place, candidate.release
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
    sync_tree(candidate.folder)
    fresh = _settle_release(place, release.name, release.folder) if release.folder is not None and release.fresh else ""
    target = place.generations / place.next_name(content)
    candidate.folder.rename(target)
    for folder in (place.releases, place.generations, place.base):
        sync(folder)
    return Generation(target, record), fresh


def _settle_release(place: Place, name: str, folder: Path) -> str:
    """Move the new program to its place; its name unless it was there, damaged: deployed states may lead to it."""
    sync_tree(folder)
    target = place.releases / name
    is_new = not target.exists()
    if not is_new:
        target.rename(folder.with_name("damaged"))
    folder.rename(target)
    return name if is_new else ""


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
    run.secrets |= wanted.secrets()
    must_be_free(run.app, run.place, listen_targets(wanted))
    request = read_request(Variables(wanted.variables(), run.app.prefix, run.app.known), run.app.remembered)
    hide = request.hide_config or Variables(current.variables(), run.app.prefix, run.app.known).flag("hide_config")
    make(run.app, run.place, Switch(wanted, current, "restart", False, "", False, account, request.probing, hide))
    return {**outcome, "message": f"went back to {wanted.words()}; it passes its probe"}


def _remove(run: Run) -> dict[str, Any]:
    """Take the service away; its data stay unless they are to be purged, now or later."""
    place, purge = run.place, run.given.flag("purge")
    is_there, note = place.exists(), place.left
    outcome = {"changed": True, "action": "remove", "release": None, "generation": None, "previous": None}
    stays = place.home.exists() and not purge and (is_there or note is not None)
    kept = f"; its data in {place.home} stay ({run.app.prefix}purge removes them)" if stays else ""
    if not is_there and not (purge and note is not None):
        return {**outcome, "changed": False, "message": f"{place.name} is not deployed here{kept}"}
    what = place.name if is_there else f"what {place.name} had left"
    if not is_there:
        # Somebody else's service may use the user and the data by now.
        must_not_be_foreign(place, False, run.app.prefix)
        if (kind := place.facts.get("kind")) != place.kind:
            raise HostError(f"{what} is of a deployment of {kind}: remove it with the playbook of that")
    if run.check:
        return {**outcome, "message": f"would remove {what}{kept}"}
    uninterruptible()
    ours = bool(place.facts.get("account_made") or (note or {}).get("account"))
    left = {"account": ours}
    with suppress(OSError):  # a full disk; should this be cut off, a next deployment that fails takes no data away
        place.note(left=left, account_made=False, data_before=[str(folder) for folder in place.data_folders])
    generations = place.all()
    if purge:
        erase(place, place.data_folders, account=ours, left=None)
    else:
        rest = ours or any(folder.exists() for folder in place.data_folders)
        erase(place, [], account=False, left=left if rest else None)
    run.app.forget(place, generations)
    return {**outcome, "message": f"{what} was removed{kept}"}
