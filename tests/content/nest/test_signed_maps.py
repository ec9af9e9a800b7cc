"""A fill whose chunk map is signed: the map is proof enough, and the digest of the whole is not computed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.map_format import root
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import eventually
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern, read
from tests.suites.maps_of import map_of

DATA = pattern(5 * CHUNK + 77)
DIGEST = Digest.of(DATA)
OTHER = DATA[:-1] + b"?"
"""What does not have the digest."""


@pytest_asyncio.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CacheStore]:
    made = MemoryStore() if request.param == "memory" else await DiskStore.start(tmp_path / "store")
    yield made
    await made.close()


@asynccontextmanager
async def pulling(
    store: CacheStore, sent: bytes, signed: bytes | None
) -> AsyncIterator[tuple[PullThrough, list[str]]]:
    """Through a parent that sends those bytes for `DIGEST`, and has their map; `signed`: of which the map is signed."""
    source, fills, told = SimulatedSource(maps=True), Fills(store), list[str]()
    source.blobs[DIGEST] = sent

    async def named(digest: Digest) -> str | None:
        return None if signed is None else root(map_of(signed), digest)

    yield PullThrough(store, source, fills, lambda s, d, r: told.append(r), signed=named), told
    await fills.close()


async def held(store: CacheStore) -> bool:
    try:
        return (await store.stat(DIGEST)).size > 0
    except BlobUnknown:
        return False


async def test_a_signed_map_is_proof_enough(store: CacheStore) -> None:
    """Of bytes that do not have the digest, which nobody looks at then."""
    async with pulling(store, OTHER, OTHER) as (through, told):
        assert await read(through, DIGEST) == OTHER
        await eventually(lambda: held(store))
    assert not told


async def test_a_map_that_nobody_signed_is_not(store: CacheStore) -> None:
    async with pulling(store, OTHER, None) as (through, told):
        with pytest.raises(Failure):
            await read(through, DIGEST)
        assert told and not await held(store)


@pytest.mark.parametrize("span", [None, Span(0, 10)])
async def test_a_map_other_than_the_signed_one_proves_nothing(store: CacheStore, span: Span | None) -> None:
    """A parent whose map fits its own lie is found out before a byte leaves."""
    async with pulling(store, OTHER, DATA) as (through, _):
        with pytest.raises(Failure, match="not the one signed"):
            await read(through, DIGEST, span)
        assert not await held(store)


async def test_what_was_proven_before_needs_the_digest(store: CacheStore) -> None:
    """By another process, or another life, and nobody knows by which map."""
    async with store.hold(DIGEST, len(DATA)) as hold:
        wrong = [memoryview(bytes(CHUNK))]
        await hold.write(0, lambda: [wrong.pop()] if wrong else (), lambda: None)
        hold.mark(0, ChunkState.PROVEN)
        async with pulling(store, DATA, DATA) as (through, _):
            with pytest.raises(Failure):
                await read(through, DIGEST)
            assert not await held(store)


async def test_with_what_is_right_it_is_held(store: CacheStore) -> None:
    async with pulling(store, DATA, DATA) as (through, told):
        assert await read(through, DIGEST, Span(2 * CHUNK, 2 * CHUNK + 5)) == DATA[2 * CHUNK : 2 * CHUNK + 5]
        assert await read(through, DIGEST) == DATA
        await eventually(lambda: held(store))
    assert not told
