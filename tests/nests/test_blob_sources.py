"""Blobs alone: every store, and what is made of a bucket for a site."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import pytest
import pytest_asyncio

from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.shared import SharedFirst
from registry_mesh.ports.blobs import BlobSource, BlobStore
from registry_mesh.ports.pieces import put
from tests.simulators.nests import Ground
from tests.suites.blob_source import BLOBS, Blobs, BlobSourceSuite

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def stocked(store: BlobStore, blobs: Blobs = BLOBS) -> BlobStore:
    for digest, data in blobs.items():
        await put(store, digest, data)
    return store


async def memory(ground: Ground) -> BlobSource:
    return await stocked(await ground.memory())


async def disk(ground: Ground) -> BlobSource:
    return await stocked(await ground.disk())


async def bucket(ground: Ground) -> BlobSource:
    return await stocked(await ground.s3())


async def cache_on_a_bucket(ground: Ground) -> BlobSource:
    return await stocked(await ground.s3_cache())


async def near_on_a_bucket(ground: Ground) -> BlobSource:
    cache = await ground.s3_cache()
    await stocked(cache)
    return cache.near


async def bucket_as_parent(ground: Ground) -> BlobSource:
    cache = await ground.s3_cache()
    await stocked(cache.bucket)
    return cache.shared


async def cache_that_has_lost_its_spool(ground: Ground) -> BlobSource:
    cache = await ground.s3_cache()
    await stocked(cache)
    await cache.settled()
    for digest in BLOBS:
        await cache.spool.delete(digest)
    return cache


async def shared_first(ground: Ground) -> BlobSource:
    """Every other blob is in the bucket, the rest beyond it."""
    cache = await ground.s3_cache()
    await stocked(cache.bucket, dict(list(BLOBS.items())[::2]))
    beyond = await stocked(await ground.memory(), dict(list(BLOBS.items())[1::2]))
    return SharedFirst(cache.shared, beyond, Distrusted())


Make = Callable[[Ground], Awaitable[BlobSource]]

HERE: Final[list[Make]] = [memory, disk]
IN_A_BUCKET: Final[list[Make]] = [
    bucket,
    cache_on_a_bucket,
    near_on_a_bucket,
    bucket_as_parent,
    cache_that_has_lost_its_spool,
    shared_first,
]
SOURCES = [*HERE, *(pytest.param(make, marks=pytest.mark.s3) for make in IN_A_BUCKET)]


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=SOURCES, ids=lambda make: make.__name__.replace("_", " ")
)
async def made(request: pytest.FixtureRequest, ground: Ground) -> BlobSource:
    make: Make = request.param
    return await make(ground)


class TestBlobs(BlobSourceSuite):
    @pytest.fixture
    def source(self, made: BlobSource) -> BlobSource:
        return made

    @pytest.fixture
    def held(self) -> Blobs:
        return BLOBS
