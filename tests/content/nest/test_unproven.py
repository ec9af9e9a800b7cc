"""Ranges of a blob that is not here whole: given and named for what they are, after the whole, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.content.nest.unproven import Ranges
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Denied
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import SourceLied
from registry_mesh.ports.pieces import in_memory
from registry_mesh.stores.disk.store import DiskStore
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern

DATA = pattern(5 * MIB, seed=11)
DIGEST = Digest.of(DATA)
SPAN = Span(CHUNK + 5, 3 * CHUNK)


class Cache:
    def __init__(self, store: DiskStore, ranges: Ranges, **knobs: object) -> None:
        self.source = SimulatedSource(**knobs)  # type: ignore[arg-type]
        self.source.add(DATA)
        self.store = store
        self.fills = Fills(store, FillPolicy(complete_after=2))
        self.through = PullThrough(store, self.source, self.fills, ranges=ranges)

    async def get(self, span: Span | None) -> tuple[bytes, bool]:
        """The bytes, and whether they are said to be unproven once the first of them came."""
        got, unproven = bytearray(), False
        async with self.through.open(DIGEST, span) as reading:
            async for data in in_memory(reading):
                unproven = unproven or reading.provenance.unproven
                got += data
        return bytes(got), unproven


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    made = await DiskStore.start(tmp_path)
    yield made
    await made.close()


@pytest.mark.parametrize("ranges", list(Ranges))
@pytest.mark.parametrize("maps", [False, True], ids=["plain", "with a map"])
async def test_a_cold_range(store: DiskStore, ranges: Ranges, maps: bool) -> None:
    cache = Cache(store, ranges, maps=maps)
    try:
        if ranges is Ranges.REFUSE and not maps:
            for _ in range(2):
                with pytest.raises(Denied, match="pull it whole"):
                    await cache.get(SPAN)
        else:
            for _ in range(2):  # the second time of what is held
                got, unproven = await cache.get(SPAN)
                assert got == DATA[SPAN.start : SPAN.stop]
                assert unproven == (ranges is Ranges.UNPROVEN and not maps)
        assert await cache.get(None) == (DATA, False)
        assert await cache.get(SPAN) == (DATA[SPAN.start : SPAN.stop], False), "it is here whole"
    finally:
        await cache.fills.close()


@pytest.mark.parametrize("ranges", [Ranges.WHOLE_FIRST, Ranges.REFUSE])
async def test_no_unproven_byte_leaves(store: DiskStore, ranges: Ranges) -> None:
    """Nor is one ready where it lies, while a whole pull is under way."""
    cache = Cache(store, ranges, flip_at=2 * CHUNK)
    try:
        with pytest.raises((SourceLied, Denied)):
            await cache.get(SPAN)
        async with cache.through.open(DIGEST) as whole, cache.through.open(DIGEST, SPAN) as part:
            pieces = whole.pieces()
            await anext(pieces)
            assert part.ready(Span(0, CHUNK)) is None
            await pieces.aclose()  # type: ignore[attr-defined]
    finally:
        await cache.fills.close()


async def test_past_a_full_store_nothing_unproven_is_given(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path, quota=MIB, evict=True)
    cache = Cache(store, Ranges.WHOLE_FIRST)
    try:
        with pytest.raises(Denied):
            await cache.get(SPAN)
        assert await cache.get(None) == (DATA, False)
    finally:
        await cache.fills.close()
        await store.close()
