"""A layer of 64 GiB, of which a range is read through two sites: proven at each, by a page of its chunk map."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap, count
from registry_mesh.chunks.sums import SumAlgorithm
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.span import Span
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.repositories import RegistrySource, Repository
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.simulators.link import Link
from tests.simulators.nests import Ground, Plain, no_bucket
from tests.suites.bytes_of import pattern
from tests.suites.library import NAME, REGISTRY

SIZE = 64 << 30
AT = 41 * (SIZE // 64) + 777_777
DATA = pattern(65_536)
LAYER = Digest.of(b"a layer of 64 GiB, which nobody ever hashes as a whole")


@dataclass(frozen=True)
class WithLayer:
    """A registry whose blobs are those of `store`."""

    registry: RegistrySource
    store: DiskStore

    def repository(self, name: RepositoryName) -> Repository:
        return replace(self.registry.repository(name), blobs=self.store)

    def repositories(self) -> AsyncIterator[RepositoryName]:
        return self.registry.repositories()


async def huge(store: DiskStore, algorithm: SumAlgorithm) -> None:
    """Put the layer there: nothing but zeros around `DATA`."""
    first, last = AT // CHUNK, (AT + len(DATA)) // CHUNK
    written = bytearray((last + 1 - first) * CHUNK)
    written[AT - first * CHUNK : AT - first * CHUNK + len(DATA)] = DATA
    sums = bytearray(algorithm.of(bytes(CHUNK)) * count(SIZE))
    for index in range(first, last + 1):
        chunk = written[(index - first) * CHUNK : (index - first + 1) * CHUNK]
        sums[index * 32 : index * 32 + 32] = algorithm.of(chunk)
    path = store.layout.blob(LAYER)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(SIZE)
        file.seek(AT)
        file.write(DATA)
    store.shelf.put_chunk_map(LAYER, ChunkMap.of_sums(SIZE, bytes(sums), algorithm))


async def behind(stack: AsyncExitStack, registry: RegistrySource, role: str) -> tuple[UpstreamRegistry, Link]:
    """The same over HTTP and a link that counts."""
    server = Server(Plain(registry, role), Settings())
    await server.start()
    stack.push_async_callback(server.close)
    link = await stack.enter_async_context(Link("127.0.0.1", server.port))
    client = await stack.enter_async_context(open_session(Way(hosts=frozenset({"127.0.0.1"}))))
    return UpstreamRegistry(ParentSession(client, link.url, ns="always"), REGISTRY), link


def of_map(link: Link) -> int:
    """Bytes of chunk maps that crossed a link."""
    return sum(each.body_bytes for each in link.counts.passed if "/_mesh/chunks/" in each.target)


@pytest.mark.parametrize("algorithm", list(SumAlgorithm))
async def test_the_first_proven_byte_needs_at_most_64_kib_of_the_map(
    tmp_path: Path, algorithm: SumAlgorithm
) -> None:
    async with AsyncExitStack() as stack:
        ground = Ground(stack, tmp_path, no_bucket)
        store = await ground.disk()
        await huge(store, algorithm)
        origin, far = await behind(stack, WithLayer(await ground.empty_origin(), store), "origin")
        site, near = await behind(stack, await ground.site("disk", origin), "site")
        blobs = (await ground.site("memory", site)).repository(NAME).blobs
        async with blobs.open(LAYER, Span(AT, AT + len(DATA))) as reading:
            assert b"".join([bytes(piece) async for piece in in_memory(reading)]) == DATA
            assert not reading.provenance.unproven
        for link in (far, near):
            assert 0 < of_map(link) <= 64 << 10, link.counts.passed
            assert link.counts.body_bytes - of_map(link) <= 4 * CHUNK, "and no more of the layer than that"
