"""What every `RepositoryStore` keeps. Subclass it and give the fixtures `repositories` and `blobs`: the store of bytes
below it."""

from __future__ import annotations

import pytest

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.ports.blobs import BlobStore
from registry_mesh.ports.pieces import put
from registry_mesh.ports.repositories import KeptRepository, RepositoryStore
from tests.simulators.origins import plain
from tests.suites.bytes_of import read
from tests.suites.library import LIBRARY, NAME, OTHER, REGISTRY, bring

ELSEWHERE = RegistryName("127.0.0.1:5000")
ONE = LIBRARY.subject


async def bring_one(kept: KeptRepository, blobs: BlobStore, *tags: str) -> None:
    """Put one image, whose parts need not be new."""
    for blob in ONE.blobs():
        await put(blobs, blob.digest, LIBRARY.blobs[blob.digest])
        await kept.link(blob.digest)
    await put(blobs, ONE.digest, ONE.data)
    await kept.put_manifest(ONE)
    for tag in tags:
        await kept.tag(Tag(tag), plain(ONE), "a test")


class RepositoryStoreSuite:
    async def test_begins_with_nothing(self, repositories: RepositoryStore) -> None:
        kept = repositories.repository(REGISTRY, NAME).kept
        assert kept.pushes is None
        with pytest.raises(NameUnknown):
            await kept.tags.tags(1)
        with pytest.raises(BlobUnknown):
            await kept.blobs.stat(ONE.layers[0].digest)
        with pytest.raises(ManifestUnknown):
            await kept.manifests.manifest(ONE.digest)
        assert (await kept.referrers.referrers(ONE.digest)).descriptors == ()
        assert [each async for each in repositories.repositories(REGISTRY)] == []

    async def test_a_blob_is_of_the_repositories_that_link_it(
        self, repositories: RepositoryStore, blobs: BlobStore
    ) -> None:
        mine, other = (repositories.repository(REGISTRY, name) for name in (NAME, OTHER))
        digest = ONE.layers[0].digest
        await put(blobs, digest, LIBRARY.blobs[digest])
        for _ in range(2):
            await mine.link(digest)
        assert await read(mine.kept.blobs, digest) == LIBRARY.blobs[digest]
        with pytest.raises(BlobUnknown):
            await other.kept.blobs.stat(digest)

    async def test_what_is_not_there_cannot_be_linked(self, repositories: RepositoryStore) -> None:
        with pytest.raises(BlobUnknown):
            await repositories.repository(REGISTRY, NAME).link(ONE.layers[0].digest)

    async def test_putting_all_of_it_twice(self, repositories: RepositoryStore, blobs: BlobStore) -> None:
        held = repositories.repository(REGISTRY, NAME)
        for _ in range(2):
            await bring(held, blobs)
        assert (await held.kept.tags.tags(100)).tags == tuple(sorted(LIBRARY.tags))
        for digest, manifest in LIBRARY.manifests.items():
            assert (await held.kept.manifests.manifest(digest)).manifest == manifest
        found = (await held.kept.referrers.referrers(ONE.digest)).descriptors
        assert {each.digest for each in found} == {each.digest for each in LIBRARY.referrers}

    async def test_what_rules_do_not_want_need_not_be_here(
        self, repositories: RepositoryStore, blobs: BlobStore
    ) -> None:
        held = repositories.repository(REGISTRY, NAME)
        index = next(each for each in LIBRARY.manifests.values() if each.manifests)
        await put(blobs, index.digest, index.data)
        await held.put_manifest(index, frozenset(each.digest for each in index.manifests))
        await held.tag(Tag("latest"), plain(index), "a test")
        assert (await held.kept.tags.resolve(Tag("latest"))).descriptor.digest == index.digest
        with pytest.raises(ManifestUnknown):
            await held.kept.manifests.manifest(index.manifests[0].digest)

    async def test_a_tag_moves(self, repositories: RepositoryStore, blobs: BlobStore) -> None:
        held = repositories.repository(REGISTRY, NAME)
        await bring(held, blobs)
        for manifest in LIBRARY.manifests.values():
            for _ in range(2):
                await held.tag(Tag("1"), plain(manifest), "a test")
            assert (await held.kept.tags.resolve(Tag("1"))).descriptor.digest == manifest.digest

    async def test_registries_are_apart(self, repositories: RepositoryStore, blobs: BlobStore) -> None:
        await bring_one(repositories.repository(REGISTRY, NAME), blobs, "1")
        there = repositories.repository(ELSEWHERE, NAME)
        with pytest.raises(ManifestUnknown):
            await there.kept.manifests.manifest(ONE.digest)
        await bring_one(there, blobs, "2")
        assert (await there.kept.tags.tags(9)).tags == ("2",)
        assert (await repositories.repository(REGISTRY, NAME).kept.tags.tags(9)).tags == ("1",)
        for registry in (REGISTRY, ELSEWHERE):
            assert [each async for each in repositories.repositories(registry)] == [NAME]

    async def test_lists_those_that_hold_anything_in_order(
        self, repositories: RepositoryStore, blobs: BlobStore
    ) -> None:
        names = [RepositoryName(text) for text in ("b", "a/b", "a", "a-b", "a/b/c")]
        for name in names:
            await bring_one(repositories.repository(REGISTRY, name), blobs, "1")
        repositories.repository(REGISTRY, RepositoryName("nothing"))
        listed = [each async for each in repositories.repositories(REGISTRY)]
        assert listed == sorted(names)
        for last in (*names, "a.", "0", "z"):
            after = [each async for each in repositories.repositories(REGISTRY, last)]
            assert after == [each for each in listed if each > last]
