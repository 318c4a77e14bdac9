"""What must be true of every object that we ask a cluster to run: `broken_rules(objects)` names what is not."""

import re
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

WORKLOADS = {"Deployment", "StatefulSet", "Job", "DaemonSet", "CronJob", "Pod", "ReplicaSet"}
# Seconds that an orderly stop may take beyond the drain (myx_kit.lifecycle).
CLOSE_MARGIN_S = 4
PSEUDO_SECRET = re.compile(r"(password|token|secret|private|credential)", re.IGNORECASE)
# Of components that may be left out.
_UNMOUNTED = {"postgres-tls", "nats-tls"}
HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "hostUsers")


def broken_rules(objects: list[Object]) -> list[str]:
    """One line for each broken rule: which object, what is wrong."""
    wrong = [f"{name_of(obj)}: {problem}" for obj in objects for problem in _problems(obj, objects)]
    return sorted({*wrong, *_twice(objects)})


def name_of(obj: Object) -> str:
    """Kind/name, for people."""
    return f"{obj['kind']}/{obj['metadata']['name']}"


def pods(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Each workload with its pod template."""
    for obj in objects:
        if obj["kind"] in WORKLOADS:
            yield obj, obj["spec"]["template"]


def settings_of(workload: Object, objects: list[Object]) -> dict[str, str]:
    """The environment of a workload's first container: ConfigMaps, then its own values."""
    container = workload["spec"]["template"]["spec"]["containers"][0]
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        name = source["configMapRef"]["name"]
        (config,) = [o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"] == name]
        found |= config["data"]
    return found | {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}


def _problems(obj: Object, objects: list[Object]) -> Iterator[str]:
    if obj["kind"] == "Secret":
        yield "values of secrets do not belong into manifests"
    if obj["kind"] in {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}:
        yield "nothing of ours needs rights in the cluster"
    if obj["kind"] == "ServiceAccount" and obj.get("automountServiceAccountToken") is not False:
        yield "the account's token is mounted"
    if obj["kind"] == "ConfigMap":
        for key, value in obj["data"].items():
            yield from _secret_values(key, value)
    if obj["kind"] in {"Deployment", "StatefulSet"}:
        yield from _server(obj, objects)
    if obj["kind"] == "NetworkPolicy":
        yield from _network(obj, objects)
    if obj["kind"] == "HorizontalPodAutoscaler":
        yield from _autoscaler(obj, objects)
    if obj["kind"] == "Certificate":
        yield from _certificate(obj, objects)
    if obj["kind"] in WORKLOADS:
        yield from _pod(obj["spec"]["template"]["spec"], is_server=obj["kind"] != "Job")


def _server(obj: Object, objects: list[Object]) -> Iterator[str]:
    labels = obj["spec"]["template"]["metadata"]["labels"]
    for kind, field in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        selectors = [o["spec"][field].get("matchLabels", {}) for o in objects if o["kind"] == kind]
        if not any(selector and selector.items() <= labels.items() for selector in selectors):
            yield f"no {kind} is about its pods"
    services = [o["spec"]["selector"] for o in objects if o["kind"] == "Service"]
    if not any(selector.items() <= labels.items() for selector in services):
        yield "no Service leads to its pods"
    settings = settings_of(obj, objects)
    drain_s = sum(float(value) for key, value in settings.items() if key.endswith("DRAIN_S"))
    before_s = obj["spec"]["template"]["spec"]["containers"][0].get("lifecycle", {}).get("preStop", {})
    needed_s = drain_s + before_s.get("sleep", {}).get("seconds", 0) + CLOSE_MARGIN_S
    if obj["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30) <= needed_s:
        yield f"it is killed before its drain is over ({needed_s:g} s)"


def _network(obj: Object, objects: list[Object]) -> Iterator[str]:
    templates = [template for _, template in pods(objects)]
    selected = [one for one in templates if selects(obj["spec"]["podSelector"], one)]
    if not selected:
        yield "it is about no pod"
    known = {port["name"] for one in selected for c in one["spec"]["containers"] for port in c.get("ports", [])}
    for rule in obj["spec"].get("ingress", []):
        for port in rule.get("ports", []):
            if port["port"] not in known:
                yield f"none of its pods has a port {port['port']}"
    for peer in _peers(obj["spec"]):
        if "namespaceSelector" not in peer and not any(selects(peer["podSelector"], one) for one in templates):
            yield f"there is no pod {peer['podSelector']}"


def _peers(spec: Object) -> Iterator[Object]:
    for rule in spec.get("ingress", []):
        yield from rule.get("from", [])
    for rule in spec.get("egress", []):
        yield from rule.get("to", [])


def selects(selector: Object, template: Object) -> bool:
    """Whether a label selector is about the pods of a template."""
    labels = template["metadata"]["labels"]
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", []))


def _autoscaler(obj: Object, objects: list[Object]) -> Iterator[str]:
    target = obj["spec"]["scaleTargetRef"]
    scaled = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (target["kind"], target["name"])]
    if not scaled:
        yield "what it scales is not there"
    for workload in scaled:
        if "replicas" in workload["spec"]:
            yield f"{name_of(workload)} has a number of its own, which each apply would set again"
    if obj["spec"].get("minReplicas", 1) < 2:
        yield "it may leave a single replica"


def _certificate(obj: Object, objects: list[Object]) -> Iterator[str]:
    spec, secret = obj["spec"], obj["spec"]["secretName"]
    mounted = [v for _, pod in pods(objects) for v in pod["spec"]["volumes"] if "secret" in v]
    if mounted and secret not in {volume["secret"]["secretName"] for volume in mounted} and secret not in _UNMOUNTED:
        yield "nobody uses it"
    if f"{spec['commonName']}-tls" != secret or spec["commonName"] not in spec["dnsNames"]:
        yield "it does not name its service"
    if not {"server auth", "client auth"} <= set(spec["usages"]):
        yield "it is not for both sides"
    issuers = {o["metadata"]["name"] for o in objects if o["kind"] == spec["issuerRef"]["kind"]}
    if spec["issuerRef"]["name"] not in issuers:
        yield "nobody issues it"


def _pod(spec: Object, *, is_server: bool) -> Iterator[str]:
    for field in HOST_FIELDS:
        if spec.get(field):
            yield f"{field} is set"
    if spec.get("automountServiceAccountToken") is not False:
        yield "the account's token is mounted"
    if spec.get("serviceAccountName", "default") == "default":
        yield "it has no ServiceAccount of its own"
    if spec.get("enableServiceLinks") is not False:
        yield "variables of Services get into its environment, where MYX_… would be refused"
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser") or not context.get("runAsGroup"):
        yield "it may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccomp profile"
    for volume in spec.get("volumes", []):
        yield from _volume(volume)
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        yield from _container(container, is_server=is_server)


def _volume(volume: Object) -> Iterator[str]:
    kinds = set(volume) - {"name"}
    if not kinds <= {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}:
        yield f"volume {volume['name']} is of a kind that we do not use"
    if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
        yield f"volume {volume['name']} has no size limit"
    # With more the kit refuses a secret file: root's, readable by the group of fsGroup.
    if "secret" in volume and volume["secret"].get("defaultMode") != 0o440:
        yield f"volume {volume['name']} can be read by others"


def _container(container: Object, *, is_server: bool) -> Iterator[str]:
    name = container["name"]
    context = container.get("securityContext", {})
    if context.get("readOnlyRootFilesystem") is not True:
        yield f"{name}: its root file system can be written to"
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged") is True:
        yield f"{name}: it may gain privileges"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield f"{name}: it keeps capabilities"
    if context.get("runAsUser") == 0 or context.get("runAsNonRoot") is False:
        yield f"{name}: it runs as root"
    resources = container.get("resources", {})
    for group, names in (("limits", {"memory", "ephemeral-storage"}), ("requests", {"cpu", "memory"})):
        if missing := names - set(resources.get(group, {})):
            yield f"{name}: no {group} of {', '.join(sorted(missing))}"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield f"{name}: it takes a port of its host"
    if is_server:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "timeoutSeconds" not in container.get(probe, {}):
                yield f"{name}: no {probe} with a limit"
    image, _, tag = container["image"].rpartition(":")
    if not image or "/" in tag or tag == "latest":
        yield f"{name}: its image {container['image']} names no version"
    for entry in container.get("env", []):
        yield from _secret_values(entry["name"], entry.get("value", ""))
        if "secretKeyRef" in entry.get("valueFrom", {}):
            yield f"{name}: the secret {entry['name']} would show up in the environment"
    for source in container.get("envFrom", []):
        if "secretRef" in source:
            yield f"{name}: a whole secret would show up in the environment"


def _secret_values(key: str, value: str) -> Iterator[str]:
    if PSEUDO_SECRET.search(key) and value and not key.endswith("_FILE"):
        yield f"{key} looks like the value of a secret"
    if "PRIVATE KEY-----" in value or re.search(r"://[^/\s:@]+:[^/\s@]+@", value):
        yield f"{key} holds a secret"


def _twice(objects: list[Object]) -> list[str]:
    seen = [f"{name_of(obj)}: there are two of it" for obj in objects]
    return [line for line in set(seen) if seen.count(line) > 1]
