"""What processes share: claims, states, commits, the ledger. Real processes, killed for real."""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.space.ledger import PAGE, Ledger
from registry_mesh.stores.disk.store import DiskStore
from tests.eventually import eventually
from tests.simulators.death import end_in_time, run_and_die
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read
from tests.suites.cache_store import DATA, DIGEST, SIZE, fill, given


async def start(root: Path, quota: int | None = None) -> DiskStore:
    return await DiskStore.start(root, quota=quota, evict=True, fsync=DiskFsync.NEVER)


@contextmanager
def process(work: Callable[[Callable[[], None]], Awaitable[None]]) -> Iterator[int]:
    """A child that does `work`, which says when it is ready; gives its id then. Killed in the end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        end_in_time()
        try:
            asyncio.run(_awaited(work, writer))
        except BaseException:  # the child says what failed, and ends
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


async def _awaited(work: Callable[[Callable[[], None]], Awaitable[None]], writer: int) -> None:
    def ready() -> None:
        os.write(writer, b"x")

    await work(ready)


def test_claims_of_a_killed_process_are_free(tmp_path: Path) -> None:
    async def claims(ready: Callable[[], None]) -> None:
        store = await start(tmp_path)
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(1))
            assert hold.claim(range(1, 4)) == range(1, 4)
            await hold.write(CHUNK, given(DATA[CHUNK : 4 * CHUNK - 1000]), lambda: None)
            ready()
            await asyncio.sleep(60)

    async def before() -> None:
        store = await start(tmp_path)
        async with store.hold(DIGEST, SIZE) as hold:
            assert hold.state(0) is ChunkState.PROVEN
            assert not hold.claim(range(1, 5))
            assert hold.claim(range(4, 5)) == range(4, 5)

    async def after() -> None:
        store = await start(tmp_path)
        async with store.hold(DIGEST, SIZE) as hold:
            assert hold.state(0) is ChunkState.PROVEN
            await fill(hold, range(1, 5))
            await hold.commit(None)
        assert await read(store, DIGEST) == DATA
        await store.close()

    with process(claims):
        run_and_die(before, 0)
    run_and_die(after, 0)


def test_a_commit_is_seen_by_others(tmp_path: Path) -> None:
    root, opened, done = tmp_path / "store", tmp_path / "opened", tmp_path / "done"

    async def commits(ready: Callable[[], None]) -> None:
        ready()
        await eventually(opened.exists, "the other process to hold the blob")
        store = await start(root)
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(5))
            await hold.commit(None)
        await store.close()
        done.touch()
        await asyncio.sleep(60)

    async def sees() -> None:
        store = await start(root)
        async with store.hold(DIGEST, SIZE) as hold:
            opened.touch()
            await eventually(done.exists, "the commit")
            assert hold.committed
            assert hold.run(0, 5, ChunkState.PROVEN) == 5
            piece = hold.slice(Span(0, SIZE))
            assert os.pread(piece.fd, SIZE, 0) == DATA
        assert await read(store, DIGEST) == DATA
        await store.close()

    with process(commits):
        run_and_die(sees, 0)


def test_the_same_blob_by_many_processes(tmp_path: Path) -> None:
    data = pattern(3 * CHUNK)

    async def puts(ready: Callable[[], None]) -> None:
        store = await start(tmp_path)
        for _ in range(5):
            await put(store, data)
        assert await read(store, Digest.of(data)) == data
        ready()
        await asyncio.sleep(60)

    async def looks() -> None:
        store = await start(tmp_path)
        assert [info.size async for info in store.blobs()] == [len(data)]
        assert await read(store, Digest.of(data)) == data
        await store.close()

    with process(puts), process(puts), process(puts):
        run_and_die(looks, 0)


def test_one_winner_of_a_record_and_of_a_lock(tmp_path: Path) -> None:
    async def tries(ready: Callable[[], None]) -> None:
        store = await start(tmp_path)
        if await store.records.create("winner", str(os.getpid()).encode()):
            await store.records.create(f"won/{os.getpid()}", b"")
        async with store.lock(DIGEST, "commit"):
            ready()
            await asyncio.sleep(60)

    async def looks() -> None:
        store = await start(tmp_path)
        winner = await store.records.get("winner")
        assert winner is not None
        assert await store.records.children("won/") == [winner.decode()]
        async with store.lock(DIGEST, "commit") as mine:
            assert not mine

    async def after() -> None:
        store = await start(tmp_path)
        async with store.lock(DIGEST, "commit") as mine:
            assert mine

    with process(tries), process(tries):
        run_and_die(looks, 0)
    run_and_die(after, 0)


def test_the_ledger_never_gives_the_same_room_twice(tmp_path: Path) -> None:
    limit = 100 * PAGE
    Ledger(tmp_path / "ledger", limit).recount(0)

    async def takes(ready: Callable[[], None]) -> None:
        ledger = Ledger(tmp_path / "ledger", limit)
        taken = 0
        while ledger.reserve(PAGE):
            taken += 1
        ledger.release(0)
        (tmp_path / f"taken-{os.getpid()}").write_text(str(taken))
        ready()
        await asyncio.sleep(60)

    with process(takes), process(takes), process(takes):
        assert sum(int(path.read_text()) for path in tmp_path.glob("taken-*")) == 100
    assert Ledger(tmp_path / "ledger", limit).used == limit
