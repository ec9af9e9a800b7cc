"""A bucket read again: what has rotted in it is found, and nothing else is."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.scrub import Pace, Scrub
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.stores.bucket.entry import INLINE, MAP_INLINE, data_key, entry_key, map_key
from registry_mesh.stores.bucket.inspection import BucketInspection
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.memory.records import MemoryRecords
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read

pytestmark = pytest.mark.s3

ALWAYS = math.inf

MAPPED = pattern((MAP_INLINE + 2) * CHUNK + 3)
"""Large enough for a chunk map of its own."""


async def name_of(store: S3Store, digest: Digest) -> str:
    return (await store.look(digest)).entry.name


async def inspected(store: S3Store, digest: Digest) -> tuple[int, list[Span]]:
    steps = [step async for step in BucketInspection(store).inspect(digest)]
    return sum(step.size for step in steps), [span for step in steps for span in step.rotten]


async def flipped(store: S3Store, data: bytes) -> Digest:
    """A blob of which a bit has turned over in the bucket."""
    digest = await put(store, data)
    rotten = bytearray(data)
    rotten[len(data) // 2] ^= 1
    await store.client.put(data_key(await name_of(store, digest)), bytes(rotten))
    return digest


async def test_what_is_right_is_left_alone(s3_store: S3Store) -> None:
    for data in (b"small", pattern(INLINE + 1), MAPPED):
        digest = await put(s3_store, data)
        size, rotten = await inspected(s3_store, digest)
        assert size >= len(data) and not rotten
        assert await read(s3_store, digest) == data
    assert await inspected(s3_store, Digest.of(b"never")) == (0, [])


async def test_what_has_rotted_is_taken_away(s3_store: S3Store, s3_other: S3Store) -> None:
    """A bit, a cut, bytes that are gone, an entry that cannot be read, small bytes in their entry."""
    bit = await flipped(s3_store, pattern(INLINE + 1, seed=1))
    cut = await put(s3_store, pattern(3 * CHUNK, seed=2))
    await s3_store.client.put(data_key(await name_of(s3_store, cut)), pattern(3 * CHUNK, seed=2)[:-9])
    gone = await put(s3_store, pattern(3 * CHUNK, seed=3))
    await s3_store.control.delete([data_key(await name_of(s3_store, gone))])
    unread = await put(s3_store, pattern(3 * CHUNK, seed=4))
    await s3_store.client.put(entry_key(unread), b"{}")
    small = await put(s3_store, b"small, and in its entry")
    whole = await s3_store.client.get(entry_key(small))
    assert whole is not None
    await s3_store.client.put(entry_key(small), whole.replace(b"small", b"smell"))
    for digest in (bit, cut, gone, unread, small):
        _, rotten = await inspected(s3_store, digest)
        assert rotten and rotten[0].start == 0
        assert not await s3_other.has(digest), "nobody is sent to it"
    assert await put(s3_other, pattern(3 * CHUNK, seed=3)) == gone
    assert await read(s3_store, gone) == pattern(3 * CHUNK, seed=3)


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "wrong"])
async def test_a_chunk_map_is_made_again_of_bytes_that_are_right(
    s3_store: S3Store, s3_other: S3Store, lost: bool
) -> None:
    digest = await put(s3_store, MAPPED)
    key = map_key(await name_of(s3_store, digest))
    before = await s3_store.client.get(key)
    if lost:
        await s3_store.control.delete([key])
    else:
        await s3_store.client.put(key, b"not the map")
    assert (await inspected(s3_store, digest))[1] == []
    assert await s3_store.client.get(key) == before
    assert await read(s3_other, digest) == MAPPED


async def test_the_scrub_walks_a_bucket_within_its_budget_and_mends_it(s3_store: S3Store) -> None:
    """From where the last one stopped; what has rotted comes anew."""
    blobs = [pattern(INLINE + 1 + each, seed=each) for each in range(4)]
    for data in blobs[1:]:
        await put(s3_store, data)
    rotten = await flipped(s3_store, blobs[0])
    begins = time.time() + 60
    now = [begins]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    async def repair(digest: Digest, spans: Sequence[Span]) -> bool:
        return digest == rotten and await put(s3_store, blobs[0]) == rotten

    scrub = Scrub(
        BucketInspection(s3_store),
        MemoryRecords(),
        repair,
        lambda: Pace(1000, 9e9),
        None,
        lambda: now[0],
        sleep,
    )
    await scrub.walk()
    assert (scrub.progress.rotten, scrub.progress.repaired) == (1, 1)
    assert now[0] - begins >= sum(map(len, blobs)) / 1000, "no faster than its budget"
    assert await read(s3_store, rotten) == blobs[0]
    digests = [each async for each in BucketInspection(s3_store).digests(None, ALWAYS)]
    assert digests == sorted(map(Digest.of, blobs), key=str)
    assert [each async for each in BucketInspection(s3_store).digests(digests[1], ALWAYS)] == digests[2:]


async def test_what_was_stored_lately_is_left_alone(s3_store: S3Store) -> None:
    """By the time that the bucket gives it."""
    small, large = [await put(s3_store, data) for data in (b"small", pattern(INLINE + 1))]
    stored = time.time()
    inspection = BucketInspection(s3_store)
    assert [each async for each in inspection.digests(None, stored - 3600)] == []
    assert [each async for each in inspection.digests(None, stored + 3600)] == sorted([small, large], key=str)
