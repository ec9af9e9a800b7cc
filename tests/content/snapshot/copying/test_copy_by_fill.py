"""Blobs of a replica: the digest decides, whatever a manifest or a source says of a size."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.snapshot.copying.copy_by_fill import CopyByFill
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName
from registry_mesh.ports.failures import SourceLied
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.images import LAYER, random_bytes
from tests.simulators.source import SimulatedSource

SIZES = [50_000, 3 * CHUNK + 5]


class Copying:
    """One blob of one source, and how many bytes were said to have come."""

    def __init__(self, size: int) -> None:
        self.source, self.store = SimulatedSource(), MemoryStore()
        self.data = random_bytes("blob", size)
        self.digest = self.source.add(self.data)
        self.blamed: list[str] = []
        self.moved = 0
        self.fills = Fills(self.store)
        self._bring = CopyByFill(
            self.store, self.fills, lambda source, digest, why: self.blamed.append(source)
        )

    async def bring(self, size: int, digest: Digest | None = None) -> None:
        offer = Offer(self.source, RegistryName("r.example"))
        await self._bring(offer, Descriptor(LAYER, digest or self.digest, size), self._move)

    def _move(self, size: int) -> None:
        self.moved += size


@pytest.fixture(params=SIZES)
async def copying(request: pytest.FixtureRequest) -> AsyncIterator[Copying]:
    copying = Copying(request.param)
    yield copying
    await copying.fills.close()


@pytest.mark.parametrize("off", [-10, 7, 3 * CHUNK])
async def test_a_source_that_tells_a_wrong_size_once_is_asked_again(copying: Copying, off: int) -> None:
    size = len(copying.data)
    copying.source.says, copying.source.says_times = size + off, 1
    await copying.bring(size)
    assert (await copying.store.stat(copying.digest)).size == copying.moved == size


@pytest.mark.parametrize("said", [0, 3, 49_999, 9_000_000, 1 << 45])
async def test_a_manifest_that_tells_a_wrong_size_is_wrong_and_no_source_is_blamed(
    copying: Copying, said: int
) -> None:
    size = len(copying.data)
    with pytest.raises(SourceLied, match=f"has {size} bytes and is said to have {said}"):
        await copying.bring(said)
    assert copying.blamed == []
    assert (await copying.store.stat(copying.digest)).size == size, "it was right all the same"
    await copying.bring(size)
    assert copying.source.sent == size, "and is not fetched twice"


async def test_the_empty_blob_is_asked_of_nobody(copying: Copying) -> None:
    empty = Digest.of(b"")
    await copying.bring(0, empty)
    assert (await copying.store.stat(empty)).size == 0
    with pytest.raises(SourceLied, match="has 0 bytes and is said to have 5"):
        await copying.bring(5, empty)
    assert copying.source.opened == []
