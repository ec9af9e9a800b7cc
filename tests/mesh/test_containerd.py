"""A real containerd at the end of a tree of real processes, led by hosts.toml to the site and to nothing else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.clients import nodes
from tests.clients.nodes import Node
from tests.clients.scripts import containerd_pull, run
from tests.clients.wire import Seen, Wire, read_log, table
from tests.eventually import eventually_here

pytestmark = [pytest.mark.client, pytest.mark.slow]

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def wire(stocked_origin: Node, tmp_path: Path) -> Iterator[Wire]:
    """Between the site and its parent."""
    with Wire(stocked_origin.url, tmp_path / "wire") as wire:
        yield wire


@pytest.fixture
def site(wire: Wire, tmp_path: Path) -> Iterator[Node]:
    """A fresh site whose only parent is at the other end of the wire. A tag is good for longer than any test takes."""
    site = nodes.site(tmp_path / "site", registries=nodes.registries(wire.url, tags={"ttl": "1h"}))
    with site:
        yield site


def manifest_of(node: Node, repository: str, reference: str) -> dict[str, Any]:
    request = Request(f"{node.url}/v2/{repository}/manifests/{reference}", headers={"Accept": MANIFEST})
    with urlopen(request, timeout=30) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def sizes_of(node: Node, repository: str, reference: str) -> dict[str, int]:
    """The blobs of an image, by digest."""
    manifest = manifest_of(node, repository, reference)
    return {each["digest"]: each["size"] for each in [manifest["config"], *manifest["layers"]]}


def blob_bodies(seen: list[Seen]) -> list[Seen]:
    return [each for each in seen if each.method == "GET" and each.of_blob]


def test_a_cold_pull_crosses_the_wire_once_and_a_warm_one_not_at_all(
    stocked_origin: Node, site: Node, wire: Wire
) -> None:
    sizes = sizes_of(stocked_origin, "team/app", "1")
    cold = containerd_pull(site.url, "team/app:1", RUN="1")
    assert cold["blobs_bad"] == 0
    assert '"digest"' in cold["ran"]
    fetched = blob_bodies(wire.seen())
    assert sum(each.sent for each in fetched) == sum(sizes.values()), table(fetched)
    assert {each.digest for each in fetched} == sizes.keys()

    wire.forget()
    warm = containerd_pull(site.url, "team/app:1")
    assert warm["blobs_bad"] == 0
    asked = [each for each in wire.seen() if each.of_blob or each.of_manifest]
    assert asked == [], f"a warm pull within the tag's TTL asks nothing:\n{table(asked)}"
    assert warm["wire_bytes"] >= sum(sizes.values())


def test_the_next_version_brings_only_what_differs(stocked_origin: Node, site: Node, wire: Wire) -> None:
    containerd_pull(site.url, "team/app:1")
    wire.forget()
    assert containerd_pull(site.url, "team/app:2")["blobs_bad"] == 0
    held = sizes_of(stocked_origin, "team/app", "1")
    wanted = sizes_of(stocked_origin, "team/app", "2")
    assert {each.digest for each in blob_bodies(wire.seen())} == wanted.keys() - held.keys()


def test_an_index_leads_to_this_machine_s_platform(site: Node) -> None:
    assert containerd_pull(site.url, "team/multi:1")["ok"]


def test_every_platform_of_an_index(site: Node) -> None:
    assert containerd_pull(site.url, "team/multi:1", CTR_ARGS="--all-platforms")["ok"]


def test_zstd_layers(site: Node) -> None:
    assert containerd_pull(site.url, "team/app:zstd")["ok"]


def test_as_a_kubelet_pulls(site: Node) -> None:
    """Through the CRI image service with config_path, as on a Kubernetes node."""
    assert containerd_pull(site.url, "team/app:1", CRI="1")["blobs_bad"] == 0


def test_broken_connections_upstream_stay_unseen_downstream(site: Node, wire: Wire) -> None:
    wire.fault({"match": "GET .*/blobs/", "do": "truncate", "at": 3_000_000})
    pulled = containerd_pull(site.url, "team/app:1")
    assert pulled["blobs_bad"] == 0
    assert any(each.fault == "truncate" for each in wire.seen()), "the fault struck"
    assert "GET blobs 206" not in pulled["by"], "the client never had to resume"


def test_a_wrong_byte_upstream_reaches_no_client(site: Node, wire: Wire, tmp_path: Path) -> None:
    """One flipped byte in the first blob that comes: containerd may have to ask again, and never has it."""
    wire.fault({"match": "GET .*/blobs/", "do": "corrupt", "at": 1000, "times": 1})
    try:
        first_ok = containerd_pull(site.url, "team/app:1")["blobs_bad"] == 0
    except AssertionError as failure:  # a pull that fails is allowed, one that passes with wrong bytes is not
        assert '"blobs_bad": 0' in str(failure)
        first_ok = False
    assert any(each.fault == "corrupt" for each in wire.seen())
    second = containerd_pull(site.url, "team/app:1")
    assert second["blobs_bad"] == 0, f"first pull passed: {first_ok}"


def test_a_killed_site_goes_on_where_it_was(
    stocked_origin: Node, site: Node, wire: Wire, tmp_path: Path
) -> None:
    """SIGKILL in the middle of a cold pull; after the restart only what was not yet held crosses the wire."""
    sizes = sizes_of(stocked_origin, "team/app", "1")
    biggest = max(sizes, key=lambda digest: sizes[digest])
    wire.fault(
        {"match": f"GET .*/blobs/{biggest}", "do": "truncate", "at": 8_000_000, "times": 1},
        {"match": f"GET .*/blobs/{biggest}", "do": "status", "code": 503},
    )
    log = tmp_path / "client.jsonl"
    log.touch()
    failed: list[AssertionError] = []

    def pull() -> None:
        try:
            containerd_pull(site.url, "team/app:1", LOG=log)
        except AssertionError as failure:
            failed.append(failure)

    def had_all_others() -> bool:
        whole = {each.digest for each in blob_bodies(read_log(log)) if each.sent == sizes[each.digest or ""]}
        asked_again = any(each.status == 503 for each in wire.seen())
        return asked_again and whole >= sizes.keys() - {biggest}

    client = threading.Thread(target=pull)
    client.start()
    try:
        eventually_here(had_all_others, "all blobs but the biggest", 200)
    finally:
        site.kill()
        client.join()
    assert failed, "the pull cannot have ended"

    wire.fault()
    wire.forget()
    site.start()
    assert containerd_pull(site.url, "team/app:1")["blobs_bad"] == 0
    again = blob_bodies(wire.seen())
    assert {each.digest for each in again} == {biggest}, table(again)
    assert sum(each.sent for each in again) <= sizes[biggest] - 6_000_000, table(again)


@pytest.fixture(scope="module")
def debian_pushed(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Node:
    """An origin that has a real Debian image, stopped: 200 MB in five layers, made by debootstrap."""
    origin = nodes.origin(tmp_path_factory.mktemp("debian") / "origin")
    with origin:
        target = f"docker://{origin.url.removeprefix('http://')}/library/debian:12"
        run(
            "skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", f"oci:{debian}:12", target
        )
    return origin


@pytest.fixture
def debian_origin(debian_pushed: Node) -> Iterator[Node]:
    """The same, at work; a test may stop it."""
    with debian_pushed:
        yield debian_pushed


def test_a_second_node_pulls_a_real_image_while_the_origin_is_down(
    debian_origin: Node, tmp_path: Path
) -> None:
    """Two nodes, one site; the origin stops between them."""
    sizes = sizes_of(debian_origin, "library/debian", "12")
    assert len(sizes) >= 5
    assert sum(sizes.values()) >= 100_000_000
    with nodes.site(tmp_path / "site", debian_origin.url) as site:
        first = containerd_pull(site.url, "library/debian:12", RUN="1")
        assert first["ran"].startswith("Python 3."), first
        debian_origin.stop()
        second = containerd_pull(site.url, "library/debian:12", RUN="1")
        assert second["ran"] == first["ran"]
        assert second["blobs_bad"] == 0
        assert second["blobs_good"] == first["blobs_good"]


def test_the_replica_serves_what_the_rule_brought_while_the_origin_is_down(
    debian_origin: Node, tmp_path: Path
) -> None:
    """Origin, replica, site: the rule brings the image; the origin stops; a cold pull through the site succeeds."""
    with (
        nodes.replica(tmp_path / "replica", debian_origin.url) as replica,
        nodes.site(tmp_path / "site", replica.url, debian_origin.url) as site,
    ):
        eventually_here(lambda: has_tag(replica, "library/debian", "12"), "the replication", 120)
        debian_origin.stop()
        pulled = containerd_pull(site.url, "library/debian:12")
        assert pulled["blobs_bad"] == 0


def has_tag(node: Node, repository: str, tag: str) -> bool:
    """Asked by the listing: what the node itself has, not what it could fetch."""
    try:
        with urlopen(f"{node.url}/v2/{repository}/tags/list", timeout=30) as answer:
            return tag in (json.load(answer)["tags"] or [])
    except OSError:
        return False
