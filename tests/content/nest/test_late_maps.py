"""A parent that has chunk maps, and whose answer about one does not come."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, ChunkMap
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.phases import MapPhase
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.bypass import bypass
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.content.nest.unproven import Ranges
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.failures import Failure, SourceHung
from registry_mesh.ports.pieces import in_memory
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import eventually
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern

DATA = pattern(9 * CHUNK + 77, seed=5)
DIGEST = Digest.of(DATA)
RANGE = Span(CHUNK + 5, 2 * CHUNK + 9)


class Late(SimulatedSource):
    """It tells of a chunk map when `told` is set."""

    def __init__(self, **knobs: object) -> None:
        super().__init__(maps=True, **knobs)  # type: ignore[arg-type]
        self.told = asyncio.Event()
        self.add(DATA)

    async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
        await self.told.wait()
        return await super().chunk_map(digest, span)


SOON = FillPolicy(map_wait=0.1)
"""What is late is so after a moment."""


async def read(blobs: PullThrough, span: Span | None) -> bytes:
    async with asyncio.timeout(60), blobs.open(DIGEST, span) as reading:
        given = b"".join([piece async for piece in in_memory(reading)])
        assert not reading.provenance.unproven
        return given


@pytest.mark.parametrize("span", [None, RANGE], ids=["whole", "range"])
async def test_the_blob_is_had_without_its_map(span: Span | None) -> None:
    fills = Fills(store := MemoryStore(), SOON)
    assert await read(PullThrough(store, Late(), fills), span) == (
        DATA[span.start : span.stop] if span else DATA
    )
    await fills.close()


async def test_a_whole_blob_goes_on_and_a_map_that_comes_later_proves_ranges_of_it() -> None:
    source = Late(gate=asyncio.Event(), gate_at=4 * CHUNK, piece=CHUNK)
    fills = Fills(store := MemoryStore(), SOON)
    blobs = PullThrough(store, source, fills)
    async with blobs.open(DIGEST) as whole:
        pieces = in_memory(whole)
        given = await asyncio.wait_for(anext(pieces), 60)
        fill = fills.get(DIGEST)
        assert fill is not None and fill.state.map_phase is MapPhase.LATE
        assert await asyncio.wait_for(blobs.chunk_map(DIGEST, RANGE), 60) is None, "nor do those below wait"
        source.told.set()
        await eventually(lambda: fill.state.map_phase is MapPhase.THERE, "the map, late")
        assert await read(blobs, RANGE) == DATA[RANGE.start : RANGE.stop]
        assert source.gate is not None
        source.gate.set()
        assert given + b"".join([piece async for piece in pieces]) == DATA
    await fills.close()


@pytest.mark.parametrize("span", [None, RANGE], ids=["whole", "range"])
async def test_no_wrong_byte_of_a_range_leaves_and_no_wrong_blob_completes(span: Span | None) -> None:
    fills = Fills(store := MemoryStore(), SOON)
    blobs, given = PullThrough(store, Late(flip_at=RANGE.start + 10), fills), 0
    async with asyncio.timeout(60):
        with pytest.raises(Failure):
            async with blobs.open(DIGEST, span) as reading:
                async for piece in in_memory(reading):
                    given += len(piece)
    assert given == 0 if span is not None else given < len(DATA)
    await fills.close()


async def test_past_the_store_a_whole_blob_goes_without_a_map_that_hangs() -> None:
    class Hung(SimulatedSource):
        async def chunk_map(self, digest: Digest, span: Span | None = None) -> ChunkMap | None:
            raise SourceHung("leaves it without an answer", source=self.name)

    for source in (Hung(), Late()):
        source.add(DATA)
        async with asyncio.timeout(60):
            pieces = bypass(source, BlobInfo(DIGEST, len(DATA)), Span(0, len(DATA)), print)
            assert b"".join([piece async for piece in pieces]) == DATA


async def test_a_whole_blob_leaves_as_it_comes_where_ranges_wait_for_the_whole() -> None:
    source = SimulatedSource(gate=asyncio.Event(), gate_at=4 * CHUNK, piece=CHUNK, delay=0.01)
    source.add(DATA)
    fills, given = Fills(store := MemoryStore(), SOON), bytearray()

    async def pull() -> None:
        async with PullThrough(store, source, fills, ranges=Ranges.WHOLE_FIRST).open(DIGEST) as reading:
            async for piece in in_memory(reading):
                given.extend(piece)

    pulling = asyncio.create_task(pull())
    await eventually(lambda: len(given) >= 4 * CHUNK, "what has come")
    assert source.gate is not None
    source.gate.set()
    await pulling
    assert given == DATA
    await fills.close()
