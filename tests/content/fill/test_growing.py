"""Readings of a blob that is on its way in: what of it can be sent at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.fill import READY, Fill
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.fill.via import Via
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Reading
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.disk.store import DiskStore
from tests.simulators.disk_cache import DiskCache
from tests.simulators.ticks import tick_after
from tests.suites.bytes_of import pattern, read

DATA = pattern(READY + 8 * CHUNK)
DIGEST = Digest.of(DATA)
FIRST, SECOND = Span(0, CHUNK), Span(CHUNK, 2 * CHUNK)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[DiskCache]:
    store = await DiskStore.start(path, evict=True)
    cache = DiskCache(store, DATA)
    try:
        yield cache
    finally:
        await cache.fills.close()
        await store.close()


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[DiskCache]:
    async with opened(tmp_path) as cache:
        yield cache


def given(reading: Reading, span: Span) -> bool:
    """Whether it is ready; then it is right."""
    part = reading.ready(span)
    if part is None:
        return False
    assert os.pread(part.fd, len(part), part.start) == DATA[span.start : span.stop]
    return True


async def test_what_came_is_ready_and_nothing_else(cache: DiskCache) -> None:
    async with cache.through.open(DIGEST, FIRST) as reading:
        assert reading.grows and not reading.provenance.hit
        assert await read(cache.through, DIGEST, FIRST) == DATA[:CHUNK]
        assert given(reading, FIRST) and given(reading, Span(5, 9))
        assert not given(reading, SECOND) and not given(reading, Span(0, CHUNK + 1))
        assert await read(cache.through, DIGEST, SECOND) == DATA[CHUNK : 2 * CHUNK]
        assert given(reading, Span(7, 2 * CHUNK)) and reading.grows


async def test_a_long_span_is_followed(cache: DiskCache) -> None:
    span = Span(0, READY + CHUNK + 1)
    assert await read(cache.through, DIGEST, span) == DATA[: span.stop]
    async with cache.through.open(DIGEST, span) as reading:
        assert not given(reading, span) and given(reading, Span(CHUNK + 1, span.stop))


async def test_the_whole_is_ready_once_it_is_proven_and_the_reading_has_grown(cache: DiskCache) -> None:
    async with cache.through.open(DIGEST, FIRST) as reading:
        assert await read(cache.through, DIGEST) == DATA
        assert given(reading, Span(0, len(DATA)))
        assert not reading.grows


async def test_nothing_is_ready_while_the_whole_is_being_proven(cache: DiskCache) -> None:
    async with cache.through.open(DIGEST, FIRST) as reading:
        assert await read(cache.through, DIGEST, FIRST) == DATA[:CHUNK]
        fill = cache.fills.get(DIGEST)
        assert fill is not None
        for index in range(len(fill.state.marks.states())):
            fill.state.marks.mark(index, ChunkState.UNPROVEN)
        await asyncio.sleep(0.002)
        assert not given(reading, FIRST)


async def test_nothing_is_ready_of_what_was_a_lie(cache: DiskCache) -> None:
    async with cache.through.open(DIGEST, FIRST) as reading:
        assert await read(cache.through, DIGEST, FIRST) == DATA[:CHUNK]
        fill = cache.fills.get(DIGEST)
        assert fill is not None
        await fill.state.outcome.discard()
        await asyncio.sleep(0.002)
        assert not given(reading, FIRST) and not reading.grows


async def test_what_an_earlier_life_brought_is_looked_at_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as before:
        assert await read(before.through, DIGEST, FIRST) == DATA[:CHUNK]
    async with opened(tmp_path) as cache:
        cache.source.down = True
        async with cache.through.open(DIGEST, FIRST) as reading:
            assert reading.provenance.hit and not given(reading, FIRST)
            assert await read(cache.through, DIGEST, Span(5, 9)) == DATA[5:9]
            assert given(reading, FIRST)


async def test_what_this_process_has_looked_at_is_not_looked_at_again(
    cache: DiskCache, tmp_path: Path
) -> None:
    assert await read(cache.through, DIGEST, SECOND) == DATA[CHUNK : 2 * CHUNK]
    await cache.fills.drop(DIGEST)
    async with cache.through.open(DIGEST, SECOND) as reading:
        assert given(reading, SECOND)
    await cache.fills.drop(DIGEST)
    path = next(p for p in tmp_path.rglob(DIGEST.hex) if p.is_file())
    tick_after(path)
    with path.open("r+b") as file:
        file.seek(CHUNK)
        file.write(b"rotten")
    async with cache.through.open(DIGEST, SECOND) as reading:
        assert not given(reading, SECOND)
        assert await read(cache.through, DIGEST, SECOND) == DATA[CHUNK : 2 * CHUNK]
        assert cache.source.opened.count(SECOND) == 2, "it was brought again"


class Late(Fills):
    """Whoever joins a fill is woken once his first chunk has come."""

    async def join(self, digest: Digest, via: Via, span: Span | None) -> Fill:
        fill = await super().join(digest, via, span)
        async for _ in fill.follow(FIRST, via):
            pass
        return fill


async def test_who_looks_late_has_no_hit_for_what_came_for_it(cache: DiskCache) -> None:
    cache.fills = Late(cache.store, FillPolicy(complete_after=2))
    cache.through = PullThrough(cache.store, cache.source, cache.fills)
    for hit in (False, True):
        async with cache.through.open(DIGEST, FIRST) as reading:
            assert given(reading, FIRST) and reading.provenance.hit == hit
