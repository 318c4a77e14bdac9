"""Alerts and dashboard speak of figures that there are, and each alert has its runbook."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
MONITORING = ROOT / "deploy" / "k8s" / "components" / "monitoring"
PAGE = ROOT / "docs" / "operations" / "monitoring.md"
SUFFIXES = ("_bucket", "_count", "_sum")
# What the Prometheus operator puts on everything that it scrapes by a ServiceMonitor: facts about the target.
TARGET_LABELS = {"job", "instance", "namespace", "service", "endpoint", "pod", "container", "node"}


def documented() -> dict[str, str]:
    """Name to kind of each figure in the page's tables."""
    return dict(re.findall(r"^\| `(myx_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE))


def own_labels() -> dict[str, set[str]]:
    """Name of each figure to the labels that it has by itself."""
    rows = re.findall(r"^\| `(myx_\w+)` \| \w+ \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    return {name: {label.strip() for label in labels.split(",")} - {""} for name, labels in rows}


def alerts() -> list[dict]:
    rule = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())
    return [alert for group in rule["spec"]["groups"] for alert in group["rules"]]


def expressions() -> list[str]:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [alert["expr"] for alert in alerts()] + shown


def test_every_figure_in_alerts_and_dashboard_is_documented_with_its_kind():
    kinds, wrong = documented(), []
    for expression in expressions():
        for name in set(re.findall(r"\bmyx_\w+", expression)):
            base = next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)
            if kinds.get(base) != ("histogram" if base != name else kinds.get(name)) or base not in kinds:
                wrong.append(name)
    assert wrong == []
    assert len(kinds) > 50


def test_counters_are_only_looked_at_by_their_growth():
    counters = [name for name, kind in documented().items() if kind == "counter"]
    for expression in expressions():
        for name in re.findall(r"\bmyx_\w+", expression):
            if name in counters or name.endswith(SUFFIXES):
                assert re.search(rf"(rate|increase)\({name}[^)]*\[", expression), expression


def test_labels_of_figures_mean_in_prometheus_what_they_mean_here():
    monitor = yaml.safe_load((MONITORING / "servicemonitor.yaml").read_text())["spec"]
    labels = own_labels()
    both = {name: label for name, own in labels.items() for label in own & TARGET_LABELS}
    # Its own wins with honorLabels; without, the name of the Kubernetes Service, which is another for the gateway.
    assert both == {"myx_build_info": "service"}
    assert [endpoint.get("honorLabels") for endpoint in monitor["endpoints"]] == [True]
    for expression in expressions():
        if re.search(r"\bservice\b", expression):
            assert set(re.findall(r"\bmyx_\w+", expression)) == {"myx_build_info"}, expression


def test_every_alert_has_a_runbook_that_is_there():
    headings = {line[4:].lower() for line in PAGE.read_text().splitlines() if line.startswith("### ")}
    for alert in alerts():
        path, _, anchor = alert["annotations"]["runbook"].partition("#")
        assert ROOT / path == PAGE
        assert anchor in headings
        assert anchor == alert["alert"].lower()
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        assert alert["annotations"]["summary"].endswith(".")


@pytest.fixture
def promtool():
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool (Debian: prometheus)")

    def run(*words: object) -> None:
        done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def test_prometheus_understands_alerts_and_dashboard_and_alerts_speak_up(promtool, tmp_path):
    rule = yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text())
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    shown = [{"record": f"x{number}", "expr": expression} for number, expression in enumerate(expressions())]
    (tmp_path / "shown.yaml").write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": shown}]}))
    promtool("check", "rules", tmp_path / "rules.yaml", tmp_path / "shown.yaml")
    (tmp_path / "alerts.yaml").write_bytes(Path(__file__).with_name("alerts.yaml").read_bytes())
    promtool("test", "rules", tmp_path / "alerts.yaml")
