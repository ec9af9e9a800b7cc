"""Blobs, manifests, tags and referrers of one repository, through every nest."""

from __future__ import annotations

import pytest

from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.repositories import ManifestSource, ReferrerSource, RegistrySource, TagSource
from tests.suites.blob_source import BLOBS, Blobs, BlobSourceSuite
from tests.suites.library import EMPTY, LIBRARY, NAME, Library
from tests.suites.manifest_source import ManifestSourceSuite
from tests.suites.referrer_source import ReferrerSourceSuite
from tests.suites.tag_source import TagSourceSuite

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def content() -> Library:
    return LIBRARY


class TestBlobs(BlobSourceSuite):
    @pytest.fixture
    def source(self, registry: RegistrySource) -> BlobSource:
        return registry.repository(NAME).blobs

    @pytest.fixture
    def held(self) -> Blobs:
        return BLOBS


class TestManifests(ManifestSourceSuite):
    @pytest.fixture
    def manifests(self, registry: RegistrySource) -> ManifestSource:
        return registry.repository(NAME).manifests


class TestTags(TagSourceSuite):
    @pytest.fixture
    def tags(self, registry: RegistrySource) -> TagSource:
        return registry.repository(NAME).tags

    @pytest.fixture
    def no_tags(self, registry: RegistrySource) -> TagSource:
        return registry.repository(EMPTY).tags


class TestReferrers(ReferrerSourceSuite):
    @pytest.fixture
    def referrers(self, registry: RegistrySource) -> ReferrerSource:
        return registry.repository(NAME).referrers
