"""What a hit may take without asking: only what was proven, and only while the file is the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.locks import try_flock
from registry_mesh.stores.disk.store import DiskStore
from tests.simulators.ticks import tick_after
from tests.suites.blob_store import put
from tests.suites.bytes_of import drain, pattern, read


async def test_ready_is_withdrawn_when_the_file_changes(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, evict=True)
    digest = await put(store, pattern(3 * CHUNK))
    async with store.open(digest) as reading:
        assert reading.ready(Span(2 * CHUNK, 3 * CHUNK)) is None
        await drain(reading)
        assert reading.ready(Span(2 * CHUNK, 3 * CHUNK)) is not None
        path = next(p for p in tmp_path.rglob(digest.hex) if p.is_file())
        tick_after(path)
        with path.open("r+b") as file:
            file.seek(2 * CHUNK)
            file.write(b"rot")
        assert reading.ready(Span(2 * CHUNK, 3 * CHUNK)) is None
    await store.delete(digest)
    await store.close()


def others_may_take(path: Path) -> bool:
    """Whether an evictor of another process would find nobody in its way."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return try_flock(fd, shared=False)
    finally:
        os.close(fd)


async def test_who_rests_does_not_keep_a_blob(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, evict=True)
    digest = await put(store, pattern(CHUNK))
    path = store.layout.blob(digest)
    span = Span(0, CHUNK)
    async with store.open(digest) as one:
        assert one.ready(span) is not None and not others_may_take(path)
        async with store.open(digest) as two:
            one.rest()
            one.rest()
            assert not others_may_take(path), "somebody reads it"
            two.rest()
            assert others_may_take(path)
            assert two.ready(span) is not None and not others_may_take(path), "it goes on"
        assert others_may_take(path), "the one that is left rests"
        evictor = os.open(path, os.O_RDONLY)
        assert try_flock(evictor, shared=False)
        assert one.ready(span) is None, "it is being taken away"
        os.close(evictor)
        assert one.ready(span) is not None, "it was not, after all"
        one.rest()
    assert len(store.whole_blobs.files) == 1, "kept a moment"
    async with store.open(digest) as again:
        assert again.ready(span) is not None and not others_may_take(path)
    await store.close()


async def test_what_was_evicted_from_under_a_resting_reader_is_not_sent(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, quota=64 * CHUNK, evict=True, fsync=DiskFsync.NEVER)
    digest = await put(store, pattern(CHUNK))
    async with store.open(digest) as reading:
        assert reading.ready(Span(0, CHUNK)) is not None
        reading.rest()
        seed = 0
        while store.layout.blob(digest).exists():
            seed += 1
            await put(store, pattern(CHUNK, seed=seed))
            assert seed < 2000, "it is never evicted"
        assert reading.ready(Span(0, CHUNK)) is None
        with pytest.raises(BlobUnknown):
            await read(store, digest)
    await store.close()
