"""What a site shares among repositories is bytes, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from registry_mesh.content.fill.fills import Fills
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.repositories import Repository
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.images import SourceRegistry
from tests.simulators.places import Offer
from tests.suites.bytes_of import read

ONE, OTHER = RegistryName("one.example"), RegistryName("other.example:5000")
PRIVATE, ELSE = RepositoryName("team/private"), RepositoryName("somebody/else")


class Node:
    """A site that serves two registries, and what their parents have."""

    def __init__(self) -> None:
        self.one, self.other = SourceRegistry(ONE), SourceRegistry(OTHER)
        self.image = self.one[PRIVATE].image("image", "1")
        self.index = self.one[PRIVATE].index({"linux/amd64": self.image}, "multi")
        self.store, self.records = MemoryStore(), MemoryRecords()
        self.begin()

    def begin(self) -> None:
        """Begin a new life over the same store."""
        self.fills = Fills(self.store)
        registries = {
            name: SiteRegistry([[Offer(source)]]) for name, source in ((ONE, self.one), (OTHER, self.other))
        }
        self.site = Site(self.store, self.records, self.fills, registries)  # type: ignore[arg-type]

    async def end(self) -> None:
        await self.site.close()
        await self.fills.close()

    def strangers(self) -> list[Repository]:
        """Repositories that do not name the image."""
        return [self.site.repository(ONE, ELSE), self.site.repository(OTHER, PRIVATE)]

    async def pull(self, tag: str = "1") -> None:
        mine = self.site.repository(ONE, PRIVATE)
        descriptor = (await mine.tags.resolve(Tag(tag))).descriptor
        await mine.manifests.manifest(descriptor.digest)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    node = Node()
    yield node
    await node.end()


async def test_a_held_manifest_is_unknown_to_repositories_that_do_not_name_it(node: Node) -> None:
    await node.pull()
    node.one[ELSE].image("something else", "1")
    node.other[PRIVATE].image("of the same name", "1")
    for stranger in node.strangers():
        with pytest.raises(ManifestUnknown):
            await stranger.manifests.manifest(node.image.digest)


async def test_nor_do_they_have_it_when_no_parent_answers(node: Node) -> None:
    await node.pull()
    node.one.down = node.other.down = True
    for digest in node.image.digest, Digest.of(b"held by nobody"):  # one cannot be told from the other
        for stranger in node.strangers():
            with pytest.raises(SourceUnavailable):
                await stranger.manifests.manifest(digest)
    mine = node.site.repository(ONE, PRIVATE)
    assert (await mine.manifests.manifest(node.image.digest)).provenance.hit


async def test_children_of_a_held_index_are_named_in_later_lives(node: Node) -> None:
    await node.pull("multi")
    await node.site.repository(ONE, PRIVATE).manifests.manifest(node.image.digest)
    await node.end()
    node.begin()
    node.one.down = True
    mine = node.site.repository(ONE, PRIVATE)
    assert (await mine.manifests.manifest(node.image.digest)).manifest == node.image


async def test_another_repository_that_has_the_manifest_is_asked_once(node: Node) -> None:
    await node.pull()
    node.one[ELSE].manifests[node.image.digest] = node.image
    other = node.site.repository(ONE, ELSE)
    asked = node.one.asked[f"manifest {node.image.digest}"]
    for _ in range(3):
        assert (await other.manifests.manifest(node.image.digest)).manifest == node.image
    assert node.one.asked[f"manifest {node.image.digest}"] == asked + 1


async def test_a_registry_is_served_by_its_other_names() -> None:
    store, records = MemoryStore(), MemoryRecords()
    fills = Fills(store)
    hub = SourceRegistry(RegistryName("docker.io"))
    hub[RepositoryName("library/alpine")].image("image", "3")
    served = {RegistryName("docker.io"): SiteRegistry([[Offer(hub)]])}
    aliases = {RegistryName("hub.example"): RegistryName("docker.io")}
    site = Site(store, records, fills, served, aliases=aliases)  # type: ignore[arg-type]
    for registry in (None, "docker.io", "index.docker.io", "DOCKER.IO:443", "hub.example"):
        repository = site.repository(registry, RepositoryName("alpine"))
        assert (repository.registry, repository.name) == ("docker.io", "library/alpine")
        assert (await repository.tags.resolve(Tag("3"))).descriptor
    with pytest.raises(NameUnknown):
        site.repository("quay.io", RepositoryName("alpine"))
    await site.close()
    await fills.close()


def layer_of(node: Node) -> Digest:
    """A layer of the image, and not one that other images have."""
    return node.image.layers[0].digest


async def refused(repository: Repository, digest: Digest, *how: type[Exception]) -> None:
    """Neither its size nor a byte nor the sums of its chunks are given."""
    how = how or (BlobUnknown, NameUnknown)
    with pytest.raises(how):
        await repository.blobs.stat(digest)
    for span in (None, Span(0, 10), Span(1 << 40, 1 << 41)):  # past its end a 416 would tell where that is
        with pytest.raises(how):
            await read(repository.blobs, digest, span)


async def test_a_held_blob_is_unknown_to_repositories_that_do_not_name_it(node: Node) -> None:
    await node.pull()
    digest = layer_of(node)
    await read(node.site.repository(ONE, PRIVATE).blobs, digest)
    for stranger in node.strangers():
        await refused(stranger, digest)
    await node.end()
    node.begin()
    node.one.down = node.other.down = True
    for stranger in node.strangers():
        for each in digest, Digest.of(b"held by nobody"):
            await refused(stranger, each, SourceUnavailable)
    mine = node.site.repository(ONE, PRIVATE).blobs
    assert (await mine.stat(digest)).size == len(await read(mine, digest))


async def test_a_blob_on_its_way_in_is_unknown_to_them_too(node: Node) -> None:
    await node.pull()
    digest = layer_of(node)
    mine = node.site.repository(ONE, PRIVATE).blobs
    outcomes = await asyncio.gather(
        read(mine, digest),
        *(read(each.blobs, digest) for each in node.strangers()),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], bytes)
    assert all(isinstance(each, (BlobUnknown, NameUnknown)) for each in outcomes[1:]), outcomes


async def test_a_blob_that_was_asked_for_by_its_digest_alone_is_the_repository_s(node: Node) -> None:
    digest = layer_of(node)
    mine = node.site.repository(ONE, PRIVATE).blobs
    await read(mine, digest)
    asked = dict(node.one.asked)
    await read(mine, digest)
    await mine.stat(digest)
    assert dict(node.one.asked) == asked, "what its parents gave is known to be its own"
    for stranger in node.strangers():
        await refused(stranger, digest)


async def test_another_repository_whose_parent_has_it_shares_the_bytes(node: Node) -> None:
    await node.pull()
    digest = layer_of(node)
    data = await read(node.site.repository(ONE, PRIVATE).blobs, digest)
    node.other[PRIVATE].blobs[digest] = data
    assert await read(node.site.repository(OTHER, PRIVATE).blobs, digest) == data
    assert node.other.asked[f"blob {digest}"] == 0, "its parent told that it has it, and no byte was moved"
    assert node.other.asked["stat"] == 1
