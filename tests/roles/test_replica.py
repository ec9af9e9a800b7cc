"""What a replica answers for what it holds, what it does not, and what is not its own."""

from __future__ import annotations

import pytest

from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.ports.failures import Failure, SourceUnavailable
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.roles.replica import Replica
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.images import HOST, SourceRegistry
from tests.suites.bytes_of import read

NAME = RepositoryName("atlas/athena")
OTHER = RegistryName("127.0.0.1:5000")


class Node:
    """A replica that holds one image of two."""

    def __init__(self) -> None:
        self.source = SourceRegistry()
        self.store = MemoryStore()
        self.repositories = ReplicaRepositories(self.store.records, self.store, lambda: 0.0)
        self.held = self.source[NAME].image("held", "1", "both")
        self.beyond = self.source[NAME].image("beyond", "2")
        self.signature = self.source[NAME].image("signature", subject=self.held)

    async def bring(self, registry: RegistryName = HOST) -> None:
        place = self.repositories.repository(registry, NAME)
        for data in self.source[NAME].blobs.values():
            if data in [self.source[NAME].blobs[b.digest] for b in self.held.blobs()]:
                async with self.store.ingest() as ingest:
                    await ingest.write(data)
                    await place.link((await ingest.commit()).digest)
        async with self.store.ingest() as ingest:
            await ingest.write(self.held.data)
            await ingest.commit(self.held.digest)
        await place.put_manifest(self.held)
        await place.tag(Tag("1"), self.held.descriptor, "test")

    def replica(self, *, pull_through: bool) -> Replica:
        beyond = self.source.repository
        return Replica(
            self.repositories,
            [HOST, OTHER],
            default=HOST,
            beyond=(lambda r, n: beyond(n)) if pull_through else None,
        )


@pytest.fixture
async def node() -> Node:
    node = Node()
    await node.bring()
    return node


async def test_serves_what_it_holds_with_its_source_dead(node: Node) -> None:
    node.source.down = True
    repository = node.replica(pull_through=False).repository(None, NAME)
    assert repository.pushes is None
    assert (await repository.tags.resolve(Tag("1"))).descriptor.digest == node.held.digest
    assert (await repository.manifests.manifest(node.held.digest)).manifest == node.held
    layer = node.held.layers[0]
    assert await read(repository.blobs, layer.digest) == node.source[NAME].blobs[layer.digest]
    assert (await repository.tags.tags(10)).tags == ("1",)


async def test_refuses_what_it_does_not_hold_without_asking(node: Node) -> None:
    repository = node.replica(pull_through=False).repository(HOST, NAME)
    with pytest.raises(ManifestUnknown):
        await repository.tags.resolve(Tag("2"))
    with pytest.raises(ManifestUnknown):
        await repository.manifests.manifest(node.beyond.digest)
    with pytest.raises(BlobUnknown):
        await repository.blobs.stat(node.beyond.layers[0].digest)
    assert not node.source.asked


async def test_falls_through_to_what_it_does_not_hold(node: Node) -> None:
    repository = node.replica(pull_through=True).repository(HOST, NAME)
    assert (await repository.tags.resolve(Tag("2"))).descriptor.digest == node.beyond.digest
    assert (await repository.manifests.manifest(node.beyond.digest)).manifest == node.beyond
    layer = node.beyond.layers[0]
    assert (await repository.blobs.stat(layer.digest)).size == layer.size
    assert await read(repository.blobs, layer.digest) == node.source[NAME].blobs[layer.digest]
    assert (await repository.tags.tags(10)).tags == ("1", "2", "both")
    found = await repository.referrers.referrers(node.held.digest)
    assert [each.digest for each in found.descriptors] == [node.signature.digest]


async def test_what_is_held_is_not_asked_about_beyond(node: Node) -> None:
    newer: Manifest = node.source[NAME].image("newer", "1")
    repository = node.replica(pull_through=True).repository(HOST, NAME)
    assert (await repository.tags.resolve(Tag("1"))).descriptor.digest == node.held.digest != newer.digest
    await repository.manifests.manifest(node.held.digest)
    await repository.blobs.stat(node.held.layers[0].digest)
    assert not node.source.asked


async def test_with_the_source_dead_lists_are_what_is_held_and_the_rest_is_no_unknown(node: Node) -> None:
    node.source.down = True
    repository = node.replica(pull_through=True).repository(HOST, NAME)
    assert (await repository.tags.tags(10)).tags == ("1",)
    assert (await repository.referrers.referrers(node.held.digest)).descriptors == ()
    with pytest.raises(SourceUnavailable):
        await repository.tags.resolve(Tag("2"))
    with pytest.raises(Failure):
        await node.replica(pull_through=True).repository(HOST, RepositoryName("x")).tags.tags(10)


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_joined_pages_leave_no_tag_out(node: Node, limit: int) -> None:
    for tag in ("0", "3", "a"):
        node.source[NAME].tags[Tag(tag)] = node.beyond.digest
    repository = node.replica(pull_through=True).repository(HOST, NAME)
    found: list[str] = []
    page = await repository.tags.tags(limit)
    found += page.tags
    while page.more:
        page = await repository.tags.tags(limit, found[-1])
        found += page.tags
    assert found == ["0", "1", "2", "3", "a", "both"]


async def test_registries_are_apart(node: Node) -> None:
    replica = node.replica(pull_through=False)
    assert replica.registries == {HOST, OTHER}
    with pytest.raises(ManifestUnknown):
        await replica.repository(OTHER, NAME).manifests.manifest(node.held.digest)
    await node.bring(OTHER)
    assert (
        await replica.repository(OTHER, NAME).tags.resolve(Tag("1"))
    ).descriptor.digest == node.held.digest
    assert [name async for name in replica.repositories(OTHER)] == [NAME]
    assert [name async for name in replica.repositories(None)] == [NAME]


def test_other_registries_are_unknown() -> None:
    replica = Replica(Node().repositories, [HOST, OTHER])
    for registry in ("evil.example", None, "a b"):
        with pytest.raises(NameUnknown):
            replica.repository(registry, NAME)
    assert Replica(Node().repositories, [HOST]).repository(None, NAME).registry == HOST
