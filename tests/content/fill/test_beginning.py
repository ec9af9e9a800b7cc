"""How a fill begins where several processes share a store."""

from __future__ import annotations

import asyncio

from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Digest
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import eventually
from tests.simulators.source import SimulatedSource

DATA = bytes(range(256)) * 4096


async def test_what_a_source_gave_is_noted_before_another_process_joins() -> None:
    """Else all its readers have to ask, over a link that the blob already fills, whether it is their repository's."""
    source = SimulatedSource()
    digest = source.add(DATA)
    store = MemoryStore()
    noting, noted = asyncio.Event(), asyncio.Event()

    async def gave(given: Digest) -> None:
        assert given == digest
        noting.set()
        await noted.wait()

    here, there = Fills(store), Fills(store)
    first = asyncio.create_task(here.join(digest, Via("a", source, print, gave=gave), None))
    await noting.wait()
    second = asyncio.create_task(there.join(digest, Via("a", source, print), None))
    done, _ = await asyncio.wait({second}, timeout=0.2)
    assert not done
    noted.set()
    assert (await first).size == (await eventually(lambda: second)).size == len(DATA)
    await here.close()
    await there.close()
