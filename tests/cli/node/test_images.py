"""ls, du, evict, pin, refresh, preload: what they say and do at a running site of two workers."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from registry_mesh.cli.main import main
from registry_mesh.oci.digest import Digest
from registry_mesh.replication.companions import VARIANTS
from tests.clients import nodes
from tests.clients.nodes import REGISTRY, Node
from tests.eventually import eventually_here
from tests.simulators.images import Content, random_bytes

MIB = 1 << 20
TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Tree:
    """An origin, and a site behind it that knows tags for an hour."""

    origin: Node
    site: Node

    def run(self, command: str, *arguments: str, node: Node | None = None) -> Result:
        return CliRunner().invoke(main, [command, str((node or self.site).config), *arguments])

    def said(self, command: str, *arguments: str) -> str:
        result = self.run(command, *arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def listed(self, *patterns: str) -> dict[str, dict[str, Any]]:
        told = json.loads(self.said("ls", *patterns, "--json"))
        return {each["name"].removeprefix(f"{REGISTRY}/"): each for each in told["images"]}

    def push(self, repository: str, tag: str, size: int, seed: str = "") -> Digest:
        content = Content()
        seed = seed or f"{repository}:{tag}"
        manifest = content.image(seed, tag, layers=[random_bytes(seed, size)])
        base = f"{self.origin.url}/v2/{repository}"
        for digest, data in content.blobs.items():
            send("POST", f"{base}/blobs/uploads/?digest={digest}", data)
        send("PUT", f"{base}/manifests/{tag}", manifest.data, manifest.media_type)
        return manifest.digest

    def pull(self, repository: str, tag: str) -> Digest:
        base = f"{self.site.url}/v2/{repository}"
        data = get(f"{base}/manifests/{tag}")
        document = json.loads(data)
        for each in (document["config"], *document["layers"]):
            assert len(get(f"{base}/blobs/{each['digest']}")) == each["size"]
            self.kept(Digest.parse(each["digest"]))
        return Digest.of(data)

    def kept(self, digest: Digest) -> None:
        """Wait until the site has given a blob its name, which may be a moment after its last byte."""
        folder = self.site.folder / "store" / "blobs" / digest.algorithm
        eventually_here((folder / digest.hex[:2] / digest.hex).exists, f"{digest} to be kept")


def send(method: str, url: str, data: bytes, media_type: str = "application/octet-stream") -> None:
    request = urllib.request.Request(url, data, {"Content-Type": media_type}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201


def get(url: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": TYPE}), timeout=60) as answer:
        data: bytes = answer.read()
        return data


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    folder: Path = tmp_path_factory.mktemp("images")
    with nodes.origin(folder / "origin") as origin:
        registries = nodes.registries(origin.url, tags={"ttl": "1h"})
        site = Node(folder / "site", {"role": "site", "workers": 2, "registries": registries})
        site.start()
        try:
            yield Tree(origin, site)
        finally:
            site.stop()


def test_what_was_pulled_is_listed_and_counted_by_repository(tree: Tree) -> None:
    tree.push("look/a", "1", MIB)
    tree.push("look/a", "2", 2 * MIB)
    tree.push("look/b", "1", MIB, seed="look/a:1")
    for repository, tag in (("look/a", "1"), ("look/a", "2"), ("look/b", "1")):
        tree.pull(repository, tag)
    catalog = json.loads(get(f"{tree.site.url}/v2/_catalog"))["repositories"]
    assert {"look/a", "look/b"} <= set(catalog)
    assert catalog == sorted(catalog)
    page = json.loads(get(f"{tree.site.url}/v2/_catalog?n=1&last=look/a"))
    assert page["repositories"] == ["look/b"]
    images = tree.listed("look/*")
    assert set(images) == {"look/a:1", "look/a:2", "look/b:1"}
    assert all(each["whole"] for each in images.values())
    assert images["look/a:1"]["digest"] == images["look/b:1"]["digest"]
    assert images["look/a:1"]["alone"] == 0, "look/b:1 has all of it"
    text = tree.said("ls", f"{REGISTRY}/look/a")
    assert f"{REGISTRY}/look/a:2" in text
    assert "look/b" not in text
    sizes = json.loads(tree.said("du", "look/*", "--json"))["repositories"]
    assert [each["repository"] for each in sizes] == [f"{REGISTRY}/look/a", f"{REGISTRY}/look/b"]
    assert sizes[0]["images"] == 2
    for command in ("ls", "du"):
        nothing = tree.run(command, "nothing/here")
        assert (nothing.exit_code, nothing.stderr) == (1, "Nothing here is called nothing/here.\n")


def test_an_image_that_is_here_in_part_says_so(tree: Tree) -> None:
    tree.push("part/a", "1", 3 * MIB)
    get(f"{tree.site.url}/v2/part/a/manifests/1")
    image = tree.listed("part/a:1")["part/a:1"]
    assert not image["whole"]
    assert "part/a:1" in tree.said("ls", "--part")
    assert " 0 % " in tree.said("ls", "part/a:1")


def test_an_image_says_in_which_other_forms_it_is_here(tree: Tree) -> None:
    """At a site as far as clients asked for them; an origin knows all."""
    digest, base = tree.push("forms/a", "1", MIB), f"{tree.origin.url}/v2/forms/a"
    layer = random_bytes("forms", 1000)
    send("POST", f"{base}/blobs/uploads/?digest={Digest.of(layer)}", layer)
    config = json.loads(get(f"{base}/manifests/1"))["config"]
    variant = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": TYPE,
            "artifactType": VARIANTS["estargz"],
            "config": config,
            "layers": [
                {"mediaType": "application/octet-stream", "digest": str(Digest.of(layer)), "size": len(layer)}
            ],
            "subject": {"mediaType": TYPE, "digest": str(digest), "size": len(get(f"{base}/manifests/1"))},
        }
    ).encode()
    send("PUT", f"{base}/manifests/{Digest.of(variant)}", variant, TYPE)
    other = json.dumps({**json.loads(variant), "artifactType": "application/spdx+json"}).encode()
    send("PUT", f"{base}/manifests/{Digest.of(other)}", other, TYPE)
    tree.pull("forms/a", "1")
    assert tree.listed("forms/a")["forms/a:1"]["forms"] == [], "nobody asked"
    site = f"{tree.site.url}/v2/forms/a"
    get(f"{site}/referrers/{digest}")
    (form,) = tree.listed("forms/a")["forms/a:1"]["forms"]
    assert (form["kind"], form["held"], form["whole"]) == ("estargz", 0, False)
    assert "  estargz 0 %" in tree.said("ls", "forms/a")
    get(f"{site}/manifests/{Digest.of(variant)}")
    assert "  estargz " in tree.said("ls", "forms/a")
    get(f"{site}/blobs/{Digest.of(layer)}")
    assert tree.said("ls", "forms/a").splitlines()[1].endswith("  estargz")
    assert json.loads(tree.run("ls", "forms/a", "--json", node=tree.origin).stdout)["images"][0]["forms"] == [
        {
            **form,
            "whole": True,
            "size": size_of(variant, config, layer),
            "held": size_of(variant, config, layer),
        }
    ]


def size_of(manifest: bytes, config: dict[str, Any], layer: bytes) -> int:
    return len(manifest) + int(config["size"]) + len(layer)


def test_an_image_says_when_it_was_used_last(tree: Tree) -> None:
    began = time.time()
    tree.push("used/a", "1", MIB)
    tree.pull("used/a", "1")
    image = tree.listed("used/a:1")["used/a:1"]
    assert began - 1 <= float(str(image["last_use"])) <= time.time()
    assert image["pulls_7d"] is None, "no pulls are recorded"
    row = tree.said("ls", "used/a:1").splitlines()[1]
    assert row.split()[1:] == ["whole", "1.05", "MB", "now", "-"]
    assert tree.run("ls", "used/a:1", "--unused", "1h").exit_code == 1
    assert "note: uses are noted since " in tree.run("ls", "--unused", "90d").stderr
    assert tree.run("ls", "--unused", "soon").exit_code == 2


def test_preload_returns_when_all_is_here_and_names_what_is_not_to_be_had(tree: Tree) -> None:
    tree.push("ahead/a", "1", 5 * MIB)
    tree.push("ahead/b", "1", MIB)
    result = tree.run("preload", "ahead/a:1", f"{REGISTRY}/ahead/b:1", "ahead/none:1")
    assert result.exit_code == 1
    assert "ahead/none:1: " in result.stderr
    assert "2 of 3 images are here and proven: " in result.stdout
    assert all(each["whole"] for each in tree.listed("ahead/*").values())
    told = json.loads(tree.said("preload", "ahead/a:1", "--json"))
    assert told["done"]
    assert told["failed"] == {}
    assert tree.run("preload").exit_code == 2


def test_an_image_that_is_larger_than_the_store_is_not_said_to_be_here(tree: Tree, tmp_path: Path) -> None:
    tree.push("room/large", "1", 9 * MIB)
    registries = nodes.registries(tree.origin.url, tags={"ttl": "1h"})
    store = {"disk": {"path": str(tmp_path / "small" / "store"), "quota": "8MiB"}}
    site = Node(tmp_path / "small", {"role": "site", "registries": registries, "store": store})
    site.start()
    try:
        small = Tree(tree.origin, site)
        planned = small.run("pull-through", "room/large:1", "--dry-run")
        assert (planned.exit_code, "It does not fit the store: 1.05 MB are missing" in planned.stdout) == (
            1,
            True,
        )
        for command in ("pull-through", "preload"):
            before = counted(site)
            result = small.run(command, "room/large:1")
            assert result.exit_code == 1
            assert "room/large:1: does not fit the store" in result.stderr
            assert "1.05 MB are missing: raise store.disk.quota" in result.stderr
            assert "0 of 1 images are here" in result.stdout
            assert counted(site) - before < MIB, "nothing but manifests"
    finally:
        site.stop()


def test_evicted_is_gone_and_what_others_have_stays(tree: Tree) -> None:
    tree.push("out/a", "1", 2 * MIB)
    tree.push("out/b", "1", 2 * MIB, seed="out/a:1")
    tree.push("out/a", "2", 3 * MIB)
    for repository, tag in (("out/a", "1"), ("out/b", "1"), ("out/a", "2")):
        tree.pull(repository, tag)
    plan = tree.said("evict", "out/a:*", "--dry-run")
    assert "Would free 3" in plan
    for tag, shared in (("1", f", shares 2.1 MB with {REGISTRY}/out/b:1"), ("2", "")):
        (line,) = [each for each in plan.splitlines() if f"out/a:{tag} " in each]
        assert re.search(rf"  frees [\d.]+(?: [kM]?B)? of [\d.]+ MB +used now{shared}$", line), line
    assert set(tree.listed("out/*")) == {"out/a:1", "out/a:2", "out/b:1"}
    unasked = tree.run("evict", "out/a:*")
    assert (unasked.exit_code, "say --yes" in unasked.stderr) == (2, True), "nobody is there to be asked"
    assert plan == tree.said("evict", "out/a:*", "--dry-run"), "it is all there"
    assert "Evicted 3" in tree.said("evict", "out/a:*", "--yes")
    assert set(tree.listed("out/*")) == {"out/b:1"}
    assert tree.listed("out/b:1")["out/b:1"]["whole"]
    assert tree.pull("out/a", "2"), "the next pull brings it again"
    wrong = tree.run("evict", "out/bb:1", "--yes")
    assert wrong.exit_code == 1
    assert "Did you mean out/b:1?" in wrong.stderr


def test_what_is_pinned_is_not_evicted(tree: Tree) -> None:
    tree.push("pin/a", "1", MIB)
    tree.pull("pin/a", "1")
    assert "pinned until" in tree.said("pin", "pin/a:1", "--for", "14d")
    assert "pinned, 14 d" in tree.said("ls", "--pinned")
    refused = tree.run("evict", "pin/a:1", "--yes")
    assert refused.exit_code == 1
    assert "is pinned" in refused.stderr
    assert "not pinned any more" in tree.said("pin", "pin/a:1", "--off")
    assert "Evicted" in tree.said("evict", "pin/a:1", "--yes")
    assert tree.run("pin", "pin/a:1", "--for", "often").exit_code == 2


def test_a_refreshed_tag_is_answered_by_all_workers_at_once(tree: Tree) -> None:
    old = tree.push("new/a", "latest", MIB)
    for _ in range(8):
        assert tree.pull("new/a", "latest") == old
    new = tree.push("new/a", "latest", MIB, seed="another")
    assert tree.pull("new/a", "latest") == old, "its hour is not over"
    assert f"is {new}, was {old}" in tree.said("refresh", "new/a:latest")
    assert {tree.pull("new/a", "latest") for _ in range(16)} == {new}
    assert "is still" in tree.said("refresh", "new/a:latest")
    assert tree.run("refresh", "new/none:1").exit_code == 1
    assert tree.run("refresh", f"new/a@{new}").exit_code == 1


def test_an_origin_lists_and_does_not_evict(tree: Tree) -> None:
    tree.push("own/a", "1", MIB)
    assert f"{REGISTRY}/own/a:1" in tree.run("ls", "own/*", node=tree.origin).stdout
    refused = tree.run("evict", "own/a:1", "--yes", node=tree.origin)
    assert refused.exit_code == 1
    assert "evict is for sites" in refused.stderr


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "text/plain"}, b'{"images": ["a:1"]}'),
        ({"Content-Type": "application/json"}, b"{"),
        ({"Content-Type": "application/json"}, b'{"images": "a:1"}'),
        ({"Content-Type": "application/json"}, b'{"images": []}'),
        ({"Content-Type": "application/json"}, b'[{"images": ["a:1"]}]'),
        ({"Content-Type": "application/json"}, b'{"images": ["a:1"], "seconds": "14d"}'),
        ({"Content-Type": "application/json"}, b'{"images": ["a:1"], "dry_run": "yes"}'),
        ({"Content-Type": "application/json"}, b'{"images": ["a:1"], "platforms": "linux/amd64"}'),
    ],
)
@pytest.mark.parametrize("act", ["evict", "preload"])
def test_only_whom_the_node_s_operator_sends_is_heeded(
    tree: Tree, act: str, headers: dict[str, str], body: bytes
) -> None:
    request = urllib.request.Request(f"{tree.site.admin}/api/1/images/{act}", body, headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    assert refused.value.code == 400
    assert "error" in json.load(refused.value)


def test_a_pull_is_planned_and_nothing_but_its_manifest_moves(tree: Tree) -> None:
    tree.push("plan/a", "1", 2 * MIB)
    said = tree.said("pull-through", "plan/a:1", "--dry-run")
    assert said.startswith(f"{REGISTRY}/plan/a:1 is sha256:")
    assert "not held" in said and f"127.0.0.1:{tree.origin.port}" in said
    assert tree.listed("plan/a:1") == {} or not tree.listed("plan/a:1")["plan/a:1"]["whole"]
    planned = json.loads(tree.said("pull-through", "plan/a:1", "--dry-run", "--json"))["images"][0]
    missing = sum(part["size"] - part["held"] for part in planned["parts"])
    assert missing > 2 * MIB
    before = counted(tree.site)
    tree.said("pull-through", "plan/a:1")
    assert abs(counted(tree.site) - before - missing) < missing * 0.02, "what was said is what moved"
    assert "nothing would cross the WAN" in tree.said("pull-through", "plan/a:1", "--dry-run")


def counted(node: Node) -> int:
    """Bytes that came from parents."""
    with urllib.request.urlopen(f"{node.admin}/status", timeout=60) as answer:
        return int(sum(json.load(answer)["counters"]["upstream_bytes_total"].values()))


def test_a_pull_that_would_be_refused(tree: Tree) -> None:
    for command in (("--dry-run",), ()):
        refused = tree.run("pull-through", "plan/none:1", *command)
        assert refused.exit_code == 1
    assert "■ " in tree.run("pull-through", "plan/none:1", "--dry-run").stdout


def test_parents_are_measured_by_what_is_held(tree: Tree) -> None:
    tree.push("measure/a", "1", 9 * MIB)
    tree.pull("measure/a", "1")
    before = counted(tree.site)
    told = json.loads(tree.run("parents", "--measure", "--json").stdout)["measured"]
    assert [each["parent"] for each in told] == [f"127.0.0.1:{tree.origin.port}"]
    assert told[0]["bytes"] == 8 * 10**6 and told[0]["bytes_per_second"] > 0
    assert counted(tree.site) - before >= 8 * 10**6
    shown = tree.run("parents", f"127.0.0.1:{tree.origin.port}", "--measure")
    assert shown.stderr.startswith(f"fetching up to 8 MB from 127.0.0.1:{tree.origin.port}")
    assert shown.stdout.splitlines()[0].split() == ["PARENT", "FETCHED", "FIRST", "BYTE", "RATE", "REGISTRY"]
    assert shown.stdout.splitlines()[1].split()[1:3] == ["8", "MB"]
    assert tree.run("parents", "--measure", node=tree.origin).exit_code == 1
