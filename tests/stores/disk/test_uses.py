"""When blobs were used last, as people are told: of readings in processes that serve clients, and of coming in."""

from __future__ import annotations

from pathlib import Path

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.holdings import StoreAccount
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.space.ledger import charge
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.disk.upkeep import NOTED
from tests.eventually import eventually
from tests.suites.blob_store import put
from tests.suites.bytes_of import read
from tests.suites.cache_store import DIGEST, SIZE, fill

A, B = b"a" * 9000, b"b" * 9000


class Node:
    """A store of one process, and its clock. Uses are written down when a test says so: a round that is at it in a
    thread has not written them yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_000_000.0

    async def started(self, *, serves: bool) -> DiskStore:
        store = await DiskStore.start(
            self.folder,
            quota=1 << 30,
            evict=True,
            fsync=DiskFsync.NEVER,
            clock=lambda: self.now,
            period=3600.0,
        )
        await eventually(lambda: store.upkeep.tidied, "its first round")
        if serves:
            store.upkeep.note_uses()
        return store


async def last(store: DiskStore, *data: bytes) -> list[float | None]:
    store.upkeep.flush()
    digests = [Digest.of(each) for each in data]
    uses = await store.holdings.used(digests)
    return [uses.last.get(digest) for digest in digests]


async def test_a_blob_was_used_when_it_came_and_when_a_client_read_it(tmp_path: Path) -> None:
    node = Node(tmp_path)
    worker, keeper = await node.started(serves=True), await node.started(serves=False)
    assert (await keeper.holdings.used([Digest.of(A)])).began == 0
    await put(worker, A)
    await put(keeper, B)
    node.now += 1000
    await read(worker, Digest.of(A))
    await read(keeper, Digest.of(B))  # a look at what is held is no use
    keeper.upkeep.flush()
    assert await last(worker, A, B, b"never here") == [1_001_000.0, 1_000_000.0, None]
    assert (await keeper.holdings.used([])).began == 1_000_000.0
    await keeper.close()
    await worker.close()
    again = await node.started(serves=True)
    assert await last(again, A) == [1_001_000.0]
    await again.holdings.drop(Digest.of(A))
    assert await last(again, A) == [None]
    await again.close()


async def test_what_is_hot_is_noted_once_a_minute(tmp_path: Path) -> None:
    node = Node(tmp_path)
    store = await node.started(serves=True)
    await put(store, A)
    await read(store, Digest.of(A))
    assert await last(store, A) == [node.now]
    node.now += NOTED - 1
    await read(store, Digest.of(A))
    assert await last(store, A) == [1_000_000.0]
    node.now += 1
    await read(store, Digest.of(A))
    assert await last(store, A) == [1_000_000.0 + NOTED]
    await store.close()


async def test_a_part_is_used_when_it_is_opened_again(tmp_path: Path) -> None:
    node = Node(tmp_path)
    store = await node.started(serves=True)
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(1, 3))
    node.now += 1000
    async with store.hold(DIGEST, SIZE):
        pass
    store.upkeep.flush()
    assert (await store.holdings.used([DIGEST])).last == {DIGEST: node.now}
    await store.close()


async def test_an_account_tells_pinned_whole_and_partial_blobs_apart(tmp_path: Path) -> None:
    store = await Node(tmp_path).started(serves=True)
    assert await store.holdings.account() == StoreAccount()
    await put(store, A)
    await put(store, B)
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(1, 3))
    await store.holdings.spare({Digest.of(A)})
    found = await store.holdings.account()
    assert found.pinned == found.whole == charge(len(A))
    assert found.part >= 2 * CHUNK
    assert found.pinned + found.whole + found.part == store.used
    await store.close()


async def test_it_is_known_how_long_what_was_evicted_had_not_been_used(tmp_path: Path) -> None:
    node = Node(tmp_path)
    store = await node.started(serves=True)
    await put(store, A)
    await put(store, B)
    node.now += 500
    await read(store, Digest.of(B))
    store.upkeep.flush()
    node.now += 1000
    assert store.evictor.free(1)
    assert (await store.holdings.account()).evicted_idle == 1500
    assert store.evictor.free(1)
    assert (await store.holdings.account()).evicted_idle == 1000
    await store.close()
