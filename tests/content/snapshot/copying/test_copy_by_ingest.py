"""A blob into a store that takes it as a whole, from a source whose streams break."""

from __future__ import annotations

import asyncio

import pytest

from registry_mesh.content.fill.retries import CRUMB, TRIES
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.images import HOST, LAYER
from tests.simulators.played import played
from tests.simulators.source import SimulatedSource


async def copy(source: SimulatedSource, data: bytes) -> MemoryStore:
    store, digest = MemoryStore(), source.add(data)
    await CopyByIngest(store)(Offer(source, HOST), Descriptor(LAYER, digest, len(data)), lambda size: None)
    return store


@played
async def test_a_source_that_gives_a_little_at_a_time_is_not_asked_without_a_pause() -> None:
    loop, source = asyncio.get_running_loop(), SimulatedSource(piece=CRUMB, cut_every=CRUMB)
    began = loop.time()
    await copy(source, bytes(5 * CRUMB))
    assert len(source.opened) == 5
    assert loop.time() - began >= 0.5 * (0.2 + 0.4 + 0.8)


@pytest.mark.parametrize("each", [0, CRUMB - 1])
@played
async def test_one_that_gives_nothing_or_crumbs_is_asked_a_few_times(each: int) -> None:
    source = SimulatedSource(piece=CRUMB - 1, cut_every=each)
    with pytest.raises(SourceUnavailable):
        await copy(source, bytes(5 * CRUMB))
    assert len(source.opened) == TRIES
