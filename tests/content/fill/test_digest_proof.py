"""The whole digest, of bytes that two hands bring at once."""

from __future__ import annotations

import asyncio

from registry_mesh.chunks.chunk_map import MIB, count
from registry_mesh.content.fill.digest_proof import DigestProof
from registry_mesh.oci.digest import Digest
from registry_mesh.stores.memory.store import MemoryStore
from tests.suites.bytes_of import pattern
from tests.suites.cache_store import fill


async def test_a_thread_that_hashes_what_it_wrote_and_one_that_catches_up_do_not_meet() -> None:
    data = pattern(32 * MIB)
    store = MemoryStore()
    async with store.hold(Digest.of(data), len(data)) as hold:
        await fill(hold, range(count(len(data))), data=data)
        for _ in range(5):
            proof = DigestProof(hold, hold)
            writing = asyncio.create_task(asyncio.to_thread(proof.inline, 0, data))
            await asyncio.sleep(0.005)  # it is at it
            while not writing.done():
                await proof.catch_up()
                await asyncio.sleep(0)
            await proof.catch_up()
            assert proof.offset == len(data)
            assert proof.fits()
