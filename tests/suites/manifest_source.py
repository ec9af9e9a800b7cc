"""What every `ManifestSource` keeps. Subclass it and give the fixtures `manifests` and `content`: what it has."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import ManifestUnknown
from registry_mesh.ports.repositories import ManifestSource
from tests.suites.library import Library


class ManifestSourceSuite:
    async def test_gives_each_as_it_was_put(self, manifests: ManifestSource, content: Library) -> None:
        for digest, manifest in content.manifests.items():
            for _ in range(2):
                got = (await manifests.manifest(digest)).manifest
                assert (got.digest, got.media_type, got.data) == (digest, manifest.media_type, manifest.data)

    async def test_an_unknown_one(self, manifests: ManifestSource) -> None:
        with pytest.raises(ManifestUnknown):
            await manifests.manifest(Digest.of(b"no such manifest"))

    async def test_a_blob_is_no_manifest(self, manifests: ManifestSource, content: Library) -> None:
        for digest in content.blobs:
            with pytest.raises(ManifestUnknown):
                await manifests.manifest(digest)

    async def test_many_ask_for_one(self, manifests: ManifestSource, content: Library) -> None:
        digest = content.subject.digest
        got = await asyncio.gather(*(manifests.manifest(digest) for _ in range(20)))
        assert {each.manifest.data for each in got} == {content.subject.data}
