"""What a hit may take without asking: only what was proven, and only while the file is the same."""

from __future__ import annotations

from pathlib import Path

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.span import Span
from registry_mesh.stores.disk import DiskStore
from tests.suites.blob_store import put
from tests.suites.bytes_of import drain, pattern


async def test_ready_is_withdrawn_when_the_file_changes(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, evict=True)
    digest = await put(store, pattern(3 * CHUNK))
    async with store.open(digest) as reading:
        assert reading.ready(Span(2 * CHUNK, 3 * CHUNK)) is None
        await drain(reading)
        assert reading.ready(Span(2 * CHUNK, 3 * CHUNK)) is not None
        path = next(p for p in tmp_path.rglob(digest.hex) if p.is_file())
        with path.open("r+b") as file:
            file.seek(2 * CHUNK)
            file.write(b"rot")
        assert reading.ready(Span(2 * CHUNK, 3 * CHUNK)) is None
    await store.delete(digest)
    await store.close()
