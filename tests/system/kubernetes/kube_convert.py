"""What `podman kube play` needs to run manifests that are meant for a cluster.

It knows Pods, Deployments, Jobs, ConfigMaps, Secrets and claims, one container network with names, and nothing of what
a cluster does for them. So, and in no other way, the rendered objects are changed here:

- Services, policies, accounts, budgets, ingresses are left out: there is nobody to obey them. A container is called as
  the Service in front of it, which is a name in the network then; where a second Service leads to it, addresses in
  settings that name that one are rewritten.
- StatefulSets become Deployments, their claim templates claims of their own.
- HTTP probes become programs that ask the same URL inside the container; podman knows no readiness and no startup.
- Empty folders get names of their own: in podman those of one name are one folder for all pods.
- A pod's own address is not told to it (`status.podIP`): it is given its name instead.
- Files of Secrets and empty folders do not get the group `fsGroup`: `handed_over` says which volumes somebody
  has to give to it before the pods are started.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

PLAYED = ("ConfigMap", "PersistentVolumeClaim", "Secret", "Deployment", "StatefulSet", "Job")
ASK = "import sys,urllib.request as u;sys.exit(u.urlopen('http://127.0.0.1:{port}{path}',timeout={limit}).status!=200)"


def playable(objects: list[Object], name: str) -> list[Object]:
    """The workload `name` ("Deployment/gateway") with the ConfigMaps, claims that it needs, ready to be played."""
    kind, _, own = name.partition("/")
    (workload,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == own]
    workload = copy.deepcopy(workload)
    names = _names(objects)
    claims = list(_claims(workload))
    if kind == "StatefulSet":
        _make_deployment(workload)
    pod = workload["spec"]["template"]["spec"]
    for container in pod["containers"]:
        if kind != "Job":
            container["name"] = names[own]
        _probes(container)
        _environment(container, names[own] if kind != "Job" else own)
    _own_folders(pod, own if kind != "Job" else f"{own}-job")
    wanted = {source["configMapRef"]["name"] for c in pod["containers"] for source in c.get("envFrom", [])}
    wanted |= {volume["configMap"]["name"] for volume in pod.get("volumes", []) if "configMap" in volume}
    configs = [_config(o, objects) for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"] in wanted]
    return [*configs, *claims, workload]


def handed_over(workload: Object) -> set[str]:
    """Where volumes are mounted that Kubernetes would give to the pod's group before it starts the pod."""
    pod = workload["spec"]["template"]["spec"]
    theirs = {volume["name"] for volume in pod.get("volumes", []) if "configMap" not in volume}
    return {m["mountPath"] for c in pod["containers"] for m in c.get("volumeMounts", []) if m["name"] in theirs}


def _names(objects: list[Object]) -> dict[str, str]:
    """Workload to the name of its container: that of the first Service that leads to it."""
    found: dict[str, str] = {}
    for obj in objects:
        if obj["kind"] in {"Deployment", "StatefulSet"}:
            found[obj["metadata"]["name"]] = _services(obj, objects)[0]
    return found


def _services(workload: Object, objects: list[Object]) -> list[str]:
    labels = workload["spec"]["template"]["metadata"]["labels"].items()
    services = [o for o in objects if o["kind"] == "Service" and o["spec"]["selector"].items() <= labels]
    return sorted((o["metadata"]["name"] for o in services), key=len)


def _config(config: Object, objects: list[Object]) -> Object:
    """Settings in which further names of a workload are its first."""
    config = copy.deepcopy(config)
    for obj in objects:
        if obj["kind"] in {"Deployment", "StatefulSet"}:
            first, *others = _services(obj, objects)
            for key, value in config["data"].items():
                for other in others:
                    config["data"][key] = re.sub(rf"///{re.escape(other)}:", f"///{first}:", value)
    return config


def _claims(workload: Object) -> Iterator[Object]:
    for template in workload["spec"].get("volumeClaimTemplates", []):
        metadata = {"name": f"{template['metadata']['name']}-{workload['metadata']['name']}-0"}
        yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}


def _make_deployment(workload: Object) -> None:
    workload["kind"] = "Deployment"
    spec = workload["spec"]
    del spec["serviceName"]
    for template in spec.pop("volumeClaimTemplates", []):
        name = template["metadata"]["name"]
        claim = {"claimName": f"{name}-{workload['metadata']['name']}-0"}
        spec["template"]["spec"]["volumes"].append({"name": name, "persistentVolumeClaim": claim})


def _own_folders(pod: Object, owner: str) -> None:
    for volume in pod.get("volumes", []):
        if "emptyDir" in volume:
            old = volume["name"]
            volume["name"] = f"{owner}-{old}"
            for container in pod["containers"]:
                for mount in container.get("volumeMounts", []):
                    mount["name"] = volume["name"] if mount["name"] == old else mount["name"]


def _probes(container: Object) -> None:
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container.get(name, {})
        if "httpGet" in probe:
            asked = probe.pop("httpGet")
            program = ASK.format(port=ports[asked["port"]], path=asked["path"], limit=probe["timeoutSeconds"])
            probe["exec"] = {"command": ["python3", "-c", program]}


def _environment(container: Object, name: str) -> None:
    for entry in container.get("env", []):
        if entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath") == "status.podIP":
            del entry["valueFrom"]
            entry["value"] = name
    values = {entry["name"]: entry["value"] for entry in container.get("env", [])}
    for entry in container.get("env", []):
        entry["value"] = re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], entry["value"])
