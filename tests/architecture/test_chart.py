"""The Helm chart: rendered by helm for each role, decoded by kubectl, its configuration read by the program itself."""

from __future__ import annotations

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


@pytest.fixture(params=VALUES)
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    values, out = tmp_path / "values.yaml", tmp_path / "out.yaml"
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
    assert config.store.disk is not None and config.store.disk.quota is not None
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


@pytest.mark.skipif(KUBECTL is None, reason="no kubectl here: make chart-tools")
def test_kubectl_decodes_every_document(rendered: Path, tmp_path: Path) -> None:
    """Against the types that it is built with; those of others, such as ServiceMonitor, it does not know."""
    for i, each in enumerate(documents(rendered)):
        if each["apiVersion"].startswith("monitoring.coreos.com"):
            continue
        path = tmp_path / f"{i}.yaml"
        path.write_text(yaml.safe_dump(each))
        decode = [str(KUBECTL), "label", "--local", "-f", str(path), "a=b", "-o", "yaml"]
        done = subprocess.run(decode, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert yaml.safe_load(done.stdout)["kind"] == each["kind"]


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    for wrong, words in (
        ({"role": "sight"}, "role"),
        ({"role": "site"}, "registries: name at least one"),
        ({**SITE, "storage": {"size": "2TB"}}, "size"),
        ({**SITE, "credentials": {"quay.io": "x"}}, "quay.io is none of registries"),
        ({"role": "replica", "registries": HUB}, "rules: a replica needs at least one file"),
    ):
        values = tmp_path / "values.yaml"
        values.write_text(yaml.safe_dump(wrong))
        refused = helm("template", "cache", str(CHART), "-f", str(values))
        assert refused.returncode != 0, wrong
        assert words in refused.stderr
