"""What every `RegistrySource` keeps. Subclass it and give the fixtures `registry` and `names`: those of its
repositories, each of which has a tag."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import BlobUnknown, ManifestUnknown, NameUnknown
from registry_mesh.ports.repositories import EVERY, RegistrySource
from tests.suites.library import EMPTY, REGISTRY


class RegistrySourceSuite:
    async def test_lists_each_once(self, registry: RegistrySource, names: Collection[RepositoryName]) -> None:
        assert sorted([name async for name in registry.repositories()]) == sorted(names)

    async def test_offers_each(self, registry: RegistrySource, names: Collection[RepositoryName]) -> None:
        for name in names:
            repository = registry.repository(name)
            assert (repository.registry, repository.name) == (REGISTRY, name)
            assert (await repository.tags.tags(EVERY)).tags

    async def test_offers_one_that_is_not(self, registry: RegistrySource) -> None:
        repository = registry.repository(EMPTY)
        with pytest.raises(NameUnknown):
            await repository.tags.tags(EVERY)
        with pytest.raises((ManifestUnknown, NameUnknown)):
            await repository.manifests.manifest(Digest.of(b"x"))
        with pytest.raises((BlobUnknown, NameUnknown)):
            await repository.blobs.stat(Digest.of(b"x"))
