"""What one process of a site learns of a parent all its processes know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_mesh.assembly.labels import board
from registry_mesh.assembly.sources.parents import Parents, Seen
from registry_mesh.assembly.sources.roles import open_site
from registry_mesh.assembly.sources.storage import open_storage
from registry_mesh.config.load import parse
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.parents import Parent
from registry_mesh.roles.site import Site
from tests.simulators.link import Conditions, Link
from tests.simulators.parent import PlainParent, plain_parent
from tests.suites.bytes_of import pattern, read

HOST = RegistryName("registry.example")


@dataclass
class Process:
    site: Site
    parents: list[Parent]


@dataclass
class Node:
    """Two processes of one site, in this process: a parent whose bytes are wrong is asked first."""

    behind: PlainParent
    processes: list[Process]

    async def pull(self, digest: Digest) -> None:
        blobs = self.processes[0].site.repository(HOST, RepositoryName("team/app")).blobs
        for _ in range(3):
            try:
                await read(blobs, digest)
                return
            except Failure:
                pass


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        behind = await stack.enter_async_context(plain_parent())
        liar = await stack.enter_async_context(Link("127.0.0.1", behind.port, Conditions(flip_at=7)))
        document = {
            "role": "site",
            "store": {"disk": {"path": str(tmp_path)}},
            "registries": {HOST: {"parents": [[liar.url], [behind.url]], "hedge": "none"}},
        }
        config = parse(json.dumps(document), "site.yaml").config
        storage = await open_storage(config)
        stack.push_async_callback(storage.close)
        shared, processes = board(config, 2), []
        for process in range(2):
            parents = await stack.enter_async_context(Parents(config, seen=Seen(shared, process)))
            known = [each.parent for group in parents.groups[HOST] for each in group]
            processes.append(Process(open_site(config, storage, parents, stack), known))
        yield Node(behind, processes)


async def test_who_lies_about_several_blobs_is_asked_after_the_others_by_all(node: Node) -> None:
    liar, honest = node.processes[1].parents
    for seed in range(Distrusted.DOUBTS):
        assert not liar.outrun("blobs")
        async with asyncio.timeout(60):
            await node.pull(node.behind.add(pattern(70_000, seed=seed)))
    assert liar.outrun("blobs") and not honest.outrun("blobs")
    assert Distrusted().is_slow(liar, "blobs")


async def test_who_never_told_of_a_chunk_map_is_so_for_all(node: Node) -> None:
    here, there = (process.parents[0] for process in node.processes)
    Distrusted().was_beaten(here, "maps")
    assert Distrusted().is_slow(there, "maps")
