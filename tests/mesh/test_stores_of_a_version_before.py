"""Stores that the program of commit 87a6c88 wrote, and that were left by kill -9, under the program of today."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients import nodes
from tests.eventually import eventually_here

pytestmark = pytest.mark.slow

STORES = Path(__file__).parents[1] / "fixtures" / "stores_of_87a6c88.tar.gz"
"""`origin`, `replica` and `site` of a tree that ran. All have prod/app:1.0; of 1.1 the site has a part of a layer."""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
NOBODY = "http://127.0.0.1:1"
"""A parent that does not answer: what is given comes of the store."""
ROLES = {
    "origin": {"role": "origin", "registry": nodes.REGISTRY, "access": {"anonymous": "push"}},
    "replica": {
        "role": "replica",
        "registries": nodes.registries(NOBODY),
        "access": {"anonymous": "pull"},
    },
    "site": {"role": "site", "registries": nodes.registries(NOBODY), "access": {"anonymous": "pull"}},
}


@contextmanager
def node_of_before(role: str, folder: Path, **more: Any) -> Iterator[nodes.Node]:
    with tarfile.open(STORES) as archive:
        archive.extractall(folder / "stores", filter="data")
    config = {**ROLES[role], "store": {"disk": {"path": str(folder / "stores" / role)}}, **more}
    if role == "replica":
        (folder / "rules").mkdir()
        (folder / "rules" / "all.yaml").write_text(json.dumps(nodes.EVERYTHING))
        config["rules"] = str(folder / "rules")
    with nodes.Node(folder / f"{role}-1", config) as node:
        yield node


def get(node: nodes.Node, path: str, **fields: str) -> bytes:
    request = urllib.request.Request(f"{node.url}/v2/prod/app/{path}", headers=fields)
    with urllib.request.urlopen(request, timeout=30) as answer:
        data: bytes = answer.read()
        return data


def pulled(node: nodes.Node, tag: str) -> int:
    """How many blobs a pull by tag brings, each with its digest."""
    manifest = json.loads(get(node, f"manifests/{tag}", Accept=MANIFEST))
    parts = [manifest["config"], *manifest["layers"]]
    for each in parts:
        data = get(node, f"blobs/{each['digest']}")
        assert len(data) == each["size"]
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == each["digest"]
    return len(parts)


def is_up(site: nodes.Node) -> bool:
    """Whether it would ask its parent."""
    with urllib.request.urlopen(f"{site.admin}/status", timeout=30) as answer:
        ((parent,),) = json.load(answer)["registries"][nodes.REGISTRY]["parents"]
        return bool(parent["state"] == "up")


def marker(folder: Path, role: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(
        (folder / "stores" / role / "records" / "store" / "marker.rec").read_bytes()
    )
    return told


@pytest.mark.parametrize("role", ROLES)
def test_what_was_held_is_served_without_a_parent_and_has_a_marker_then(tmp_path: Path, role: str) -> None:
    with node_of_before(role, tmp_path) as node:
        assert pulled(node, "1.0") >= 3
        if role != "site":
            assert pulled(node, "1.1") >= 3
        first = marker(tmp_path, role)
        node.stop()
        node.start()
        assert pulled(node, "1.0") >= 3
    assert (first["role"], first["node"]) == (role, f"{role}-1")
    assert marker(tmp_path, role) == first


def test_what_the_site_had_in_part_it_has_and_the_rest_comes(tmp_path: Path) -> None:
    with (
        node_of_before("origin", tmp_path / "above") as origin,
        node_of_before("site", tmp_path, registries=nodes.registries(origin.url)) as site,
    ):
        layer = json.loads(get(origin, "manifests/1.1", Accept=MANIFEST))["layers"][-1]["digest"]
        origin.stop()
        begin = get(site, f"blobs/{layer}", Range="bytes=0-99")
        origin.start()
        assert get(origin, f"blobs/{layer}", Range="bytes=0-99") == begin
        eventually_here(lambda: is_up(site), "the site to find that its parent is back")
        assert pulled(site, "1.1") >= 3


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_nothing_of_it_is_wrong_or_loose(tmp_path: Path, role: str) -> None:
    with node_of_before(role, tmp_path) as node:
        pulled(node, "1.0")
        node.stop()
        for command in (["verify"], ["gc", "--dry-run"]):
            program = [sys.executable, "-m", "registry_mesh", *command, str(node.config)]
            done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            assert " 0 wrong" in done.stdout or "would remove 0 (0 B)" in done.stdout, done.stdout
