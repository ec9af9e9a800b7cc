"""Servers of one site that lose some of their number in the middle of large layers. All stand apart: the parent and its
link, each server, each client. Clients retry nothing, so what a living server fails to give is seen."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from registry_mesh.chunks.chunk_map import MIB
from tests.clients import nodes
from tests.eventually import eventually_here
from tests.mesh.test_bucket_site import s3_of
from tests.simulators.bucket import Bucket
from tests.simulators.far_parent import FarParent, far_parent
from tests.simulators.puller import Failed, pull

pytestmark = [pytest.mark.slow, pytest.mark.s3]

LAYERS = tuple(size * MIB for size in (200, 100, 80, 60, 40, 30, 20, 20, 15, 10, 10, 5, 5, 5))
"""Of up to four segments."""
RATE = 30e6
CLIENTS = 9
ON_THE_WAY = CLIENTS * MIB
"""Bytes that the servers which are lost were at: what a kernel took for one that stands still is among them."""
SEGMENT = 64 * MIB
"""What one server brings of a layer: the last that a lost one brought it may have alone, and it comes once more."""
PULLS = 3
"""Of each layer, by clients that begin together."""

Pulled = tuple[bool, list[Failed]]


@dataclass
class Team:
    """The servers, and since when some of them are gone, by their ports."""

    parent: FarParent
    servers: list[nodes.Node]
    gone: dict[int, float] = field(default_factory=dict)

    def lose(self, index: int, number: signal.Signals) -> None:
        """Send the signal to all processes of a server, which is gone from now on."""
        server = self.servers[index]
        assert server.process is not None
        self.gone[server.port] = time.monotonic()
        os.killpg(server.process.pid, number)

    def ways(self) -> Iterator[tuple[str, list[int]]]:
        """What is pulled, and in which order servers are asked for it: each pull of a layer begins with another."""
        ports = [server.port for server in self.servers]
        for number, digest in enumerate(self.parent.blobs):
            for place in range(PULLS):
                first = (number + place) % len(ports)
                yield f"/v2/team/app/blobs/{digest}", ports[first:] + ports[:first]

    def blamed(self, pulled: list[Pulled]) -> list[Failed]:
        """What failed at servers that were not gone."""
        failed = [each for _, attempts in pulled for each in attempts]
        return [each for each in failed if each.ended < self.gone.get(each.port, each.ended + 1)]

    def part(self) -> float:
        """How much of the layers crossed the link."""
        return self.parent.moved / sum(LAYERS)

    def again_for_the_living(self) -> int:
        """Bytes that servers which are not gone had of the parent, and one of them had had before."""
        living = [i for i, server in enumerate(self.servers) if server.port not in self.gone]
        return self.parent.again(living)

    def see_each_other(self) -> bool:
        """Whether the parent and every server answered every other server."""
        return all(_sees_all(server, len(self.servers) - 1) for server in self.servers)


def _sees_all(server: nodes.Node, others: int) -> bool:
    with urllib.request.urlopen(f"{server.admin}/status", timeout=30) as answer:
        told = json.load(answer)
    parents = [
        parent for each in told["registries"].values() for group in each["parents"] for parent in group
    ]
    known = [each for each in told["siblings"] if each["use"] == "in_use" and each["latency_ms"] is not None]
    return all(parent["state"] == "up" for parent in parents) and len(known) == others


@contextmanager
def team(folder: Path, count: int, bucket: Bucket | None) -> Iterator[Team]:
    """Servers over a disk each, or all over one bucket."""
    with far_parent(LAYERS, RATE, doors=count) as parent:
        servers = [nodes.site(folder / f"site{i}", url) for i, url in enumerate(parent.urls)]
        known = {each.folder.name: each.url for each in servers}
        prefix = bucket.prefix() if bucket is not None else ""
        for each, url in zip(servers, parent.urls, strict=True):
            config: dict[str, Any] = {"role": "site", "workers": 2, "siblings": {"nodes": known}}
            config["registries"] = nodes.registries(url)
            if bucket is not None:
                config["store"] = {"s3": _s3(bucket, prefix, each.folder / "spool")}
                each.environment = bucket.keys
            each.change(config)
        try:
            for each in servers:
                each.start()
            made = Team(parent, servers)
            eventually_here(made.see_each_other, "the servers to see each other", pause=0.2)
            yield made
        finally:
            for each in servers:
                each.kill()
                rmtree(each.folder, ignore_errors=True)  # gigabytes


def _s3(bucket: Bucket, prefix: str, spool: Path) -> Mapping[str, Any]:
    """A spool in which all the layers find room."""
    s3 = s3_of(bucket, prefix, bucket.endpoint, spool, "off")
    return {**s3, "spool": {"path": str(spool), "quota": 2 * sum(LAYERS)}}


@pytest.mark.parametrize(("count", "kind", "cut"), [(2, "bucket", False), (4, "disks", True)])
def test_one_is_killed_and_one_stands_still_and_no_other_fails_a_pull(
    count: int, kind: str, cut: bool, bucket: Bucket, tmp_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    with (
        team(tmp_path, count, bucket if kind == "bucket" else None) as site,
        ProcessPoolExecutor(CLIENTS, mp_context=spawn) as clients,
    ):
        pulls: list[Future[Pulled]] = [clients.submit(pull, *way) for way in site.ways()]
        eventually_here(lambda: site.part() > 1 / 3, "a third of the layers", 200, pause=0.02)
        site.lose(1, signal.SIGKILL)
        if cut:
            eventually_here(lambda: site.part() > 1 / 2, "half of them", 200, pause=0.02)
            site.lose(2, signal.SIGSTOP)
        pulled = [each.result(240) for each in pulls]
    assert site.blamed(pulled) == []
    assert all(good for good, _ in pulled)
    assert site.again_for_the_living() <= 0.02 * sum(LAYERS)
    held_alone = len(site.gone) * SEGMENT
    assert sum(LAYERS) <= site.parent.moved <= 1.02 * sum(LAYERS) + ON_THE_WAY + held_alone
