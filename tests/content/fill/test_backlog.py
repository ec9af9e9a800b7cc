"""Bytes between a stream and the store: in order, none lost, none in the place of those that failed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.backlog import Backlog
from registry_mesh.content.fill.policy import BATCH, QUEUED
from registry_mesh.ports.failures import StoreFull


class Store:
    """Takes batches while `open` is set; the one that begins with `poison` fails."""

    def __init__(self) -> None:
        self.stored = bytearray()
        self.batches: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.poison = b""

    async def __call__(self, batch: Sequence[bytes]) -> None:
        await self.open.wait()
        if self.poison and batch[0].startswith(self.poison):
            raise StoreFull("no room")
        self.batches.append(sum(map(len, batch)))
        self.stored += b"".join(batch)


async def test_all_is_stored_in_order_and_in_batches() -> None:
    store = Store()
    backlog = Backlog(store)
    pieces = [bytes([n]) * 100_000 for n in range(60)]
    for piece in pieces:
        await backlog.put(piece)
    await backlog.settle()
    assert store.stored == b"".join(pieces)
    assert max(store.batches) <= BATCH
    assert backlog.waiting == 0


async def test_a_stream_waits_while_too_much_is_not_stored() -> None:
    store = Store()
    store.open.clear()
    backlog = Backlog(store)

    async def stream() -> None:
        for _ in range(2 * QUEUED // MIB):
            await backlog.put(bytes(MIB))

    streaming = asyncio.create_task(stream())
    for _ in range(100):
        await asyncio.sleep(0)
    assert backlog.waiting == QUEUED + MIB
    assert not streaming.done()
    store.open.set()
    await streaming
    await backlog.settle()
    assert len(store.stored) == 2 * QUEUED


async def test_what_came_behind_bytes_that_failed_is_dropped_and_told_once() -> None:
    store = Store()
    store.poison = b"x"
    backlog = Backlog(store)
    await backlog.put(b"a" * BATCH)
    await backlog.put(b"x" * BATCH)
    await backlog.put(b"b" * BATCH)
    with pytest.raises(StoreFull):
        await backlog.settle()
    assert store.stored == b"a" * BATCH
    assert backlog.waiting == 0
    await backlog.put(b"c")
    await backlog.settle()
    assert store.stored == b"a" * BATCH + b"c"


async def test_who_is_cancelled_while_it_settles_waits_for_what_is_being_written() -> None:
    store = Store()
    store.open.clear()
    backlog = Backlog(store)
    await backlog.put(b"a")
    settling = asyncio.create_task(backlog.settle())
    await asyncio.sleep(0)
    settling.cancel()
    await asyncio.sleep(0.01)
    assert not settling.done()
    store.open.set()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert store.stored == b"a"
