"""Bytes rot on the disk of a site while it has the blob open and answers ranges of it from there. Real processes; the
parents are one of ours, which has a chunk map, and one that is not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.digest import Digest
from tests.eventually import eventually
from tests.mesh.conftest import same
from tests.mesh.test_cold_blobs import Cold, world  # noqa: F401  # a fixture
from tests.mesh.test_scrub import overwrite

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("world", ["ours", "docker-registry"], indirect=True),
]

SIZE = 5 * MIB + 77
QUIET = MIB
"""Bytes at the start that are read all along; the damages are further on, or cut them off too."""
BROKEN = (aiohttp.ClientError, ConnectionError, TimeoutError)

Damage = Callable[[Path, bytes], None]
DAMAGES: dict[str, tuple[Damage, int]] = {
    "a bit": (lambda path, whole: overwrite(path, 3 * MIB + 9, bytes([whole[3 * MIB + 9] ^ 1])), CHUNK),
    "the last bit": (lambda path, whole: overwrite(path, SIZE - 1, bytes([whole[-1] ^ 128])), CHUNK),
    "cut": (lambda path, whole: os.truncate(path, 4 * MIB), SIZE - 4 * MIB),
    "cut within a page": (lambda path, whole: os.truncate(path, 4 * MIB + 700), SIZE - 4 * MIB),
    "emptied": (lambda path, whole: os.truncate(path, 0), SIZE),
    "a doubled block": (lambda path, whole: overwrite(path, 2 * MIB + 4096, whole[2 * MIB :][:4096]), CHUNK),
}
"""What is done to the file, and how many bytes must come anew."""


@dataclass
class Readers:
    """Clients with a connection each. What they get is looked at byte by byte."""

    world: Cold
    digest: Digest
    whole: bytes
    limit: int = QUIET
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    stop: bool = False

    @property
    def path(self) -> Path:
        hexed = self.digest.hex
        return self.world.node.folder / "store" / "blobs" / "sha256" / hexed[:2] / hexed

    @property
    def intact(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return self.path.read_bytes() == self.whole
        return False

    async def read_on(self, seed: int) -> None:
        rng = random.Random(seed)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as client:
            while not self.stop:
                start = rng.randrange(self.limit)
                stop = min(self.limit, start + rng.choice([1, 4096, 64 << 10, MIB]))
                if self.limit == SIZE and rng.random() < 0.1:
                    start, stop = 0, SIZE
                await self._read(client, start, stop)

    async def _read(self, client: aiohttp.ClientSession, start: int, stop: int) -> None:
        part = (start, stop) != (0, SIZE)
        fields = {"Range": f"bytes={start}-{stop - 1}"} if part else {}
        got = bytearray()
        began = time.monotonic()
        try:
            async with client.get(self.world.blob(self.digest), headers=fields) as answer:
                async for data in answer.content.iter_any():
                    got += data
                outcome = (
                    "right"
                    if answer.status == (206 if part else 200)
                    else f"{answer.status} with {len(got)} bytes"
                )
                if answer.status == 503 and self.world.pauses.stood_since(began):
                    return  # the parent, which stands in this loop, was right to be given up
        except BROKEN:
            outcome = "cut off"
        self.seen[outcome] += 1
        expected = self.whole[start:stop]
        if outcome == "right" and got != expected:
            bad = (
                [at for at in range(len(got)) if got[at] != expected[at]]
                if len(got) == len(expected)
                else [-1]
            )
            zeros = not any(got[bad[0] : bad[-1] + 1])
            self.wrong.append(
                f"{start}-{stop}: {len(got)} bytes, {len(bad)} wrong from {start + bad[0]} to {start + bad[-1]},"
                f" zeros: {zeros}, {answer.headers.get('Cache-Status')} {answer.headers.get('X-Request-Id')}"
            )
        if outcome == "cut off" and not expected.startswith(got):
            self.wrong.append(f"{start}-{stop}: cut off after {len(got)} bytes")

    async def more(self, count: int) -> None:
        """Wait until so many more answers came."""
        goal = self.seen.total() + count
        await eventually(lambda: self.seen.total() >= goal, "as many answers", seconds=60)


def holders(path: Path) -> set[str]:
    """Processes that have the file open."""
    return {process.name for process in Path("/proc").glob("[0-9]*") if _holds(process, path)}


def _holds(process: Path, path: Path) -> bool:
    """False of one that has ended meanwhile."""
    with contextlib.suppress(OSError):
        for fd in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if fd.readlink() == path:
                    return True
    return False


def fast_answers(world: Cold) -> int:  # noqa: F811
    """How many answers of blobs the access log has from the fast path, whose lines have another order."""
    lines = (world.node.folder / "access").read_text().splitlines(keepends=True)
    blobs = [line for line in lines if line.endswith("\n") and "/blobs/" in line]
    return sum(list(json.loads(line)).index("registry") < 6 for line in blobs)


async def rotten(world: Cold) -> int:  # noqa: F811
    """How many chunks were found to have rotted."""
    async with world.client.get(f"{world.node.admin}/status") as answer:
        return int((await answer.json())["counters"].get("rotten_total", 0))


@contextlib.asynccontextmanager
async def reading(world: Cold) -> AsyncIterator[Readers]:  # noqa: F811
    """Both workers have the blob open and answer ranges of its beginning from there."""
    digest, whole = await world.add(SIZE)
    world.configure(workers=2, log={"access": str(world.node.folder / "access")})
    await world.start()
    assert same(await world.get(world.blob(digest)), 200, whole)
    readers = Readers(world, digest, whole)
    await eventually(lambda: readers.intact, "the file to be whole", seconds=60)
    tasks: list[asyncio.Task[None]] = []
    try:
        async with asyncio.timeout(60):
            while len(await asyncio.to_thread(holders, readers.path)) < 2 or fast_answers(world) < 50:
                if len(tasks) < 32:
                    tasks.append(asyncio.create_task(readers.read_on(len(tasks))))
                await asyncio.sleep(0.2)
        yield readers
    finally:
        readers.stop = True
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_rot_under_readers_is_never_sent_and_mended(
    world: Cold,  # noqa: F811
    damage: tuple[Damage, int],
) -> None:
    spoil, lost = damage
    async with reading(world) as readers:
        assert set(readers.seen) == {"right"}
        world.link.reset_counts()
        before = fast_answers(world)
        spoil(readers.path, readers.whole)
        readers.limit = SIZE
        await eventually(
            lambda: asyncio.to_thread(lambda: readers.intact), "the file to be mended", seconds=60
        )
        await readers.more(300)
        async with asyncio.timeout(60):
            while fast_answers(world) < before + 50:
                await readers.more(20)
    print(dict(readers.seen), f"moved {world.moved} bytes, {lost} were lost")
    assert readers.wrong == []
    assert set(readers.seen) <= {"right", "cut off"}
    if lost <= CHUNK:
        assert world.moved <= lost + 4 * CHUNK, "what was good has not been fetched again"
    # workers tell of it now and then
    await eventually(lambda: rotten(world), "the rot to be told", seconds=60)


async def test_a_part_that_is_cut_under_readers_is_never_sent_wrong(world: Cold) -> None:  # noqa: F811
    """A partial blob's file is cut short, again and again, while both workers have it open: then they are asked for
    what is gone, and for what they have to bring, behind the new end. (What is on its way through a socket while the
    file is cut becomes zeros in the kernel, see ADR 32: nobody reads behind the cut at that moment.)"""
    digest, whole = await world.add(SIZE)
    world.configure(workers=2)
    await world.start()
    readers = Readers(world, digest, whole, limit=3 * MIB)
    part = world.node.folder / "store" / "partial" / "sha256" / digest.hex[:2] / digest.hex
    tasks = [asyncio.create_task(readers.read_on(seed)) for seed in range(16)]
    try:
        await readers.more(200)
        for cut, limit in ((2 * MIB + 700, 3 * MIB), (2 * MIB, 3 * MIB), (MIB + 4096, 4 * MIB)):
            readers.limit = QUIET
            await readers.more(100)
            os.truncate(part, cut)
            readers.limit = limit
            await readers.more(300)
    finally:
        readers.stop = True
        await asyncio.gather(*tasks)
    print(dict(readers.seen), f"moved {world.moved} bytes")
    assert readers.wrong == []
    assert set(readers.seen) <= {"right", "cut off"}
    assert same(await world.get(world.blob(digest)), 200, whole)
