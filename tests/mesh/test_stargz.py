"""A real lazy reader: stargz-snapshotter mounts an image through the site and reads what it needs.

Each test prints its figures (`pytest -s`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner

from registry_mesh.cli.main import main
from tests.clients import nodes
from tests.clients.nodes import Node
from tests.clients.registries import docker_registry
from tests.clients.scripts import run, stargz_pull
from tests.clients.wire import Seen, Wire, table
from tests.eventually import eventually_here

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
        size = _size(stocked_origin.url, "team/app", "esgz")
        figures = stargz_pull(site.url, "team/app:esgz", BACKGROUND=str(size * 9 // 10))
        over = moved(wire.seen())
        print(f"\nbackground: client read {figures['bytes_at_end']}, over the wire {over}")
        assert figures["bytes_at_end"] >= size * 9 // 10, "it fetched in the background"
        assert over <= 1.05 * figures["bytes_at_end"]


def test_what_an_origin_made_of_an_image_is_read_lazily(stocked_origin: Node, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    rule = f"{{from: {nodes.REGISTRY}, repos: team/app, tags: '1', variants: estargz}}"
    (rules / "r.yaml").write_text(f"schema: registry-mesh/rules/2\nrules: [{rule}]\n")
    with nodes.origin(tmp_path / "origin", rules=str(rules)) as own:
        source, target = (
            f"docker://{u.removeprefix('http://')}/team/app:1" for u in (stocked_origin.url, own.url)
        )
        run("skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false",
            source, target)  # fmt: skip
        assert CliRunner().invoke(main, ["replicate", str(own.config), "--once", "--quiet"]).exit_code == 0
        made = _referring(own.url, "team/app", "1")
        figures = stargz_pull(own.url, f"team/app@{made}")
    assert figures["fuse_mounts"] >= 5 and '"digest"' in figures["ran"], figures


def _size(url: str, name: str, tag: str) -> int:
    """Bytes of an image's layers."""
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with urlopen(Request(f"{url}/v2/{name}/manifests/{tag}", headers=accept)) as answer:
        return sum(int(each["size"]) for each in json.load(answer)["layers"])


def _referring(url: str, name: str, tag: str) -> str:
    """The digest of the variant of an image."""
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with urlopen(Request(f"{url}/v2/{name}/manifests/{tag}", headers=accept)) as answer:
        digest = answer.headers["Docker-Content-Digest"]
    with urlopen(f"{url}/v2/{name}/referrers/{digest}") as answer:
        (found,) = json.load(answer)["manifests"]
    return str(found["digest"])


READER = """
import time
def read(number):
    for attempt in range(600):
        try:
            with open(f"/data/files/{number % 50:02}/f{number:04}", "rb") as file:
                return len(file.read()), attempt
        except OSError:
            time.sleep(0.2)
    raise SystemExit("never")
def stage(over, name, numbers):
    told = [read(number) for number in numbers]
    with open("/proc/self/comm", "w") as file:
        file.write(f"stage {over}")
    print(name, sum(size > 0 for size, _ in told), sum(attempt > 0 for _, attempt in told), end="; ")
    time.sleep(1.5)
stage(1, "begun", range(0, 5))
stage(2, "restarted", range(101, 2101, 200))
stage(3, "parent back", range(202, 2202, 200))
"""
"""Reads files that it has not read before, in three stages; the name of its process says how many are over. A read that
fails is tried again. Prints of each stage the files that were read, and those that failed at first."""


def test_a_program_goes_on_over_a_restart_of_the_site_and_the_death_of_its_parent(
    tmp_path: Path, stocked_origin: Node
) -> None:
    program = f"/usr/bin/python3.11 -c '{READER.replace(chr(39), chr(34))}'"
    with Wire(stocked_origin.url, tmp_path / "wire") as wire, nodes.site(tmp_path / "site", wire.url) as site:
        with ThreadPoolExecutor(1) as thread:
            pulled = thread.submit(stargz_pull, site.url, "team/app:esgz", ARGS=program)
            eventually_here(lambda: pulled.done() or stages_of(READER) >= 1, "the program to begin", 120)
            site.kill()
            site.start()
            eventually_here(lambda: pulled.done() or stages_of(READER) >= 2, "it to go on", 120)
            wire.fault({"match": "GET .*/blobs/", "do": "status", "code": 503})
            eventually_here(lambda: pulled.done() or refused(wire), "it to miss the parent", 120)
            wire.fault()
            figures = pulled.result(timeout=180)
    print(figures["ran"])
    begun, restarted, back = (each.split() for each in figures["ran"].strip("; ").split("; "))
    assert (begun[-2:], restarted[-2], back[-2]) == (["5", "0"], "10", "10")


def refused(wire: Wire) -> bool:
    return any(each.status == 503 for each in wire.seen())


def stages_of(program: str) -> int:
    """How many stages of `program` are over; 0 where it does not run."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            arguments = (process / "cmdline").read_text().split("\0")
            if arguments[0] == "/usr/bin/python3.11" and program.strip() in arguments[-2].strip():
                name, _, over = (process / "comm").read_text().partition(" ")
                found = max(found, int(over) if name == "stage" else 0)
    return found
