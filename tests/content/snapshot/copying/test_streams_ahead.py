"""Several streams into a store that takes a blob in order. Time is played."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.content.fill.lanes import LaneShares
from registry_mesh.content.fill.rivals import NoRivals, Traffic
from registry_mesh.content.snapshot.copying.copy_blob import Arriving, CopyByIngest
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo, Provenance, Reading, Streamed
from registry_mesh.ports.failures import SourceLied, SourceUnavailable
from registry_mesh.stores.disk.remainders import DiskRemainders
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.death import run_killed
from tests.simulators.images import HOST, LAYER
from tests.simulators.played import played
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern, read

RATE = 1_000_000
"""Bytes a second of one stream."""
PIECE = 50_000
DATA = pattern(20 * MIB, 5)
BLOB = Descriptor(LAYER, Digest.of(DATA), len(DATA))


class Far(NoRivals):
    """A parent so far away."""

    def __init__(self, distance: float) -> None:
        self._distance = distance

    def traffic(self, source: str) -> Traffic:
        return Traffic(distance=self._distance)


@dataclass
class Parent(SimulatedSource):
    """Each of its streams brings `RATE`, and breaks off after `breaks` bytes where that is set."""

    breaks: int = 0
    open_now: int = 0
    most: int = 0
    asked: list[Span] = field(default_factory=list)
    size: int = len(DATA)
    dies_at: int = 0
    """Kills its process once it has sent so many bytes."""

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:  # type: ignore[override]
        wanted = span or Span(0, len(DATA))
        self.asked.append(wanted)
        self.open_now += 1
        self.most = max(self.most, self.open_now)
        try:
            await asyncio.sleep(0.1)
            if self.down:
                raise SourceUnavailable("is down", source=self.name)
            yield Stream(self, digest, wanted)
        finally:
            self.open_now -= 1


class Stream(Streamed):
    def __init__(self, parent: Parent, digest: Digest, span: Span) -> None:
        self._parent = parent
        self.span = span
        self.info = BlobInfo(digest, parent.size)
        self.provenance = Provenance(hit=False, source="far")

    async def pieces(self) -> AsyncIterator[bytes]:
        for start in range(self.span.start, self.span.stop, PIECE):
            if self._parent.breaks and start - self.span.start >= self._parent.breaks:
                raise SourceUnavailable("broke off", source="far")
            await asyncio.sleep(PIECE / RATE)
            if self._parent.down:
                raise SourceUnavailable("is down", source="far")
            data = DATA[start : min(self.span.stop, start + PIECE)]
            self._parent.sent += len(data)
            if 0 < self._parent.dies_at <= self._parent.sent:
                os.kill(os.getpid(), signal.SIGKILL)
            yield data


async def copied(bring: CopyByIngest, parent: Parent) -> float:
    """Seconds."""
    loop = asyncio.get_running_loop()
    began, moved = loop.time(), list[int]()
    await bring(Offer(parent, HOST), BLOB, moved.append)
    assert await read(bring.store, BLOB.digest) == DATA
    assert sum(moved) == len(DATA)
    assert parent.open_now == 0
    return loop.time() - began


def bringing(distance: float) -> CopyByIngest:
    return CopyByIngest(MemoryStore(), rivals=lambda _: Far(distance))


@played
async def test_a_far_parent_is_asked_by_as_many_as_help_and_each_byte_comes_once() -> None:
    bring, parent = bringing(0.1), Parent()
    alone = len(DATA) / RATE
    assert await copied(bring, parent) < 0.4 * alone
    assert parent.most == 8
    assert parent.sent <= len(DATA) + 2 * PIECE, "the first stream was cut"
    await bring.store.delete(BLOB.digest)
    again = Parent()
    assert await copied(bring, again) < 0.25 * alone
    assert (again.most, again.sent) == (8, len(DATA))
    assert max(map(len, again.asked)) <= MIB, "what is known to help is not found out anew"


@pytest.mark.parametrize("distance", [0.0, 0.02])
@played
async def test_a_near_one_by_one_stream(distance: float) -> None:
    parent = Parent()
    await copied(bringing(distance), parent)
    assert parent.asked == [Span(0, len(DATA))]


@played
async def test_what_breaks_off_goes_on_at_its_byte() -> None:
    parent = Parent(breaks=400_000)
    await copied(bringing(0.1), parent)
    assert parent.sent <= len(DATA) + 2 * PIECE


@played
async def test_a_parent_that_gives_no_more_ends_the_copy_and_no_stream_outlives_it() -> None:
    parent = Parent()
    copying = asyncio.ensure_future(copied(bringing(0.1), parent))
    await asyncio.sleep(2)
    assert parent.open_now > 1
    parent.down = True
    with pytest.raises(SourceUnavailable, match="is down"):
        await copying
    assert parent.open_now == 0


@played
async def test_no_stream_outlives_a_copy_that_is_cancelled() -> None:
    parent = Parent()
    copying = asyncio.ensure_future(copied(bringing(0.1), parent))
    await asyncio.sleep(2)
    assert parent.open_now > 1
    copying.cancel()
    await asyncio.wait([copying])
    assert parent.open_now == 0


@played
async def test_another_size_in_a_stream_ahead_is_named() -> None:
    parent = Parent()
    copying = asyncio.ensure_future(copied(bringing(0.1), parent))
    await asyncio.sleep(2)
    parent.size += 1
    with pytest.raises(SourceLied, match="are named"):
        await copying
    assert parent.open_now == 0


STREAMS = 8


async def brought_by_all(parent: Parent, aside: Path) -> bytes:
    """The blob as it came by `STREAMS` from the beginning. What comes is kept in `aside` alone: the store forgets."""
    shares, store = LaneShares(), MemoryStore()
    shares.learn("far", STREAMS, asyncio.get_running_loop().time())
    shares.gives("", "far")
    async with (
        DiskRemainders(aside).of(BLOB.digest) as remainder,
        store.ingest(BLOB.digest, BLOB.size, BLOB.digest.algorithm) as ingest,
    ):
        await Arriving(parent, BLOB, lambda size: None, Far(0.1), remainder, shares).stream(ingest)
        await ingest.commit(BLOB.digest)
    return await read(store, BLOB.digest)


@pytest.mark.parametrize("at", [3 * MIB + 1, 11 * MIB])
def test_what_came_ahead_of_its_turn_is_not_asked_for_again_after_a_kill(at: int, tmp_path: Path) -> None:
    run_killed(lambda: brought_by_all(Parent(dies_at=at), tmp_path / "arriving"))
    again = Parent()
    assert asyncio.run(brought_by_all(again, tmp_path / "arriving")) == DATA
    assert at + again.sent - len(DATA) <= STREAMS * (CHUNK + PIECE)
    assert again.most > 1, "the rest comes by several streams"
