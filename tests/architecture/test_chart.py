"""The Helm chart: rendered by helm for each role, decoded by kubectl, its configuration read by the program itself."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from registry_mesh.config.load import parse
from tests.clients.chart_tools import tool

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "registry-mesh"
HELM, KUBECTL = tool("helm"), tool("kubectl")
HUB = {"docker.io": {"default": True, "parents": [["https://registry-1.docker.io"]]}}
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
    "origin": {"role": "origin", "registry": "registry.example", "service": {"type": "ClusterIP"}},
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
    users = tmp_path / "users"
    (secret,) = [each["stringData"] for each in documents(rendered) if each["kind"] == "Secret"]
    users.write_text(secret["users"] + "\n")
    users.chmod(0o600)
    texts = [each["data"] for each in documents(rendered) if each["kind"] == "ConfigMap"]
    (text,) = [each["node.yaml"] for each in texts if "node.yaml" in each]
    text = text.replace("/admin/users", str(users))
    config = parse(_without_tls(text) if "/tls/" in text else text, "f").config
    assert config.admin.address == "0.0.0.0", "the kubelet comes from outside of the pod"
    local = config.store.disk or (config.store.s3 and config.store.s3.spool)
    assert local and local.quota is not None
    assert config.drain == 30


def _without_tls(text: str) -> str:
    """Its files are in the cluster."""
    whole = yaml.safe_load(text)
    assert set(whole["listen"].pop("tls")) == {"certificate", "key"}
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
    (node,) = [each for each in found if each["kind"] == "StatefulSet"]
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


needs_kubectl = pytest.mark.skipif(KUBECTL is None, reason="no kubectl here: make chart-tools")


def decoded(found: list[dict[str, Any]], folder: Path) -> None:
    """Have kubectl decode documents by the types that it is built with; AssertionError where one does not fit, or a
    field of a workload is none. Types of others, such as ServiceMonitor, it does not know."""
    known = [each for each in found if not each["apiVersion"].startswith("monitoring.coreos.com")]
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
        ({"role": "replica", "registries": HUB}, "rules: a replica needs at least one file"),
    ):
        values = tmp_path / "values.yaml"
        values.write_text(yaml.safe_dump(wrong))
        refused = helm("template", "cache", str(CHART), "-f", str(values))
        assert refused.returncode != 0, wrong
        assert words in refused.stderr
