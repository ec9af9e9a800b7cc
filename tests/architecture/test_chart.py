"""The Helm chart: rendered by helm for each role, decoded by kubectl, its configuration read by the program itself."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from registry_mesh.cli.main import main
from registry_mesh.config.load import parse
from tests.clients.chart_tools import tool

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "registry-mesh"
HELM, KUBECTL = tool("helm"), tool("kubectl")
HUB = {"docker.io": {"default": True, "parents": [["https://registry-1.docker.io"]]}}
POLICY = (
    "schema: registry-mesh/access/1\npolicies: [{name: a, subjects: [users], repos: ['**'], allow: [pull]}]\n"
)
RULES = (
    "schema: registry-mesh/rules/2\nrules: [{from: docker.io, repos: [library/busybox], nodes: [cache]}]\n"
)
SITE = {"registries": HUB, "storage": {"size": "2Ti"}}
VALUES: dict[str, dict[str, Any]] = {
    "site": SITE,
    "whole": {
        **SITE,
        "nodes": {"enabled": True},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "credentials": {"docker.io": "hub"},
        "tls": {"existingSecret": "tls"},
        "config": {"log": {"level": "debug"}, "workers": 4},
        "tolerations": [{"operator": "Exists"}],
        "storage": {"size": "500Gi", "className": "fast"},
        "replicas": 3,
    },
    "cloud": {
        **SITE,
        "storage": {"size": "200Gi", "s3": {"bucket": "mesh", "region": "eu", "existingSecret": "aws"}},
        "replicas": 2,
        "image": {"repository": "r.example/mesh", "digest": "sha256:" + "7" * 64},
        "imagePullSecrets": [{"name": "pull"}],
        "nodes": {"enabled": True},
        "networkPolicy": {
            "enabled": True,
            "clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
            "monitoring": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        },
        "tracing": {"endpoint": "http://collector.example:4318"},
        "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
        "podLabels": {"team": "grid"},
        "podAnnotations": {"a": "b"},
        "priorityClassName": "high",
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
    },
    "open": {
        **SITE,
        "storage": {"size": "100Gi", "s3": {"bucket": "mesh", "spool": "200Gi"}},
        "autoscaling": {"enabled": True, "max": 3},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "cache.example",
            "tlsSecret": "web",
            "annotations": {"a": "b", "nginx.ingress.kubernetes.io/proxy-read-timeout": "60"},
        },
        "route": {"enabled": True, "parentRefs": [{"name": "gate"}], "hostnames": ["mesh.example"]},
        "tls": {"certManager": {"issuer": "ours", "kind": "Issuer"}},
        "access": {"existingSecret": "logins"},
        "policy": {"inline": {"all.yaml": POLICY}},
        "rules": {"inline": {"ahead.yaml": RULES}},
        "nodes": {"runtime": "crio", "registries": ["docker.io"], "fallback": "none"},
        "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:x"}, "automountToken": True},
        "networkPolicy": {"monitoring": {"podSelector": {"matchLabels": {"app": "prometheus"}}}},
        "metrics": {
            "serviceMonitor": {"enabled": True, "interval": "15s"},
            "rules": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboard": {"enabled": True, "labels": {"folder": "mesh"}},
        },
    },
    "one": {
        **SITE,
        "storage": {"size": "100Gi", "s3": {"bucket": "mesh"}},
        "admin": {"tls": {"existingSecret": "served", "clients": "ours", "names": ["*.ops.example"]}},
        "metrics": {"serviceMonitor": {"enabled": True}},
    },
    "origin": {
        "role": "origin",
        "registry": "registry.example",
        "service": {"type": "ClusterIP"},
        "admin": {"tls": {"existingSecret": "served"}},
    },
    "replica": {
        "role": "replica",
        "registries": {"registry.example:5000": {"parents": [["https://registry.example:5000"]]}},
        "credentials": {"registry.example:5000": "login"},
        "rules": {"all.yaml": "schema: registry-mesh/rules/1\nrules: []\n"},
        "storage": {"size": "10Ti", "existingClaim": "big"},
    },
}

pytestmark = pytest.mark.skipif(HELM is None, reason="no helm here: make chart-tools")


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(HELM), *words], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(params=VALUES, scope="module")
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chart")
    values, out = folder / "values.yaml", folder / "out.yaml"
    values.write_text(yaml.safe_dump(VALUES[request.param]))
    linted = helm("lint", "--strict", str(CHART), "-f", str(values))
    assert linted.returncode == 0, linted.stdout + linted.stderr
    made = helm("template", "cache", str(CHART), "-f", str(values))
    assert made.returncode == 0, made.stderr
    out.write_text(made.stdout)
    return out


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


def test_the_configuration_is_one_that_the_program_takes(rendered: Path, tmp_path: Path) -> None:
    found = documents(rendered)
    secret = only(found, "Secret")["stringData"]
    mounted(tmp_path / "admin", {"users": secret["users"] + "\n"})
    mounted(tmp_path / "access", {"users": secret["users"] + "\n", "token.key": key_of_tokens()})
    for name in ("rules", "policies"):
        for each in found:
            if each["kind"] == "ConfigMap" and each["metadata"]["name"] == f"cache-{name}":
                mounted(tmp_path / name, each["data"])
    text = only(found, "ConfigMap", "cache")["data"]["node.yaml"]
    for folder in ("admin", "access", "policies", "rules"):
        text = text.replace(f" /{folder}", f" {tmp_path / folder}")
    config = parse(_without_tls(text), "f").config
    assert config.admin.address == "0.0.0.0", "the kubelet comes from outside of the pod"
    local = config.store.disk or (config.store.s3 and config.store.s3.spool)
    assert local and local.quota is not None
    assert config.drain == 30


def mounted(folder: Path, files: dict[str, str]) -> None:
    """As kubelet mounts a ConfigMap or a Secret."""
    (folder / "..2026").mkdir(parents=True)
    (folder / "..data").symlink_to("..2026")
    for name, text in files.items():
        (folder / "..2026" / name).write_text(text)
        (folder / "..2026" / name).chmod(0o440)
        (folder / name).symlink_to(f"..data/{name}")


def key_of_tokens() -> str:
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _without_tls(text: str) -> str:
    """Its files are in the cluster."""
    whole = yaml.safe_load(text)
    for listener, keys in (("listen", set()), ("admin", {"clients", "names"})):
        assert set(whole[listener].pop("tls", {})) - keys in (set(), {"certificate", "key"})
    return yaml.safe_dump(whole)


def test_the_pods_of_a_site_know_each_other(tmp_path: Path) -> None:
    """By the names that a pod has as its host's, below the service that governs them."""
    for replicas, known in ((1, None), (2, {"cache-0", "cache-1"})):
        values = tmp_path / "values.yaml"
        values.write_text(yaml.safe_dump({**SITE, "replicas": replicas}))
        made = helm("template", "cache", str(CHART), "-f", str(values))
        (tmp_path / "out.yaml").write_text(made.stdout)
        found = documents(tmp_path / "out.yaml")
        (text,) = [each["data"]["node.yaml"] for each in found if "node.yaml" in each.get("data", {})]
        config = yaml.safe_load(text)
        if known is None:
            assert "siblings" not in config
            continue
        (node,) = [each for each in found if each["kind"] == "StatefulSet"]
        governs = node["spec"]["serviceName"]
        assert config["siblings"]["nodes"] == {name: f"http://{name}.{governs}:5000" for name in known}
        assert "name" not in config, "each is called what its pod is"
        (service,) = [
            each for each in found if each["kind"] == "Service" and each["metadata"]["name"] == governs
        ]
        assert service["spec"]["clusterIP"] == "None"


def test_pods_have_what_keeps_a_cluster_well(rendered: Path) -> None:
    found = documents(rendered)
    (node,) = [each for each in found if each["kind"] in ("StatefulSet", "Deployment")]
    pod = node["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["requests"]["memory"] and container["resources"]["limits"]["memory"]
    assert {container[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")} == {"admin"}
    stop = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > stop + 30 + 5, "preStop, the drain, the supervisor's margin"
    assert any(each["kind"] == "PodDisruptionBudget" for each in found)
    mounts = {each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"] for each in pod["volumes"]} | {
        each["metadata"]["name"] for each in node["spec"].get("volumeClaimTemplates", [])
    }
    assert mounts == volumes


def test_a_site_on_a_bucket_has_no_volume_and_a_login_from_a_secret(tmp_path: Path) -> None:
    found = made_of(VALUES["cloud"], tmp_path)
    (node,) = [each for each in found if each["kind"] == "StatefulSet"]
    assert "volumeClaimTemplates" not in node["spec"]
    pod = node["spec"]["template"]["spec"]
    assert {"name": "store", "emptyDir": {"sizeLimit": "200Gi"}} in pod["volumes"]
    (container,) = pod["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "aws"}}]
    assert {each["name"] for each in container["env"]} == {"OTEL_EXPORTER_OTLP_ENDPOINT", "SSL_CERT_FILE"}
    (policy,) = [each for each in found if each["kind"] == "NetworkPolicy"]
    clients, monitoring = policy["spec"]["ingress"]
    assert clients["ports"] == [{"port": "registry"}]
    assert clients["from"][0]["podSelector"]["matchLabels"] == policy["spec"]["podSelector"]["matchLabels"], (
        "siblings"
    )
    assert monitoring["ports"] == [{"port": "admin"}]


def test_one_pod_on_a_bucket_is_replaced_before_it_goes(tmp_path: Path) -> None:
    """It has nothing of its own, so that two may be there meanwhile; what has a volume, or siblings by name, has one
    place."""
    found = made_of(VALUES["one"], tmp_path)
    spec = only(found, "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "serviceName" not in spec and not any(each["kind"] == "StatefulSet" for each in found)
    assert not any(each["kind"] == "PersistentVolumeClaim" for each in found)
    on_a_bucket = {"storage": {"size": "1Ti", "s3": {"bucket": "mesh"}}}
    scaled = {"autoscaling": {"enabled": True, "min": 1, "max": 1}}
    for values, kind in (
        ({**SITE, **on_a_bucket, **scaled}, "Deployment"),
        ({**SITE, **on_a_bucket, "replicas": 2}, "StatefulSet"),
        ({**SITE, **on_a_bucket, "autoscaling": {"enabled": True}}, "StatefulSet"),
        (SITE, "StatefulSet"),
        ({**VALUES["origin"], **on_a_bucket}, "StatefulSet"),
    ):
        found = made_of(values, tmp_path)
        made = only(found, kind)
        if "autoscaling" in values:
            assert only(found, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["kind"] == kind
        assert ("serviceName" in made["spec"]) is (kind == "StatefulSet")


def test_operators_are_served_by_a_certificate_and_may_show_theirs(tmp_path: Path) -> None:
    found = made_of(VALUES["one"], tmp_path)
    admin, pod = configured(found)["admin"], only(found, "Deployment")["spec"]["template"]["spec"]
    tls = admin["tls"]
    assert tls == {
        "certificate": "/admin-tls/tls.crt",
        "key": "/admin-tls/tls.key",
        "clients": "/admin-clients/ca.crt",
        "names": ["*.ops.example"],
    }
    mounted = {each["mountPath"]: each["name"] for each in pod["containers"][0]["volumeMounts"]}
    volumes = {each["name"]: each.get("secret", {}) for each in pod["volumes"]}
    assert volumes[mounted["/admin-tls"]]["secretName"] == "served"
    assert volumes[mounted["/admin-clients"]] == {
        "secretName": "ours",
        "items": [{"key": "ca.crt", "path": "ca.crt"}],
        "defaultMode": 0o440,
    }
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert pod["containers"][0][probe]["httpGet"]["scheme"] == "HTTPS"
    (scraped,) = only(found, "ServiceMonitor")["spec"]["endpoints"]
    assert scraped["scheme"] == "https"
    believed = {"secret": {"name": "served", "key": "ca.crt"}}
    assert scraped["tlsConfig"] == {"ca": believed, "serverName": "cache-admin.default.svc"}
    monitor = {"enabled": True, "tlsConfig": {"serverName": "cache.example"}}
    values = {**VALUES["one"], "metrics": {"serviceMonitor": monitor}}
    (scraped,) = only(made_of(values, tmp_path), "ServiceMonitor")["spec"]["endpoints"]
    assert scraped["tlsConfig"] == {"serverName": "cache.example"}


def test_without_a_certificate_operators_are_served_as_before(tmp_path: Path) -> None:
    found = made_of({**SITE, "serviceMonitor": {"enabled": True}}, tmp_path)
    assert "tls" not in configured(found)["admin"]
    pod = only(found, "StatefulSet")["spec"]["template"]["spec"]
    assert pod["containers"][0]["readinessProbe"]["httpGet"]["scheme"] == "HTTP"
    (scraped,) = only(found, "ServiceMonitor")["spec"]["endpoints"]
    assert scraped["scheme"] == "http" and "tlsConfig" not in scraped


def test_every_pod_gets_its_image_by_the_same_name_and_login(tmp_path: Path) -> None:
    kinds = {"StatefulSet", "DaemonSet"}
    pods = [
        each["spec"]["template"]["spec"]
        for each in made_of(VALUES["cloud"], tmp_path)
        if each["kind"] in kinds
    ]
    assert len(pods) == 2
    for pod in pods:
        assert pod["imagePullSecrets"] == [{"name": "pull"}]
        assert pod["containers"][0]["image"] == "r.example/mesh@sha256:" + "7" * 64


def made_of(values: dict[str, Any], tmp_path: Path) -> list[dict[str, Any]]:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    made = helm("template", "cache", str(CHART), "-f", str(tmp_path / "values.yaml"))
    assert made.returncode == 0, made.stderr
    return [each for each in yaml.safe_load_all(made.stdout) if each]


OTHERS = {"monitoring.coreos.com", "gateway.networking.k8s.io", "cert-manager.io"}
"""Whose types kubectl is not built with."""

needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="no kubectl here: make chart-tools")


def decoded(found: list[dict[str, Any]], folder: Path) -> None:
    """Have kubectl decode documents by the types that it is built with; AssertionError where one does not fit, or a
    field of a workload is none. Types of others, such as ServiceMonitor, it does not know."""
    known = [each for each in found if each["apiVersion"].partition("/")[0] not in OTHERS]
    said = _typed(known, folder)
    assert "unable to decode" not in said.stderr, said.stderr
    for each in known:
        if "template" in each.get("spec", {}):
            typed = _typed([each], folder)
            assert typed.returncode == 0, typed.stderr
            assert lost(each, yaml.safe_load(typed.stdout)) == []


def _typed(found: list[dict[str, Any]], folder: Path) -> subprocess.CompletedProcess[str]:
    """`set env` decodes what it is given, and shows of it what has pods, with one variable more (`label` does not)."""
    path = folder / "documents.yaml"
    path.write_text(yaml.safe_dump_all(found))
    words = [str(KUBECTL), "set", "env", "--local", "-f", str(path), "a=b", "-o", "yaml"]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def lost(given: Any, typed: Any, path: str = "") -> list[str]:
    """Where `given` says what a type has no field for."""
    if isinstance(given, dict):
        gone = [
            f"{path}.{key}" for key in given if key not in typed and given[key] not in ({}, [], None, False)
        ]
        kept = (lost(each, typed[key], f"{path}.{key}") for key, each in given.items() if key in typed)
        return gone + [each for some in kept for each in some]
    if isinstance(given, list):
        pairs = zip(given, typed, strict=False)
        return [each for n, (one, other) in enumerate(pairs) for each in lost(one, other, f"{path}[{n}]")]
    return []


@needs_kubectl
def test_every_document_is_of_its_type(rendered: Path, tmp_path: Path) -> None:
    decoded(documents(rendered), tmp_path)


@needs_kubectl
def test_what_is_not_of_its_type_is_seen(tmp_path: Path) -> None:
    found = made_of(VALUES["whole"], tmp_path)
    for kind, path, value in (
        ("Service", ("spec", "ports"), {"a": "b"}),
        ("PodDisruptionBudget", ("spec", "selector"), ["a"]),
        ("StatefulSet", ("spec", "replicas"), "three"),
        ("DaemonSet", ("spec", "template", "spec", "toleration"), [{"operator": "Exists"}]),
    ):
        wrong = copy.deepcopy(found)
        (at,) = [each for each in wrong if each["kind"] == kind][:1]
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        with pytest.raises(AssertionError):
            decoded(wrong, tmp_path)


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    for wrong, words in (
        ({"role": "sight"}, "role"),
        ({"role": "site"}, "registries: name at least one"),
        ({**SITE, "storage": {"size": "2TB"}}, "size"),
        ({**SITE, "credentials": {"quay.io": "x"}}, "quay.io is none of registries"),
        ({**SITE, "serviceMontor": {"enabled": True}}, "serviceMontor"),
        ({**SITE, "nodes": {"enable": True}}, "enable"),
        ({**SITE, "drain": "2m"}, "preStopSeconds and drain need 135"),
        ({**SITE, "image": {"digest": "sha256:7"}}, "digest"),
        ({**SITE, "autoscaling": {"enabled": True}}, "autoscaling: of a site on a bucket"),
        ({**SITE, "ingress": {"enabled": True}}, "ingress.host"),
        ({**SITE, "route": {"enabled": True}}, "route.parentRefs"),
        ({**SITE, "tls": {"existingSecret": "a", "certManager": {"issuer": "b"}}}, "tls: name a Secret"),
        ({**SITE, "service": {"type": "ClusterIP"}}, "nodes: machines reach the site by its NodePort"),
        ({**SITE, "nodes": {"registries": ["quay.io"]}}, "quay.io is none of registries"),
        ({**SITE, "join": {"token": "x"}}, "join"),
        ({**SITE, "admin": {"tls": {"clients": "a", "names": ["b"]}}}, "name admin.tls.existingSecret"),
        (
            {**SITE, "admin": {"tls": {"existingSecret": "a", "clients": "b"}}},
            "clients and names go together",
        ),
        (
            {**SITE, "admin": {"tls": {"existingSecret": "a", "names": ["b"]}}},
            "clients and names go together",
        ),
        ({"role": "replica", "registries": HUB}, "rules: a replica needs at least one file"),
    ):
        values = tmp_path / "values.yaml"
        values.write_text(yaml.safe_dump(wrong))
        refused = helm("template", "cache", str(CHART), "-f", str(values))
        assert refused.returncode != 0, wrong
        assert words in refused.stderr


def only(found: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    (one,) = [each for each in found if each["kind"] == kind and name in ("", each["metadata"]["name"])]
    return one


def test_clients_from_elsewhere_come_in_by_an_ingress_or_a_gateway(tmp_path: Path) -> None:
    found = made_of(VALUES["open"], tmp_path)
    service = only(found, "Service", "cache")
    assert service["spec"]["trafficDistribution"] == "PreferClose"
    ingress = only(found, "Ingress")
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"hosts": ["cache.example"], "secretName": "web"}]
    (rule,) = ingress["spec"]["rules"]
    backend = {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}
    assert rule == {
        "host": "cache.example",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": backend}}]},
    }
    said = {
        key.removeprefix("nginx.ingress.kubernetes.io/"): each
        for key, each in ingress["metadata"]["annotations"].items()
    }
    assert (
        said["proxy-body-size"] == "0" and said["proxy-buffering"] == said["proxy-request-buffering"] == "off"
    )
    assert (said["proxy-read-timeout"], said["a"], said["backend-protocol"]) == ("60", "b", "HTTPS")
    route = only(found, "HTTPRoute")["spec"]
    assert (route["parentRefs"], route["hostnames"]) == ([{"name": "gate"}], ["mesh.example"])
    assert route["rules"][0]["backendRefs"] == [
        {"name": "cache", "port": service["spec"]["ports"][0]["port"]}
    ]


def test_a_certificate_is_made_for_every_name_of_the_node(tmp_path: Path) -> None:
    found = made_of(VALUES["open"], tmp_path)
    spec = only(found, "Certificate")["spec"]
    assert spec["issuerRef"] == {"group": "cert-manager.io", "kind": "Issuer", "name": "ours"}
    config = configured(found)
    hosts = {each.split("/")[2].partition(":")[0] for each in config["siblings"]["nodes"].values()}
    assert {each.partition(".")[2] for each in hosts} == {"cache-admin"} and "*.cache-admin" in spec[
        "dnsNames"
    ]
    assert {"cache", "cache.default.svc", "cache.example", "mesh.example"} <= set(spec["dnsNames"])
    volumes = {
        each["name"]: each for each in only(found, "StatefulSet")["spec"]["template"]["spec"]["volumes"]
    }
    assert volumes["tls"]["secret"]["secretName"] == spec["secretName"]
    assert config["listen"]["tls"] == {"certificate": "/tls/tls.crt", "key": "/tls/tls.key"}


def test_pods_of_a_site_on_a_bucket_come_and_go_with_the_load(tmp_path: Path) -> None:
    found = made_of(VALUES["open"], tmp_path)
    node, scaler = only(found, "StatefulSet"), only(found, "HorizontalPodAutoscaler")["spec"]
    assert "replicas" not in node["spec"], "each helm upgrade would set it back"
    assert scaler["scaleTargetRef"] == {
        "apiVersion": node["apiVersion"],
        "kind": node["kind"],
        "name": node["metadata"]["name"],
    }
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 3)
    assert scaler["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert node["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"], "a share of it"
    assert set(configured(found)["siblings"]["nodes"]) == {"cache-0", "cache-1", "cache-2"}
    pod = node["spec"]["template"]["spec"]
    assert {"name": "store", "emptyDir": {"sizeLimit": "200Gi"}} in pod["volumes"]
    assert configured(found)["store"]["s3"]["spool"]["quota"] == f"{200 * 1024 * 9 // 10}MiB"


def test_logins_policies_and_rules_are_where_the_configuration_looks_for_them(tmp_path: Path) -> None:
    found = made_of(VALUES["open"], tmp_path)
    config, pod = configured(found), only(found, "StatefulSet")["spec"]["template"]["spec"]
    assert config["access"] == {
        "policies": "/policies",
        "users": "/access/users",
        "tokens": {"key": "/access/token.key", "realm": "https://cache.example/token"},
    }
    assert config["rules"] == "/rules"
    mounted = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert {mounted[name] for name in ("access", "policies", "rules")} == {"/access", "/policies", "/rules"}
    assert volumes["access"]["secret"]["secretName"] == "logins"
    for name, text in (("policies", POLICY), ("rules", RULES)):
        assert only(found, "ConfigMap", volumes[name]["configMap"]["name"])["data"].popitem()[1] == text
    there = {"policy": {"existingConfigMap": "p"}, "rules": {"existingConfigMap": "r"}}
    pod = only(made_of({**SITE, **there}, tmp_path), "StatefulSet")["spec"]["template"]["spec"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert (volumes["policies"]["configMap"], volumes["rules"]["configMap"]) == ({"name": "p"}, {"name": "r"})
    account = only(found, "ServiceAccount")
    pod = only(found, "StatefulSet")["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], account["metadata"]["annotations"]) == (
        account["metadata"]["name"],
        {"eks.amazonaws.com/role-arn": "arn:x"},
    )
    assert account["automountServiceAccountToken"] is pod["automountServiceAccountToken"] is True


def test_monitoring_gets_the_alerts_and_the_dashboard_that_are_shipped(tmp_path: Path) -> None:
    found = made_of(VALUES["open"], tmp_path)
    shipped = yaml.safe_load((CHART.parents[1] / "prometheus" / "alerts.yaml").read_text())
    rules = only(found, "PrometheusRule")
    served = {**VALUES["open"], "metrics": {"rules": {"enabled": True, "docs": "https://docs.example/"}}}
    for group in only(made_of(served, tmp_path), "PrometheusRule")["spec"]["groups"]:
        for each in group["rules"]:
            if "alert" in each:
                leads = f"https://docs.example/docs/findings.html#{each['labels']['finding']}"
                assert each["annotations"]["runbook_url"] == leads
    assert rules["spec"] == shipped and rules["metadata"]["labels"]["release"] == "prometheus"
    board = only(found, "ConfigMap", "cache-dashboard")
    assert board["metadata"]["labels"].items() >= {"grafana_dashboard": "1", "folder": "mesh"}.items()
    whole = json.loads((CHART.parents[1] / "grafana" / "registry-mesh.json").read_text())
    assert json.loads(board["data"]["registry-mesh.json"]) == whole
    monitor, admin = only(found, "ServiceMonitor"), only(found, "Service", "cache-admin")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= admin["metadata"]["labels"].items()
    assert (monitor["spec"]["endpoints"][0]["port"], monitor["spec"]["endpoints"][0]["interval"]) == (
        "admin",
        "15s",
    )
    _, scraped = only(found, "NetworkPolicy")["spec"]["ingress"]
    assert scraped["from"] == [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]
    found = made_of({**SITE, "serviceMonitor": {"enabled": True}}, tmp_path)
    _, scraped = only(found, "NetworkPolicy")["spec"]["ingress"]
    assert scraped["from"] == [{"namespaceSelector": {}}], "where Prometheus is, nobody said"
    assert len(only(made_of(SITE, tmp_path), "NetworkPolicy")["spec"]["ingress"]) == 1, "clients alone"


@pytest.mark.parametrize(
    ("runtime", "client", "path"),
    [
        ("containerd", "containerd", "/etc/containerd/certs.d"),
        ("k3s", "k3s", "/etc/rancher/k3s"),
        ("crio", "podman", "/etc/containers/registries.conf.d"),
    ],
)
def test_machines_of_each_runtime_are_led_to_the_site(
    runtime: str, client: str, path: str, tmp_path: Path
) -> None:
    two = {**HUB, "quay.io": {"parents": [["https://quay.io"]]}}
    values = {**SITE, "registries": two, "nodes": {"runtime": runtime, "registries": ["quay.io"]}}
    pod = only(made_of(values, tmp_path), "DaemonSet")["spec"]["template"]["spec"]
    assert pod["volumes"][0]["hostPath"]["path"] == path
    (text,) = pod["containers"][0]["args"]
    words = text.partition(" || ")[0].split()[1:]
    words[words.index("/certs.d")] = str(tmp_path / "machine")
    done = CliRunner().invoke(main, [word.replace("$(MACHINE)", "10.0.0.1") for word in words])
    assert done.exit_code == 0, done.output
    assert words[:2] == ["client-config", client]
    written = "".join(each.read_text() for each in (tmp_path / "machine").rglob("*") if each.is_file())
    assert "10.0.0.1:30500" in written
    assert "quay.io" in written and "docker.io" not in written


def configured(found: list[dict[str, Any]]) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(only(found, "ConfigMap", "cache")["data"]["node.yaml"])
    return config
