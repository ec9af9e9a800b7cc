"""A site killed with SIGKILL at random moments, while fills, commits and evictions run in two workers.

After each death its files are looked at: every byte that is said to be held is right, and after the next start it is
held still; nothing lies about that nobody counts. `KILLS` in the environment makes more deaths than the usual few,
`SEED` others.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.mesh.conftest import SiteBehindLink, same
from tests.mesh.test_site_faults import prefix
from tests.simulators.store_files import StoreFiles
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow

BROKEN = (aiohttp.ClientError, ConnectionError, TimeoutError)
KILLS = int(os.environ.get("KILLS", "8"))
SEED = int(os.environ.get("SEED", "1"))
QUOTA = 24 * MIB


async def load(world: SiteBehindLink, blobs: dict[Digest, bytes], rng: random.Random, until: float) -> int:
    """One client: whole blobs and ranges, some left halfway. Gives how many bytes it was given, all of them right."""
    given = 0
    while time.monotonic() < until:
        digest = rng.choice(list(blobs))
        whole = blobs[digest]
        start = rng.randrange(len(whole))
        stop = rng.randrange(start, len(whole)) + 1
        try:
            if rng.random() < 0.5:
                given += await prefix(world, digest, whole)
            else:
                status, body = await world.get(world.blob(digest), (start, stop))
                assert status in (206, 503)
                assert status == 503 or body == whole[start:stop], "a wrong byte"
                given += len(body)
        except BROKEN:
            await asyncio.sleep(0.02)
    return given


async def settled(files: StoreFiles) -> None:
    """Until what a start tidies behind is tidied."""
    await eventually(
        lambda: not files.orphans() and files.taken() <= used(files),
        lambda: (files.orphans(), files.taken(), used(files), files.parts()),
        pause=0.05,
    )


def used(files: StoreFiles) -> int:
    """As the ledger has it now; the gauge of `/status` is a little late."""
    return int.from_bytes((files.root / "run/ledger").read_bytes()[:8], "little")


@pytest.fixture
def exact(behind_link: SiteBehindLink) -> Iterator[Path]:
    """A folder in memory: there a file takes its pages and nothing more, where ext4 counts its map of a sparse file."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


async def test_no_wrong_byte_nothing_lost_no_orphan(behind_link: SiteBehindLink, exact: Path) -> None:
    world = behind_link
    rng = random.Random(SEED)
    blobs = {}
    for index in range(10):
        whole = pattern(rng.randrange(1, 9 * MIB), seed=100 * SEED + index)
        blobs[world.parent.add(whole)] = whole
    world.configure(workers=2, store={"disk": {"path": str(exact), "quota": QUOTA}})
    files = StoreFiles(exact)
    seen: Counter[str] = Counter()
    for _ in range(KILLS):
        world.link.conditions.cut_every = rng.choice([None, 3_000_000])
        world.link.conditions.rate = rng.choice([None, 30e6])
        await world.start()
        seconds = rng.uniform(0.05, 1.5)
        clients = [load(world, blobs, rng, time.monotonic() + seconds + 0.1) for _ in range(8)]
        readers = asyncio.gather(*clients)
        await asyncio.sleep(seconds)
        await world.kill()
        seen["bytes given"] += sum(await readers)
        assert files.wrong(blobs) == []
        assert files.taken() <= QUOTA
        parts, complete = files.parts(), files.blobs()
        seen["parts"] += len(parts)
        seen["chunks held"] += sum(len(part.held) for part in parts.values())
        seen["complete"] += len(complete)
        seen["temporary files"] += len(list(files.layout.tmp.iterdir()))
        world.link.reset_counts()
        await world.start()
        await settled(files)
        again = files.parts()
        for digest, part in parts.items():
            now = again[digest].held if digest in again else frozenset[int]()
            kept = digest in files.blobs() or part.held <= now
            assert kept, f"{digest}: {sorted(part.held - now)} of {len(part.held)} were lost"
        assert set(complete) <= set(files.blobs())
        await world.stop()
        assert files.orphans() == []
        assert 0 <= used(files) - files.taken() <= 64 << 10
    print(f"\n{KILLS} deaths, seed {SEED}:", dict(seen))
    world.link.conditions.cut_every = world.link.conditions.rate = None
    await world.start()
    for digest, whole in blobs.items():
        assert same(await world.get(world.blob(digest)), 200, whole)
