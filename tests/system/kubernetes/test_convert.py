"""What is played is what was rendered, but for what kube_convert says."""

import copy

import pytest
import yaml
from kube_convert import playable
from kube_render import rendered, workloads

PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@pytest.fixture(scope="module")
def objects():
    return rendered("dev")


def as_it_stays(workload):
    """The pod without what may change."""
    pod = copy.deepcopy(workload["spec"]["template"]["spec"])
    empty = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume or "persistentVolumeClaim" in volume}
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] not in empty]
    for container in pod["containers"]:
        del container["name"]
        container.pop("env", None)
        for probe in PROBES:
            for how in ("httpGet", "exec"):
                container.get(probe, {}).pop(how, None)
        container["volumeMounts"] = [mount | {"name": ""} for mount in container["volumeMounts"]]
    return pod


def test_nothing_else_is_changed(objects):
    for workload in workloads(objects):
        *parts, played = playable(objects, f"{workload['kind']}/{workload['metadata']['name']}")
        assert as_it_stays(played) == as_it_stays(workload)
        assert {part["kind"] for part in parts} <= {"ConfigMap", "PersistentVolumeClaim"}
        assert "httpGet" not in yaml.safe_dump(played)
        assert "fieldRef" not in yaml.safe_dump(played)


def test_settings_change_in_names_of_services_alone(objects):
    configs = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
    changed = set()
    for workload in workloads(objects):
        for part in playable(objects, f"{workload['kind']}/{workload['metadata']['name']}"):
            if part["kind"] == "ConfigMap":
                before = configs[part["metadata"]["name"]]
                changed |= {(key, value) for key, value in part["data"].items() if before[key] != value}
    assert changed == {("MYX_EXECUTOR_GATEWAY_TARGET", "dns:///gateway:7000")}
