"""A cache far smaller than what is asked of it: within its quota at every moment, and no reader is harmed.

The store is a file system of its own, so that one look (statvfs) tells what it takes as a whole: temporary files,
index, locks and all. Needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.mesh.conftest import SiteBehindLink, same

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system"),
]

QUOTA = 48 * MIB
WORKING_SET = 10 * QUOTA
LOAD = int(os.environ.get("QUOTAS_OF_LOAD", "4")) * QUOTA
"""Bytes that cross the link before the clients stop."""


@pytest_asyncio.fixture
async def store(behind_link: SiteBehindLink) -> AsyncIterator[Path]:
    """Room for twice the quota, in memory."""
    path = behind_link.node.folder / "store"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={2 * QUOTA}", "tmpfs", str(path)], check=True)
    behind_link.configure(workers=2, store={"disk": {"path": str(path), "quota": QUOTA}})
    try:
        yield path
    finally:
        await behind_link.kill()
        subprocess.run(["umount", "-l", str(path)], check=False)


def taken(store: Path) -> int:
    """Bytes of the whole file system that are in use."""
    told = os.statvfs(store)
    return (told.f_blocks - told.f_bfree) * told.f_frsize


async def watch(store: Path, seen: list[int]) -> None:
    while True:
        seen.append(taken(store))
        await asyncio.sleep(0.002)


async def slowly(world: SiteBehindLink, digest: Digest, whole: bytes) -> int:
    """Read it over and over while there is load, each time with pauses; how often."""
    times = 0
    while world.moved < LOAD:
        position = 0
        async with world.client.get(world.blob(digest)) as answer:
            assert answer.status == 200
            async for data in answer.content.iter_chunked(256 << 10):
                assert data == whole[position : position + len(data)], "a wrong byte"
                position += len(data)
                await asyncio.sleep(0.05)
        assert position == len(whole)
        times += 1
    return times


async def test_a_working_set_ten_times_the_quota(behind_link: SiteBehindLink, store: Path) -> None:
    world = behind_link
    rng = random.Random(3)
    blobs: list[tuple[Digest, bytes]] = []
    while sum(len(whole) for _, whole in blobs) < WORKING_SET:
        size = rng.choice((1, 2, 4, 8)) * MIB + len(blobs)
        whole = await asyncio.to_thread(random.Random(len(blobs)).randbytes, size)
        blobs.append((world.parent.add(whole), whole))
    popularity = [1 / (rank + 1) for rank in range(len(blobs))]
    await world.start()
    seen: list[int] = []
    watching = asyncio.create_task(watch(store, seen))

    async def client() -> int:
        pulls = 0
        while world.moved < LOAD:
            digest, whole = rng.choices(blobs, popularity)[0]
            if rng.random() < 0.2:
                start = rng.randrange(len(whole))
                stop = min(len(whole), start + MIB)
                assert same(await world.get(world.blob(digest), (start, stop)), 206, whole[start:stop])
            else:
                assert same(await world.get(world.blob(digest)), 200, whole)
            pulls += 1
        return pulls

    large = max(blobs, key=lambda each: len(each[1]))
    pulls = await asyncio.gather(*(client() for _ in range(8)), *(slowly(world, *large) for _ in range(2)))
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    async with world.client.get(f"{world.node.admin}/status") as answer:
        counters = (await answer.json())["counters"]
    gone = {name: value for name, value in counters.items() if "evict" in name}
    print(
        f"\n{sum(pulls)} pulls of {len(blobs)} blobs, {world.moved / MIB:.0f} MiB from the parent; of {QUOTA}"
        f" bytes at most {max(seen)} were taken ({max(seen) / QUOTA:.4f}) in {len(seen)} looks; {gone}"
    )
    assert max(seen) <= QUOTA
    assert gone["evicted_bytes_total"] > 0
    # How much goes depends on how many are open at once in either process: those are spared, and what finds no room
    # then is passed on without being kept. With the load gone all that is pulled is kept again.
    for each in blobs[-3:]:
        await eventually(lambda each=each: world.keeps(*each), "a blob to be kept")
    assert taken(store) <= QUOTA
