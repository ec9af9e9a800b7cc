"""Large blobs into a real bucket: killed, they go on; of two hosts one waits; a liar's bytes do not stay."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.via import Distrust
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.copy_by_session import LARGE, CopyBySession
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCTETS
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Reading
from registry_mesh.ports.failures import SourceLied, SourceUnavailable
from registry_mesh.stores.bucket.multipart import SMALLEST_PART
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.remainders import DiskRemainders
from tests.simulators.death import run_killed
from tests.simulators.images import HOST, random_bytes
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import read

pytestmark = pytest.mark.s3

MiB = 1 << 20
SIZE = 26 * MiB
LOST = 2 * SMALLEST_PART
"""Bytes that a kill may cost another host at most: a part that is on its way, and one that is collected meanwhile."""


@dataclass
class Deadly(SimulatedSource):
    """Kills its process where it has sent so many bytes."""

    dies_at: int = 0

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        async with super().open(digest, span) as reading:
            pieces = reading.pieces

            async def counted() -> AsyncIterator[bytes]:
                async for piece in pieces():
                    if self.dies_at and self.sent > self.dies_at:
                        os.kill(os.getpid(), signal.SIGKILL)
                    yield piece

            reading.pieces = counted  # type: ignore[method-assign]
            yield reading


async def run(
    store: S3Store,
    source: SimulatedSource,
    blob: Descriptor,
    aside: Path | None = None,
    blamed: Distrust = lambda name, digest, why: None,
) -> int:
    """`aside`: where this machine keeps what the bucket lacks; None: another machine."""
    moved: list[int] = []
    whole = CopyByIngest(store, blamed, remainders=DiskRemainders(aside) if aside else None)
    await CopyBySession(whole, store.uploads(), store.records)(Offer(source, HOST), blob, moved.append)
    return sum(moved)


def killed(
    settings: S3Settings, source: SimulatedSource, blob: Descriptor, aside: Path | None = None
) -> None:
    """A process that brings the blob, until the source kills it."""

    async def live() -> None:
        await run(await S3Store.start(settings), source, blob, aside)

    run_killed(live)


def test_a_blob_that_comes_again_whole_is_no_larger_than_what_a_kill_may_cost() -> None:
    assert LARGE <= LOST


def blob_of(seed: str, size: int = SIZE) -> tuple[bytes, Descriptor]:
    data = random_bytes(seed, size)
    return data, Descriptor(OCTETS, Digest.of(data), size)


@pytest.mark.parametrize("size", [3 * MiB, 3 * MiB, 13 * MiB], ids=["small", "small again", "large"])
def test_on_the_same_machine_at_most_a_chunk_comes_again(
    size: int, s3_settings: S3Settings, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    at = random.Random(seed).randrange(1, size - CHUNK)
    data, blob = blob_of(f"{size} killed at {at}", size)
    deadly, source = Deadly(dies_at=at), SimulatedSource()
    deadly.add(data)
    source.add(data)
    aside = tmp_path / "arriving"
    killed(s3_settings, deadly, blob, aside)

    async def after() -> None:
        store = await S3Store.start(s3_settings)
        try:
            assert await run(store, source, blob, aside) == source.sent
            assert at + source.sent - size <= CHUNK
            assert await read(store, blob.digest) == data
        finally:
            await store.close()

    asyncio.run(after())
    assert [path for path in aside.rglob("*") if path.is_file()] == []


def test_what_this_machine_kept_and_is_wrong_is_thrown_away_and_nobody_is_blamed(
    s3_settings: S3Settings, tmp_path: Path
) -> None:
    data, blob = blob_of("rotten", 3 * MiB)
    deadly, source = Deadly(dies_at=2 * MiB), SimulatedSource()
    deadly.add(data)
    source.add(data)
    aside = tmp_path / "arriving"
    killed(s3_settings, deadly, blob, aside)
    (kept,) = (path for path in aside.rglob("*.0"))
    with kept.open("r+b") as file:
        file.write(b"rot")

    async def after() -> None:
        store = await S3Store.start(s3_settings)
        try:
            blamed: list[str] = []
            await run(store, source, blob, aside, lambda name, digest, why: blamed.append(name))
            assert blamed == []
            assert await read(store, blob.digest) == data
        finally:
            await store.close()

    asyncio.run(after())


@pytest.mark.parametrize("at", [9 * MiB, 20 * MiB - 1, 25 * MiB])
def test_what_a_kill_costs_another_host_is_bounded_wherever_it_comes(
    at: int, s3_settings: S3Settings
) -> None:
    data, blob = blob_of(f"killed {at}")
    deadly, source = Deadly(dies_at=at), SimulatedSource()
    deadly.add(data)
    source.add(data)
    killed(s3_settings, deadly, blob)

    async def after() -> None:
        store = await S3Store.start(s3_settings)
        try:
            assert await run(store, source, blob) == source.sent
            assert 0 < at + source.sent - SIZE <= LOST
            assert await read(store, blob.digest) == data
            assert [key async for key in store.records.walk("receipts/bringing/")] == []
        finally:
            await store.close()

    asyncio.run(after())


async def test_of_two_hosts_that_want_a_blob_at_once_one_waits(s3_store: S3Store, s3_other: S3Store) -> None:
    data, blob = blob_of("wanted twice")
    source = SimulatedSource()
    source.add(data)
    moved = await asyncio.gather(*(run(store, source, blob) for store in (s3_store, s3_other)))
    assert sorted(moved) == [0, SIZE]
    assert source.sent == SIZE
    assert await read(s3_other, blob.digest) == data


async def test_wrong_bytes_are_thrown_away_and_asked_for_once_more(s3_store: S3Store) -> None:
    data, blob = blob_of("wrong", 13 * MiB)
    source = SimulatedSource(flip_at=12 * MiB)
    source.add(data)
    with pytest.raises(SourceLied, match="other bytes"):
        await run(s3_store, source, blob)
    assert source.sent == 2 * len(data)
    source.flip_at = None
    assert await run(s3_store, source, blob) == len(data)


async def test_a_stream_that_breaks_off_is_gone_on_with_by_the_next_run(s3_store: S3Store) -> None:
    data, blob = blob_of("broken off")
    source = SimulatedSource()
    source.add(data)

    class Down(SimulatedSource):
        @asynccontextmanager
        async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
            self.down = self.sent > 14 * MiB
            async with super().open(digest, span) as reading:
                yield reading

    first = Down(cut_every=8 * MiB)
    first.add(data)
    with pytest.raises(SourceUnavailable):
        await run(s3_store, first, blob)
    assert await run(s3_store, source, blob) == SIZE - first.sent
