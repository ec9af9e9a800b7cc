"""A real lazy reader: stargz-snapshotter mounts an image through the site and reads what it needs.

Each test prints its figures (`pytest -s`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import nodes
from tests.clients.nodes import Node
from tests.clients.registries import docker_registry
from tests.clients.scripts import run, stargz_pull
from tests.clients.wire import Seen, Wire, table

pytestmark = [pytest.mark.client, pytest.mark.slow]


@pytest.fixture(params=["our origin", "docker-registry"])
def lazy_parent(request: pytest.FixtureRequest, stocked_origin: Node, tmp_path: Path) -> Iterator[str]:
    """The URL of a registry that has the eStargz image: with chunk maps, and without."""
    if request.param == "our origin":
        yield stocked_origin.url
        return
    with docker_registry(tmp_path / "registry") as url:
        source, target = (
            f"docker://{u.removeprefix('http://')}/team/app:esgz" for u in (stocked_origin.url, url)
        )
        run("skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false",
            source, target)  # fmt: skip
        yield url


def moved(seen: list[Seen]) -> int:
    """Bytes that crossed the wire: blobs, manifests, chunk maps."""
    return sum(each.sent for each in seen)


def report(name: str, figures: dict[str, Any], over: int) -> None:
    read = figures["bytes_after_run"]
    print(
        f"\n{name}: client read {read} bytes in {figures['requests']} requests, over the wire {over}"
        f" ({over / read:.3f}); pull {figures['pull_seconds']} s, run {figures['run_seconds']} s"
    )


def test_a_lazy_start_moves_little_more_than_it_reads(lazy_parent: str, tmp_path: Path) -> None:
    with Wire(lazy_parent, tmp_path / "wire") as wire, nodes.site(tmp_path / "site", wire.url) as site:
        cold = stargz_pull(site.url, "team/app:esgz")
        seen = wire.seen()
        report(f"cold, {lazy_parent}", cold, moved(seen))
        assert cold["fuse_mounts"] >= 5, cold
        assert '"digest"' in cold["ran"], cold
        assert moved(seen) <= 1.2 * cold["bytes_after_run"], table(seen)

        wire.forget()
        second = stargz_pull(site.url, "team/app:esgz")
        report("a second node", second, moved(wire.seen()))
        assert '"digest"' in second["ran"], second
        assert [each for each in wire.seen() if each.method == "GET" and each.of_blob] == []


def test_a_background_fetch_moves_the_image_once(stocked_origin: Node, tmp_path: Path) -> None:
    """The real one; twenty simulated ones are in test_lazy_readers.py."""
    with Wire(stocked_origin.url, tmp_path / "wire") as wire, nodes.site(tmp_path / "site", wire.url) as site:
        figures = stargz_pull(site.url, "team/app:esgz", BACKGROUND="1")
        over = moved(wire.seen())
        print(f"\nbackground: client read {figures['bytes_at_end']}, over the wire {over}")
        assert figures["bytes_at_end"] > 2 * figures["bytes_after_run"], "it fetched in the background"
        assert over <= 1.05 * figures["bytes_at_end"]
