"""What every `BlobStore` keeps. Subclass it and give the fixture `store`."""

from __future__ import annotations

import asyncio
import os

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown, DigestInvalid
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import TO_END, BlobInfo, BlobStore
from registry_mesh.ports.failures import SpanUnsatisfiable
from tests.suites.bytes_of import drain, pattern, read
from tests.suites.maps_of import fits


async def put(store: BlobStore, data: bytes, algorithm: str = "sha256") -> Digest:
    async with store.ingest(algorithm=algorithm) as ingest:
        for start in range(0, len(data), 300_000):
            await ingest.write(data[start : start + 300_000])
        return (await ingest.commit()).digest


class BlobStoreSuite:
    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    @pytest.mark.parametrize("size", [0, 1, 70_000, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
    async def test_gives_back_what_was_put(self, store: BlobStore, size: int, algorithm: str) -> None:
        data = pattern(size)
        digest = await put(store, data, algorithm)
        assert digest == Digest.of(data, algorithm)
        assert await store.stat(digest) == BlobInfo(digest, size)
        assert await read(store, digest) == data

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    @pytest.mark.parametrize("size", [1, CHUNK, 2 * CHUNK + 5])
    async def test_tells_the_chunk_map(self, store: BlobStore, size: int, algorithm: str) -> None:
        data = pattern(size)
        digest = await put(store, data, algorithm)
        chunk_map = await store.chunk_map(digest)
        assert chunk_map is not None
        assert chunk_map.size == size
        assert chunk_map.proves(0, data[:CHUNK])
        assert fits(chunk_map, data)

    async def test_spans(self, store: BlobStore) -> None:
        data = pattern(2 * CHUNK + 99)
        digest = await put(store, data)
        for start, stop in [
            (0, 1),
            (5, 5),
            (CHUNK - 1, CHUNK + 1),
            (CHUNK, TO_END),
            (len(data) - 1, len(data)),
            (0, TO_END),
        ]:
            assert await read(store, digest, Span(start, stop)) == data[start:stop]

    async def test_what_is_ready_is_right(self, store: BlobStore) -> None:
        """A place may have no files; where it has, the slice is the span, and only after it was proven."""
        data = pattern(2 * CHUNK + 99)
        digest = await put(store, data)
        span = Span(CHUNK - 10, CHUNK + 10)
        async with store.open(digest) as reading:
            await drain(reading)
            slice_ = reading.ready(span)
            if slice_ is not None:
                assert os.pread(slice_.fd, len(slice_), slice_.start) == data[span.start : span.stop]

    async def test_span_past_the_end(self, store: BlobStore) -> None:
        digest = await put(store, b"12345")
        with pytest.raises(SpanUnsatisfiable) as fault:
            async with store.open(digest, Span(5, 9)):
                pass
        assert fault.value.size == 5

    async def test_unknown(self, store: BlobStore) -> None:
        digest = Digest.of(b"never put")
        with pytest.raises(BlobUnknown):
            await store.stat(digest)
        with pytest.raises(BlobUnknown):
            async with store.open(digest):
                pass
        with pytest.raises(BlobUnknown):
            await store.delete(digest)

    async def test_leaving_without_commit_keeps_nothing(self, store: BlobStore) -> None:
        data = pattern(2 * CHUNK)
        async with store.ingest(Digest.of(data), len(data)) as ingest:
            await ingest.write(data)
        with pytest.raises(BlobUnknown):
            await store.stat(Digest.of(data))
        assert [info async for info in store.blobs()] == []

    async def test_an_exception_aborts(self, store: BlobStore) -> None:
        with pytest.raises(RuntimeError):
            async with store.ingest() as ingest:
                await ingest.write(b"abc")
                raise RuntimeError
        assert [info async for info in store.blobs()] == []

    async def test_wrong_digest_keeps_nothing(self, store: BlobStore) -> None:
        wrong = Digest.of(b"something else")
        async with store.ingest() as ingest:
            await ingest.write(b"data")
            with pytest.raises(DigestInvalid):
                await ingest.commit(wrong)
        async with store.ingest(expected=wrong) as ingest:
            await ingest.write(b"data")
            with pytest.raises(DigestInvalid):
                await ingest.commit()
        for digest in (wrong, Digest.of(b"data")):
            with pytest.raises(BlobUnknown):
                await store.stat(digest)

    async def test_unsupported_algorithm(self, store: BlobStore) -> None:
        with pytest.raises(DigestInvalid):
            async with store.ingest(algorithm="md5"):
                pass

    async def test_offset(self, store: BlobStore) -> None:
        async with store.ingest() as ingest:
            assert ingest.offset == 0
            await ingest.write(b"abc")
            assert ingest.offset == 3
            await ingest.write(pattern(CHUNK))
            assert ingest.offset == 3 + CHUNK

    async def test_putting_twice(self, store: BlobStore) -> None:
        data = pattern(CHUNK + 1)
        assert await put(store, data) == await put(store, data)
        assert [info.size async for info in store.blobs()] == [len(data)]

    async def test_the_same_blob_from_many_at_once(self, store: BlobStore) -> None:
        data = pattern(2 * CHUNK)
        digests = await asyncio.gather(*(put(store, data) for _ in range(8)))
        assert set(digests) == {Digest.of(data)}
        assert await read(store, digests[0]) == data

    async def test_delete(self, store: BlobStore) -> None:
        data = pattern(2 * CHUNK)
        digest = await put(store, data)
        await store.delete(digest)
        with pytest.raises(BlobUnknown):
            await store.stat(digest)
        assert await put(store, data) == digest
        assert await read(store, digest) == data

    async def test_an_open_reading_outlives_a_delete(self, store: BlobStore) -> None:
        data = pattern(CHUNK + 10)
        digest = await put(store, data)
        async with store.open(digest) as reading:
            await store.delete(digest)
            assert await drain(reading) == data

    async def test_lists_every_blob(self, store: BlobStore) -> None:
        datas = [pattern(1000 + i, i) for i in range(20)]
        digests = {await put(store, data) for data in datas}
        digests.add(await put(store, b"other", "sha512"))
        assert {info.digest async for info in store.blobs()} == digests

    async def test_many_readers(self, store: BlobStore) -> None:
        data = pattern(CHUNK * 2)
        digest = await put(store, data)
        spans = [Span(i * 5_000, i * 5_000 + 70_000) for i in range(50)]
        got = await asyncio.gather(*(read(store, digest, span) for span in spans))
        assert got == [data[s.start : s.stop] for s in spans]
