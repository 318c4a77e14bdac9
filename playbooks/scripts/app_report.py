"""What a deployment changes, as before and after for a person."""

from __future__ import annotations

import json
from typing import Any

from app_release import Candidate, Run


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
