"""A site's bucket within its bounds: too old, or too much, and the oldest first."""

from __future__ import annotations

import time

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.stores.bucket.bounds import BucketBounds, keep_within
from registry_mesh.stores.bucket.store import S3Store
from tests.eventually import eventually
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.s3
MIB = 1 << 20


async def next_second() -> None:
    now = int(time.time())
    await eventually(lambda: int(time.time()) != now, "the next second")


async def stocked(store: S3Store) -> list[Digest]:
    """Three blobs of 2 MiB, a second apart: a bucket knows the time by the second."""
    digests = []
    for seed in range(3):
        if digests:
            await next_second()
        digests.append(await put(store, pattern(2 * MIB, seed=seed)))
    return digests


async def held(store: S3Store, digests: list[Digest]) -> list[bool]:
    return [await store.has(digest) for digest in digests]


async def test_the_oldest_go_until_the_rest_is_within_the_quota(
    s3_store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    digests = await stocked(s3_store)
    now = time.time()
    assert await keep_within(s3_store, s3_store.control, BucketBounds(), now) == 0
    assert await keep_within(s3_store, s3_store.control, BucketBounds(quota=6 * MIB), now) == 0
    assert not caplog.messages
    assert await keep_within(s3_store, s3_store.control, BucketBounds(quota=5 * MIB), now) == 1
    assert caplog.messages == ["1 of 3 blobs went from the bucket, the oldest: its quota or max_age"]
    assert await held(s3_store, digests) == [False, True, True]
    assert await keep_within(s3_store, s3_store.control, BucketBounds(quota=5 * MIB), now) == 0, (
        "what lingers is no more"
    )
    assert await keep_within(s3_store, s3_store.control, BucketBounds(quota=1), now) == 2
    assert await held(s3_store, digests) == [False, False, False]


async def test_what_is_too_old_goes(s3_store: S3Store) -> None:
    digests = await stocked(s3_store)
    later = time.time() + 3600
    assert await keep_within(s3_store, s3_store.control, BucketBounds(max_age=4000), later) == 0
    assert await keep_within(s3_store, s3_store.control, BucketBounds(max_age=1000), later) == 3
    assert await held(s3_store, digests) == [False, False, False]
    assert await put(s3_store, pattern(2 * MIB, seed=0)) == digests[0], "it may come again"
