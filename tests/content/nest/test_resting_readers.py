"""Readers of a blob that came, or comes, while they read: those who read nothing keep it from eviction no longer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import FileSlice
from registry_mesh.ports.failures import StoreFull
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from tests.eventually import eventually
from tests.simulators.disk_cache import DiskCache
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read

QUOTA = 12 * MIB
DATA = pattern(8 * MIB)
DIGEST = Digest.of(DATA)
PART, WHOLE = Span(0, 6 * MIB), Span(0, len(DATA))


class Cache(DiskCache):
    async def fits(self, seed: int = 1) -> bool:
        """Whether the store makes room for another blob of that size."""
        try:
            await put(self.store, pattern(len(DATA), seed))
        except StoreFull:
            return False
        return True


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    store = await DiskStore.start(tmp_path / "store", quota=QUOTA, evict=True, fsync=DiskFsync.NEVER)
    cache = Cache(store, DATA)
    yield cache
    await cache.fills.close()
    await store.close()


async def begun(cache: Cache, pieces: AsyncIterator[object]) -> FileSlice:
    """The first slice that a reader is handed, and is slow to send."""
    first = await anext(pieces)
    assert isinstance(first, FileSlice)
    assert os.pread(first.fd, 100, first.start) == DATA[first.start : first.start + 100]
    return first


@pytest.mark.parametrize("span", [PART, WHOLE], ids=["in part", "committed while it is read"])
async def test_what_nobody_reads_makes_room(cache: Cache, span: Span) -> None:
    async with cache.through.open(DIGEST, span) as one, cache.through.open(DIGEST, span) as two:
        sending = [await begun(cache, each.pieces()) for each in (one, two)]
        assert await read(cache.through, DIGEST, span) == DATA[: span.stop], "all of it has come"
        assert one.rest(span)
        await asyncio.sleep(0.3)
        assert not await cache.fits(), "somebody reads it"
        assert two.rest(span)
        await eventually(cache.fits, "room")
        for reading, part in zip((one, two), sending, strict=True):
            assert not reading.still(Span(part.start, part.stop))
            assert reading.ready(Span(part.start, part.start + 10)) is None
        assert await read(cache.through, DIGEST, span) == DATA[: span.stop], "it comes anew"
        assert not one.still(PART)
    await eventually(lambda: not cache.fills.open, "the fills to end")
    assert await read(cache.through, DIGEST, WHOLE) == DATA
    await eventually(cache.fits, "room, as all is counted once")


@pytest.mark.parametrize("span", [PART, WHOLE], ids=["in part", "committed while it is read"])
async def test_who_reads_on_keeps_it_again(cache: Cache, span: Span) -> None:
    async with cache.through.open(DIGEST, span) as reading:
        part = await begun(cache, reading.pieces())
        assert await read(cache.through, DIGEST, span) == DATA[: span.stop]
        for _ in range(2):
            assert reading.rest(span)
            await asyncio.sleep(0.3)
            assert reading.still(span)
        assert not await cache.fits()
        assert os.pread(part.fd, len(part), part.start) == DATA[part.start : part.stop]


async def test_who_joins_keeps_it_for_those_who_rest(cache: Cache) -> None:
    async with cache.through.open(DIGEST, PART) as slow:
        await begun(cache, slow.pieces())
        assert await read(cache.through, DIGEST, PART) == DATA[: PART.stop]
        assert slow.rest(PART)
        await asyncio.sleep(0.3)
        async with cache.through.open(DIGEST, PART) as joined:
            assert not await cache.fits()
            assert slow.still(PART) and joined.still(PART)
    assert cache.source.opened.count(PART) == 1, "nothing came twice"


async def test_a_reader_that_rests_and_leaves_leaves_all_as_it_was(cache: Cache) -> None:
    async with cache.through.open(DIGEST, PART) as slow:
        await begun(cache, slow.pieces())
        assert await read(cache.through, DIGEST, PART) == DATA[: PART.stop]
        slow.rest(PART)
        await asyncio.sleep(0.3)
    await eventually(lambda: not cache.fills.open, "the fill to end")
    assert await cache.store.held_size(DIGEST) == len(DATA)
    assert await read(cache.through, DIGEST, Span(CHUNK, PART.stop)) == DATA[CHUNK : PART.stop]
