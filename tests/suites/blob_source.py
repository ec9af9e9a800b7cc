"""What every `BlobSource` keeps. Subclass it and give the fixtures `source` and `held`: what the source has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import PIECE, TO_END, BlobInfo, BlobSource, Reading
from registry_mesh.ports.failures import SpanUnsatisfiable
from tests.suites.bytes_of import drain, pattern, read
from tests.suites.maps_of import fits

Blobs = Mapping[Digest, bytes]

BLOBS: Blobs = {
    Digest.of(data, algorithm): data
    for data, algorithm in (
        (b"", "sha256"),
        (b"x", "sha256"),
        (pattern(CHUNK), "sha256"),
        (pattern(CHUNK + 1), "sha512"),
        (pattern(2 * PIECE + CHUNK + 99), "sha256"),
    )
}
"""What a source is given to hold: sizes at the edges of chunks and pieces."""

NEVER = Digest.of(b"never put")


def largest(held: Blobs) -> tuple[Digest, bytes]:
    """The blob of most chunks."""
    return max(held.items(), key=lambda item: len(item[1]))


class BlobSourceSuite:
    async def test_tells_the_size(self, source: BlobSource, held: Blobs) -> None:
        for digest, data in held.items():
            assert await source.stat(digest) == BlobInfo(digest, len(data))

    async def test_gives_the_whole(self, source: BlobSource, held: Blobs) -> None:
        for digest, data in held.items():
            assert await read(source, digest) == data

    @pytest.mark.parametrize(
        ("start", "stop"),
        [(0, 1), (5, 5), (CHUNK - 1, CHUNK + 1), (CHUNK, TO_END), (PIECE, 2 * PIECE + 1), (0, TO_END)],
    )
    async def test_gives_a_span(self, source: BlobSource, held: Blobs, start: int, stop: int) -> None:
        digest, data = largest(held)
        async with source.open(digest, Span(start, stop)) as reading:
            assert reading.info == BlobInfo(digest, len(data))
            assert reading.span == Span(start, min(stop, len(data)))
            assert await drain(reading) == data[start:stop]

    async def test_gives_the_end(self, source: BlobSource, held: Blobs) -> None:
        digest, data = largest(held)
        assert await read(source, digest, Span(len(data) - 7, len(data) + 7)) == data[-7:]

    async def test_a_span_past_the_end_is_refused_before_a_byte(
        self, source: BlobSource, held: Blobs
    ) -> None:
        digest, data = largest(held)
        for start in (len(data), len(data) + 10):
            with pytest.raises(SpanUnsatisfiable) as fault:
                async with source.open(digest, Span(start, start + 9)):
                    pytest.fail("it was opened")
            assert fault.value.size == len(data)

    @pytest.mark.parametrize("span", [None, Span(3, 9)])
    async def test_what_it_knows_not_to_have_is_unknown(self, source: BlobSource, span: Span | None) -> None:
        with pytest.raises(BlobUnknown):
            await source.stat(NEVER)
        with pytest.raises(BlobUnknown):
            async with source.open(NEVER, span):
                pytest.fail("it was opened")

    async def test_a_chunk_map_is_of_the_blob(self, source: BlobSource, held: Blobs) -> None:
        """A source may have none."""
        for digest, data in held.items():
            found = await source.chunk_map(digest)
            assert found is None or fits(found, data)
            part = await source.chunk_map(digest, Span(0, 1))
            assert part is None or (
                found is not None and part.covers(Span(0, 1)) and found.joined(part) == found
            )

    async def test_bytes_that_are_received_are_those_of_pieces(self, source: BlobSource, held: Blobs) -> None:
        digest, data = largest(held)
        async with source.open(digest) as reading:
            received = await receive(reading)
            assert received is None or received == data

    async def test_what_is_ready_is_right(self, source: BlobSource, held: Blobs) -> None:
        digest, data = largest(held)
        span = Span(CHUNK - 10, CHUNK + 10)
        async with source.open(digest) as reading:
            await drain(reading)
            for _ in range(2):
                part = reading.ready(span)
                if part is not None:
                    assert os.pread(part.fd, len(part), part.start) == data[span.start : span.stop]
                reading.rest()

    async def test_a_reader_that_leaves_is_nothing_to_the_next(self, source: BlobSource, held: Blobs) -> None:
        digest, data = largest(held)
        async with source.open(digest) as reading:
            async for _ in reading.pieces():
                break
        async with source.open(digest, Span(1, 2)):
            pass
        assert await read(source, digest) == data

    async def test_many_readers(self, source: BlobSource, held: Blobs) -> None:
        digest, data = largest(held)
        spans = [Span(i * 50_000, i * 50_000 + 70_000) for i in range(30)]
        got = await asyncio.gather(*(read(source, digest, span) for span in spans))
        assert got == [data[span.start : span.stop] for span in spans]


async def receive(reading: Reading) -> bytes | None:
    """What its direct body gives, received in a thread; None where it has none."""
    received = bytearray()
    with reading.direct() as body:
        if body is None:
            return None
        buffer = memoryview(bytearray(PIECE))
        while (left := len(reading.span) - len(received)) > 0:
            await body.ready(min(CHUNK, left))
            size = await asyncio.to_thread(body.receive_into, buffer[: min(PIECE, left)])
            received += buffer[:size]
    return bytes(received)
