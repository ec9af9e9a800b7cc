"""The file of a partial blob is cut short by somebody else while it is held. It is never made long again under those
who have it open: they would be given the zeros of its hole."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from tests.suites.bytes_of import read
from tests.suites.cache_store import DATA, DIGEST, SIZE, fill, given

CUT = CHUNK + 700


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    store = await DiskStore.start(tmp_path, evict=True, fsync=DiskFsync.NEVER)
    yield store
    await store.close()


def nothing() -> None:
    """Nothing to hash."""


async def test_who_opens_it_next_begins_anew(store: DiskStore) -> None:
    async with store.hold(DIGEST, SIZE) as one:
        await fill(one, range(4), ChunkState.UNPROVEN)
        os.truncate(store.layout.part(DIGEST), CUT)
        async with store.hold(DIGEST, SIZE) as two:
            assert one.discarded
            assert not any(two.states())
            part = one.slice(Span(0, 4 * CHUNK))
            assert os.pread(part.fd, CHUNK, 3 * CHUNK) == b"", "not zeros"
            await fill(two, range(5))
            await two.commit(None)
    assert await read(store, DIGEST) == DATA
    assert store.used < SIZE + 2 * CHUNK


async def test_who_writes_behind_its_end_makes_no_hole(store: DiskStore) -> None:
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(3), ChunkState.UNPROVEN)
        part = hold.slice(Span(0, 3 * CHUNK))
        os.truncate(store.layout.part(DIGEST), CUT)
        assert hold.claim(range(3, 4)) == range(3, 4)
        with pytest.raises(StoreBroken, match="cut short"):
            await hold.write(3 * CHUNK, given(DATA[3 * CHUNK : 4 * CHUNK]), nothing)
        assert hold.discarded
        assert os.pread(part.fd, CHUNK, 2 * CHUNK) == b"", "not zeros"
    assert store.used == 0


async def test_it_does_not_become_a_blob(store: DiskStore) -> None:
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(5))
        os.truncate(store.layout.part(DIGEST), CUT)
        with pytest.raises(StoreBroken, match="cut short"):
            await hold.commit(None)
        assert hold.discarded
    assert store.used == 0


async def test_what_nobody_has_open_is_mended_chunk_by_chunk(store: DiskStore) -> None:
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(4), ChunkState.UNPROVEN)
    os.truncate(store.layout.part(DIGEST), CUT)
    async with store.hold(DIGEST, SIZE) as hold:
        assert [await hold.check(index) for index in range(4)] == [True, False, False, False]
