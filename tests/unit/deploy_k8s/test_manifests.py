"""Every overlay, and the base with every choice of components, fits each Kubernetes and breaks no rule of ours."""

import copy
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from k8s_network import cut_off
from k8s_policy import CLOSE_MARGIN_S, broken_rules, name_of, pods, settings_of
from k8s_render import ALL_CHOICES, combine, render

from myx_executor.__main__ import TableSettings as ExecutorTables
from myx_executor.settings import ExecutorSettings
from myx_gateway.settings import GatewaySettings
from myx_gateway.verbs import TableSettings as GatewayTables
from myx_heartbeat.__main__ import TableSettings as HeartbeatTables
from myx_heartbeat.settings import HeartbeatSettings
from myx_registry.__main__ import TableSettings as RegistryTables
from myx_registry.settings import RegistrySettings
from myx_standalone.nats import Nats

ROOT = Path(__file__).resolve().parents[3]
K8S = ROOT / "deploy" / "k8s"
# The newest that there are schemas of, and back as far as clusters are found that get no more fixes.
KUBERNETES = ("1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
# Kinds of operators, which have no schema in Kubernetes itself.
FOREIGN = {"monitoring.coreos.com/v1", "cert-manager.io/v1"}
SETTINGS = {
    "registry": RegistrySettings,
    "heartbeat": HeartbeatSettings,
    "executor": ExecutorSettings,
    "gateway": GatewaySettings,
}
MIGRATION_SETTINGS = {
    "registry": RegistryTables,
    "heartbeat": HeartbeatTables,
    "executor": ExecutorTables,
    "gateway": GatewayTables,
}


@pytest.fixture(scope="module")
def validator():
    return pytest.importorskip(
        "kubernetes_validate",
        reason="no schemas: .venv/bin/pip install -c constraints.txt -r tests/unit/deploy_k8s/requirements.txt",
    )


def find(objects, kind, name):
    (found,) = [obj for obj in objects if obj["kind"] == kind and obj["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize(
    "kubernetes",
    [KUBERNETES[0], *(pytest.param(one, marks=pytest.mark.long) for one in KUBERNETES[1:-1]), KUBERNETES[-1]],
)
def test_every_object_fits_the_schema(everything, validator, kubernetes):
    distinct = {json.dumps(obj, sort_keys=True): obj for objects in everything.values() for obj in objects}
    checked = [obj for obj in distinct.values() if obj["apiVersion"] not in FOREIGN]
    for obj in checked:
        validator.validate(obj, kubernetes, strict=True)
    assert len(checked) > 40


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_choice_of_components_that_there_is(tmp_path, validator):
    distinct = {}
    for chosen, objects in combine(tmp_path, ALL_CHOICES).items():
        assert broken_rules(objects) == [], chosen
        assert cut_off(objects) == [], chosen
        distinct |= {json.dumps(obj, sort_keys=True): obj for obj in objects if obj["apiVersion"] not in FOREIGN}
    for obj in distinct.values():
        for kubernetes in KUBERNETES:
            validator.validate(obj, kubernetes, strict=True)


def test_the_schema_check_would_notice(overlays, validator):
    deployment = copy.deepcopy(find(overlays["dev"], "Deployment", "registry"))
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["perodSeconds"] = 3
    with pytest.raises(validator.ValidationError):
        validator.validate(deployment, "1.35", strict=True)


def test_no_rule_is_broken(everything):
    broken = {name: rules for name, objects in everything.items() if (rules := broken_rules(objects))}
    assert broken == {}


def _spec(obj):
    return obj["spec"]["template"]["spec"]


WRONGS = {
    "may run as root": lambda d: _spec(d)["securityContext"].update(runAsNonRoot=False),
    "no seccomp profile": lambda d: _spec(d)["securityContext"].pop("seccompProfile"),
    "can be written to": lambda d: _spec(d)["containers"][0]["securityContext"].pop("readOnlyRootFilesystem"),
    "gain privileges": lambda d: _spec(d)["containers"][0]["securityContext"].update(privileged=True),
    "keeps capabilities": lambda d: _spec(d)["containers"][0]["securityContext"].pop("capabilities"),
    "no limits of memory": lambda d: _spec(d)["containers"][0]["resources"]["limits"].pop("memory"),
    "no livenessProbe": lambda d: _spec(d)["containers"][0].pop("livenessProbe"),
    "before its drain is over": lambda d: _spec(d).update(terminationGracePeriodSeconds=12),
    "names no version": lambda d: _spec(d)["containers"][0].update(image="localhost:5000/registry"),
    "token is mounted": lambda d: _spec(d).pop("automountServiceAccountToken"),
    "hostNetwork": lambda d: _spec(d).update(hostNetwork=True),
    "of a kind that we do not use": lambda d: _spec(d)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    "can be read by others": lambda d: _spec(d)["volumes"][1]["secret"].update(defaultMode=0o444),
    "variables of Services": lambda d: _spec(d).pop("enableServiceLinks"),
    "holds a secret": lambda d: _spec(d)["containers"][0].update(env=[{"name": "URL", "value": "postgresql://a:b@c"}]),
    "value of a secret": lambda d: _spec(d)["containers"][0].update(env=[{"name": "API_TOKEN", "value": "x"}]),
    "in the environment": lambda d: _spec(d)["containers"][0].update(
        env=[{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]
    ),
    "there are two": lambda d: None,
}


@pytest.mark.parametrize("rule", WRONGS)
def test_a_broken_rule_is_noticed(overlays, rule):
    objects = copy.deepcopy(overlays["dev"])
    deployment = find(objects, "Deployment", "registry")
    WRONGS[rule](deployment)
    broken = broken_rules([*objects, deployment] if rule == "there are two" else objects)
    assert len(broken) == 1
    assert rule in broken[0]


def spec_of(objects, kind, name):
    return find(objects, kind, name)["spec"]


HPA = "HorizontalPodAutoscaler"
NETWORK = "NetworkPolicy"
COMPONENT_WRONGS = {
    "has a port rpc": lambda objects: spec_of(objects, "NetworkPolicy", "registry")["ingress"][0]["ports"][0].update(
        port="rpc"
    ),
    "there is no pod": lambda objects: spec_of(objects, "NetworkPolicy", "executor")["ingress"][0]["from"].append(
        {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "door"}}}
    ),
    "is about no pod": lambda objects: objects.append(
        {"kind": "NetworkPolicy", "metadata": {"name": "x"}, "spec": {"podSelector": {"matchLabels": {"a": "b"}}}}
    ),
    "which each apply would set again": lambda objects: find(objects, "Deployment", "registry")["spec"].update(
        replicas=2
    ),
    "a single replica": lambda objects: spec_of(objects, HPA, "registry").update(minReplicas=1),
    "is not there": lambda objects: spec_of(objects, HPA, "registry")["scaleTargetRef"].update(name="x"),
    "does not name its service": lambda objects: spec_of(objects, "Certificate", "registry-tls").update(commonName="x"),
    "not for both sides": lambda objects: spec_of(objects, "Certificate", "registry-tls").update(usages=["any"]),
    "nobody issues it": lambda objects: spec_of(objects, "Certificate", "registry-tls")["issuerRef"].update(name="x"),
}


@pytest.mark.parametrize("rule", COMPONENT_WRONGS)
def test_a_broken_rule_of_components_is_noticed(everything, rule):
    objects = copy.deepcopy(everything["base+autoscaling+cert-manager"])
    COMPONENT_WRONGS[rule](objects)
    broken = broken_rules(objects)
    assert len(broken) == 1
    assert rule in broken[0]


@pytest.mark.parametrize("kind", ["PodDisruptionBudget", "NetworkPolicy", "Service"])
def test_a_server_without_its_company_is_noticed(overlays, kind):
    objects = [obj for obj in overlays["dev"] if not (obj["kind"] == kind and obj["metadata"]["name"] == "registry")]
    assert [line for line in broken_rules(objects) if kind in line]


@pytest.mark.parametrize("service", SETTINGS)
def test_the_services_take_their_settings(everything, service, monkeypatch):
    seen = []
    for objects in everything.values():
        for kind, name in (("Deployment", service), ("Job", f"{service}-migrate")):
            workload = find(objects, kind, name)
            given, pod = settings_of(workload, objects), workload["spec"]["template"]["spec"]
            if (kind, given, pod) in seen:
                continue
            seen.append((kind, given, pod))
            with monkeypatch.context() as environment:
                for key, value in given.items():
                    environment.setenv(key, value.replace("$(POD_IP)", "10.1.2.3"))
                kinds = SETTINGS if kind == "Deployment" else MIGRATION_SETTINGS
                settings = kinds[service].load()
            assert str(settings.database_url_file) == "/etc/myx/database/url"
            if kind == "Deployment":
                assert settings.http_listen.endswith(":9090")
                sleep_s = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {"seconds": 0})
                needed_s = settings.drain_s + getattr(settings, "play_drain_s", 0) + sleep_s["seconds"] + CLOSE_MARGIN_S
                assert pod["terminationGracePeriodSeconds"] > needed_s, name


def test_secrets_and_their_keys_are_those_that_are_made(everything, tmp_path):
    made_by = runpy.run_path(str(K8S / "make_secrets.py"), run_name="make_secrets")
    ours = {item["metadata"]["name"]: set(item["stringData"]) for item in made_by["manifests"](tmp_path)["items"]}
    theirs = {name: {"tls.crt", "tls.key"} for name in ("gateway-door-tls", "gateway-ingress-tls")}
    made = ours | theirs
    for objects in everything.values():
        for workload, template in pods(objects):
            for volume in template["spec"]["volumes"]:
                if "secret" in volume:
                    keys = {item["key"] for item in volume["secret"].get("items", [])}
                    assert keys <= made[volume["secret"]["secretName"]], name_of(workload)


def test_secrets_are_made_once_and_kept_for_the_owner_alone(tmp_path):
    manifests = runpy.run_path(str(K8S / "make_secrets.py"), run_name="make_secrets")["manifests"]
    folder = tmp_path / "secrets"
    first = manifests(folder)
    assert manifests(folder) == first
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*") if path.suffix not in {".crt"}} == {0}
    other = tmp_path / "ca.pem"
    other.write_text("their CA\n")
    outside = {i["metadata"]["name"]: i["stringData"] for i in manifests(folder, "db.example:6432/x", other)["items"]}
    assert "@db.example:6432/x?sslmode=verify-full" in outside["executor-database"]["url"]
    assert outside["executor-database"]["ca.crt"] == "their CA\n"


def test_other_teams_programs_and_cert_manager_get_what_is_theirs(tmp_path):
    manifests = runpy.run_path(str(K8S / "make_secrets.py"), run_name="make_secrets")["manifests"]
    plain = {i["metadata"]["name"]: i["stringData"] for i in manifests(tmp_path, clients=["ci"])["items"]}
    issued = {i["metadata"]["name"]: i["stringData"] for i in manifests(tmp_path, cert_manager=True)["items"]}
    certificate = x509.load_pem_x509_certificate(plain["ci-tls"]["tls.crt"].encode())
    authority = x509.load_pem_x509_certificate(issued["myx-ca"]["tls.crt"].encode())
    certificate.verify_directly_issued_by(authority)
    assert certificate.subject.rfc4514_string() == "CN=ci"
    assert set(plain) - set(issued) == {f"{name}-tls" for name in ("ci", "nats", "postgres", *SETTINGS)}
    assert issued["gateway-database"]["ca.crt"] == plain["gateway-tls"]["ca.crt"]


@pytest.mark.parametrize("name", ["gateway", "nats", "standalone", "CI", "a b", ""])
def test_no_program_gets_the_certificate_of_a_part_of_ours(name, tmp_path):
    program = [sys.executable, str(K8S / "make_secrets.py"), str(tmp_path / "new"), "--client", name]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, (tmp_path / "new").exists()) == (2, "", False)


def test_every_part_has_its_certificate_from_cert_manager(everything):
    certificates = {o["spec"]["secretName"] for o in everything["base+cert-manager"] if o["kind"] == "Certificate"}
    wanted = {
        volume["secret"]["secretName"]
        for _, template in pods(everything["base+nats+postgres"])
        for volume in template["spec"]["volumes"]
        if "secret" in volume
    }
    assert {name for name in wanted if name.endswith("-tls")} == certificates


def test_nats_allows_in_a_cluster_what_it_allows_on_one_machine(tmp_path):
    standalone = Nats(tmp_path / "nats", tmp_path)
    standalone.configure(4222, 8222)
    there = json.loads((tmp_path / "nats" / "nats.conf").read_text())
    here = json.loads((K8S / "components" / "nats" / "nats.conf").read_text())
    for part in ("authorization", "max_payload", "write_deadline", "ping_interval"):
        assert here[part] == there[part]
    assert here["tls"]["verify_and_map"] is True
    assert here["jetstream"]["sync_interval"] == there["jetstream"]["sync_interval"] == "always"


def test_policies_name_who_calls_whom(overlays):
    objects = overlays["production"]
    calls = {
        ("registry", "grpc"): {"heartbeat", "executor", "gateway"},
        ("heartbeat", "grpc"): {"heartbeat", "executor", "gateway"},
        ("executor", "grpc"): {"gateway"},
        ("gateway", "grpc"): {"executor"},
        ("nats", "nats"): {"registry", "heartbeat", "executor", "gateway"},
    }
    for (service, port), callers in calls.items():
        policy = find(objects, "NetworkPolicy", service)["spec"]
        assert "Ingress" in policy["policyTypes"]
        (rule,) = policy["ingress"]
        assert {peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in rule["from"]} == callers
        assert [entry["port"] for entry in rule["ports"]] == [port]


def test_everybody_gets_through_to_what_it_needs(everything):
    wrong = {name: lines for name, objects in everything.items() if (lines := cut_off(objects))}
    assert wrong == {}


CUTS = {
    "Deployment/heartbeat does not get to a host anywhere": lambda objects: spec_of(objects, "NetworkPolicy", "spans")[
        "podSelector"
    ]["matchExpressions"][0]["values"].append("heartbeat"),
    "Deployment/registry does not get to DNS": lambda objects: spec_of(objects, "NetworkPolicy", "registry")[
        "egress"
    ].pop(0),
    "Job/gateway-migrate does not get to postgres": lambda objects: spec_of(objects, "NetworkPolicy", "gateway")[
        "egress"
    ].pop(),
    "Deployment/gateway does not get to executor": lambda objects: spec_of(objects, "NetworkPolicy", "executor")[
        "ingress"
    ].pop(),
    "Deployment/registry does not get to collector": lambda objects: objects.remove(
        find(objects, "NetworkPolicy", "spans")
    ),
    "Deployment/heartbeat does not get to Deployment/heartbeat": lambda objects: spec_of(
        objects, "NetworkPolicy", "heartbeat"
    )["ingress"][0]["from"].pop(0),
}


@pytest.mark.parametrize("line", CUTS)
def test_who_is_cut_off_is_noticed(everything, line):
    objects = copy.deepcopy(everything["base+postgres+tracing"])
    CUTS[line](objects)
    assert [found for found in cut_off(objects) if found.startswith(line)]


@pytest.mark.parametrize(
    ("component", "policy", "caller"),
    [
        ("monitoring", "metrics", "Prometheus"),
        ("ingress", "gateway-from-ingress", "the ingress controller"),
        ("door", "gateway-from-anywhere", "a person"),
    ],
)
def test_a_component_without_its_policy_is_noticed(everything, component, policy, caller):
    objects = [o for o in everything[f"base+{component}"] if (o["kind"], o["metadata"]["name"]) != (NETWORK, policy)]
    assert [line for line in cut_off(objects) if line.startswith(f"{caller} does not get to Deployment/gateway")]


def test_settings_change_no_migration(overlays, combined, tmp_path):
    shutil.copytree(K8S, tmp_path, dirs_exist_ok=True)
    overlay = tmp_path / "overlays" / "changed"
    overlay.mkdir()
    settings = [
        {"name": f"{name}-settings", "behavior": "merge", "literals": [f"MYX_{name.upper()}_LOG_LEVEL=warning"]}
        for name in SETTINGS
    ]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../dev"],
        "configMapGenerator": settings,
    }
    (overlay / "kustomization.yaml").write_text(json.dumps(kustomization))
    before, after = overlays["dev"], render(overlay)
    for name in SETTINGS:
        assert find(before, "Deployment", name) != find(after, "Deployment", name)
        # Kubernetes refuses a Job whose template is another than before, and with it the whole `kubectl apply`.
        assert find(before, "Job", f"{name}-migrate") == find(after, "Job", f"{name}-migrate")
    jobs = [[obj["spec"] for obj in objects if obj["kind"] == "Job"] for objects in combined.values()]
    assert all(each == jobs[0] for each in jobs)
    assert len(jobs[0]) == len(SETTINGS)


def test_targets_are_all_replicas_of_a_service_that_exists(everything):
    for objects in everything.values():
        for workload, template in pods(objects):
            for key, value in settings_of(workload, objects).items():
                if not key.endswith("_TARGET"):
                    continue
                name, _, port = value.removeprefix("dns:///").partition(":")
                service = find(objects, "Service", name)["spec"]
                assert (service["clusterIP"], service["ports"][0]["port"]) == ("None", int(port)), name_of(workload)
                assert value.startswith("dns:///"), key
            assert template["metadata"]["labels"]["app.kubernetes.io/name"]


def test_migrations_are_no_address_of_a_service(everything):
    for objects in everything.values():
        selectors = [obj["spec"]["selector"] for obj in objects if obj["kind"] == "Service"]
        for workload, template in pods(objects):
            if workload["kind"] == "Job":
                labels = template["metadata"]["labels"].items()
                assert not [selector for selector in selectors if selector.items() <= labels]


def test_production_has_several_of_each(overlays):
    counts = {o["metadata"]["name"]: o["spec"]["replicas"] for o in overlays["production"] if o["kind"] == "Deployment"}
    assert set(counts) == set(SETTINGS)
    assert min(counts.values()) > 1


def test_memory_is_as_documented_and_limits_leave_room_above_what_was_measured(overlays):
    page, figures = ((ROOT / "docs" / name).read_text() for name in ("operations/kubernetes.md", "benchmarks.md"))
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| (\d+) \|", page, re.MULTILINE)
    assert {name for name, *_ in rows} == set(SETTINGS)
    most = {name: int(row[-1]) for name, *row in rows}
    assert f"10,000 agents on one replica take 0.16 cores and {most['heartbeat']} MB" in figures
    assert [name for name, one in most.items() if not re.search(rf"\b{one}\b", figures)] == []
    for name, request, limit, _ in rows:
        resources = _spec(find(overlays["production"], "Deployment", name))["containers"][0]["resources"]
        asked = {group: _mib(resources[group]["memory"]) for group in ("requests", "limits")}
        assert asked == {"requests": int(request), "limits": int(limit)}, name
        assert asked["limits"] >= 1.5 * most[name], name


def _mib(quantity):
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]
