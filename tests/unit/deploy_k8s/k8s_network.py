"""What NetworkPolicies let through, as a network plug-in reads them: `cut_off(objects)` names who misses what."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from k8s_policy import Object, name_of, pods, selects, settings_of

NAMESPACE = "kubernetes.io/metadata.name"
SERVICES = ("registry", "heartbeat", "executor", "gateway")
# Of hosts: SSH, and both ends of where agents may listen.
HOST_PORTS = (22, 8000, 32767, 61000, 65535)
# Their commands and checks go to hosts anywhere.
CALLERS_OF_HOSTS = ("heartbeat", "executor")


@dataclass(frozen=True)
class Place:
    """An end of a connection: a pod of ours, one of another namespace, or (without labels) outside of the cluster."""

    name: str
    labels: dict[str, str] | None = None
    namespace: str = ""
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def template(self) -> Object:
        """As a selector sees it."""
        return {"metadata": {"labels": self.labels or {}}}


DNS = Place("DNS", {"k8s-app": "kube-dns"}, "kube-system")
OUTSIDE = Place("a host anywhere")


def cut_off(objects: list[Object]) -> list[str]:
    """A line for each connection that a server or a migration needs and that is not let through."""
    policies = [obj["spec"] for obj in objects if obj["kind"] == "NetworkPolicy"]
    wrong = []
    for workload, template in pods(objects):
        source = _pod(name_of(workload), template)
        for target, protocol, port in _needs(workload, source, objects):
            if not is_let_through(policies, source, target, protocol, port):
                wrong.append(f"{source.name} does not get to {target.name}, {protocol} {port}")
    for source, target, port in _callers(objects):
        if not is_let_through(policies, source, target, "TCP", port):
            wrong.append(f"{source.name} does not get to {target.name}, TCP {port}")
    return sorted(set(wrong))


def is_let_through(policies: list[Object], source: Place, target: Place, protocol: str, port: int) -> bool:
    """Whether both ends let a connection through; an end that no policy of the direction is about lets everything."""
    return _side(policies, "Egress", source, target, target, (protocol, port)) and _side(
        policies, "Ingress", target, source, target, (protocol, port)
    )


def _side(
    policies: list[Object], direction: str, own: Place, other: Place, target: Place, port: tuple[str, int]
) -> bool:
    if own.labels is None or own.namespace:
        return True
    about = [p for p in policies if direction in p["policyTypes"] and selects(p["podSelector"], own.template)]
    rules = [rule for policy in about for rule in policy.get(direction.lower(), [])]
    peers = "to" if direction == "Egress" else "from"
    return not about or any(_is_peer(rule.get(peers), other) and _is_port(rule, target, *port) for rule in rules)


def _is_peer(peers: list[Object] | None, other: Place) -> bool:
    return not peers or any(_is_one(peer, other) for peer in peers)


def _is_one(peer: Object, other: Place) -> bool:
    assert set(peer) <= {"podSelector", "namespaceSelector"}, "blocks of addresses are not understood here"
    if other.labels is None or not selects(peer.get("podSelector", {}), other.template):
        return False
    if "namespaceSelector" not in peer:
        return not other.namespace
    wanted = peer["namespaceSelector"].get("matchLabels", {})
    return all(value == other.namespace for key, value in wanted.items() if key == NAMESPACE)


def _is_port(rule: Object, target: Place, protocol: str, port: int) -> bool:
    named = {entry["protocol"]: set() for entry in rule.get("ports", [])}
    for entry in rule.get("ports", []):
        named[entry["protocol"]].add(target.ports.get(entry["port"], entry["port"]))
    return not named or port in named.get(protocol, set())


def _needs(workload: Object, source: Place, objects: list[Object]) -> Iterator[tuple[Place, str, int]]:
    service = source.labels["app.kubernetes.io/name"]
    if service not in SERVICES:
        return
    settings = {
        key.removeprefix(f"MYX_{service.upper()}_"): value for key, value in settings_of(workload, objects).items()
    }
    yield DNS, "UDP", 53
    yield DNS, "TCP", 53
    yield _server("postgres:5432", objects)
    if workload["kind"] == "Job":
        return
    yield _server(urlsplit(settings["NATS_URL"]).netloc, objects)
    for key, value in settings.items():
        if key.endswith("_TARGET"):
            yield _server(value.removeprefix("dns:///"), objects)
    if "OTLP_ENDPOINT" in settings:
        yield _server(urlsplit(settings["OTLP_ENDPOINT"]).netloc, objects)
    if "ADVERTISE" in settings:
        yield source, "TCP", int(settings["ADVERTISE"].rpartition(":")[2])
    if service in CALLERS_OF_HOSTS:
        for port in HOST_PORTS:
            yield OUTSIDE, "TCP", port


def _server(address: str, objects: list[Object]) -> tuple[Place, str, int]:
    host, _, port = address.partition(":")
    name, _, namespace = host.partition(".")
    if namespace:
        return Place(host, {}, namespace), "TCP", int(port)
    for obj in objects:
        if obj["kind"] == "Service" and obj["metadata"]["name"] == name:
            (behind,) = [_pod(name, pod) for _, pod in pods(objects) if selects(_selector(obj), pod)]
            (entry,) = [entry for entry in obj["spec"]["ports"] if entry["port"] == int(port)]
            return behind, "TCP", behind.ports[entry["targetPort"]]
    return Place(f"{name} outside"), "TCP", int(port)


def _callers(objects: list[Object]) -> Iterator[tuple[Place, Place, int]]:
    """Who comes from elsewhere, by the components that are there."""
    servers = {
        workload["metadata"]["name"]: _pod(name_of(workload), template)
        for workload, template in pods(objects)
        if workload["kind"] == "Deployment"
    }
    kinds = {obj["kind"] for obj in objects}
    if "ServiceMonitor" in kinds:
        for server in servers.values():
            yield Place("Prometheus", {}, "monitoring"), server, server.ports["probes"]
    gateway = servers["gateway"]
    if "Ingress" in kinds:
        yield Place("the ingress controller", {}, "ingress-nginx"), gateway, gateway.ports["http"]
    doors = [obj["spec"].get("type") for obj in objects if obj["kind"] == "Service"]
    if "LoadBalancer" in doors:
        yield Place("a person"), gateway, gateway.ports["http"]


def _selector(service: Object) -> Object:
    return {"matchLabels": service["spec"]["selector"]}


def _pod(name: str, template: Object) -> Place:
    ports = {
        port["name"]: port["containerPort"]
        for container in template["spec"]["containers"]
        for port in container.get("ports", [])
    }
    return Place(name, template["metadata"]["labels"], ports=ports)
