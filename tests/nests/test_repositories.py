"""Registries as parents offer them, and repositories as stores keep them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

import pytest
import pytest_asyncio

from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.repositories import RegistrySource, RepositoryStore
from registry_mesh.repositories.of_replica import ReplicaRepositories
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.nests import Ground
from tests.suites.library import NAME, OTHER
from tests.suites.registry_source import RegistrySourceSuite
from tests.suites.repository_store import RepositoryStoreSuite

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS = ["memory", "disk", pytest.param("bucket", marks=pytest.mark.s3)]


async def origin_over_http(ground: Ground) -> RegistrySource:
    return await ground.over_http(await ground.origin())


async def replica_over_http(ground: Ground) -> RegistrySource:
    return await ground.over_http(await ground.replica(), "replica")


async def failover(ground: Ground) -> RegistrySource:
    return await ground.failover(await ground.origin(), await ground.replica())


async def failover_over_http(ground: Ground) -> RegistrySource:
    return await ground.failover(await origin_over_http(ground), await replica_over_http(ground))


Make = Callable[[Ground], Awaitable[RegistrySource]]

ALL = {NAME, OTHER}

REGISTRIES: Final[dict[str, tuple[Make, Collection[RepositoryName]]]] = {
    "origin in memory": (lambda ground: ground.origin(), ALL),
    "origin on a disk": (lambda ground: ground.origin("disk"), ALL),
    "replica in memory": (lambda ground: ground.replica(), {NAME}),
    "replica on a disk": (lambda ground: ground.replica("disk"), {NAME}),
    "origin over http": (origin_over_http, ALL),
    "replica over http": (replica_over_http, {NAME}),
    "failover": (failover, ALL),
    "failover over http": (failover_over_http, ALL),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=REGISTRIES)
async def offered(
    request: pytest.FixtureRequest, ground: Ground
) -> tuple[RegistrySource, Collection[RepositoryName]]:
    make, names = REGISTRIES[request.param]
    return await make(ground), names


class TestRegistries(RegistrySourceSuite):
    @pytest.fixture
    def registry(self, offered: tuple[RegistrySource, Collection[RepositoryName]]) -> RegistrySource:
        return offered[0]

    @pytest.fixture
    def names(self, offered: tuple[RegistrySource, Collection[RepositoryName]]) -> Collection[RepositoryName]:
        return offered[1]


class TestRepositoryStores(RepositoryStoreSuite):
    @pytest_asyncio.fixture(loop_scope="module", params=KINDS)
    async def blobs(
        self, request: pytest.FixtureRequest, ground: Ground
    ) -> MemoryStore | DiskStore | S3Store:
        return await ground.store(request.param)

    @pytest.fixture
    def repositories(self, blobs: MemoryStore | DiskStore | S3Store) -> RepositoryStore:
        return ReplicaRepositories(blobs.records, blobs, lambda: 1_800_000_000.0)
