"""kill -9 at every write point: afterwards the store has the old state or the new, and the count is right."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, chunk_span, count
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.partial import ChunkState
from registry_mesh.stores.disk import rebuild
from registry_mesh.stores.disk.durability import DiskFsync
from registry_mesh.stores.disk.store import DiskStore
from tests.eventually import eventually
from tests.simulators.death import deaths, run_and_die
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read
from tests.suites.cache_store import fill, held_bytes, map_of

SMALL = pattern(50_000, 1)
LARGE = pattern(2 * CHUNK + 500, 2)
MANY = [pattern(CHUNK - 500, 10 + i) for i in range(7)]
"""More than the quota has room for beside what was there before."""
KNOWN = {Digest.of(data): data for data in (SMALL, LARGE, *MANY)}
QUOTA = 8 * CHUNK


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: hundreds of stores are opened, and the kernel outlives them all."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


Story = Callable[[DiskStore], Awaitable[None]]


async def start(root: Path) -> DiskStore:
    return await DiskStore.start(root, quota=QUOTA, evict=True, fsync=DiskFsync.COMMIT)


async def committed(store: DiskStore, data: bytes) -> None:
    async with store.hold(Digest.of(data), len(data)) as hold:
        missing = [i for i in range(count(len(data))) if not await hold.check(i)]
        for index in missing:
            await fill(hold, range(index, index + 1), data=data)
        await hold.commit(map_of(data))


async def nothing(store: DiskStore) -> None:
    """Nothing before."""


async def ingest(store: DiskStore) -> None:
    await put(store, LARGE)
    await put(store, SMALL, "sha256")


async def fills(store: DiskStore) -> None:
    await committed(store, LARGE)
    await committed(store, SMALL)


async def part(store: DiskStore) -> None:
    async with store.hold(Digest.of(LARGE), len(LARGE)) as hold:
        await fill(hold, range(1, 2), data=LARGE)


async def discard(store: DiskStore) -> None:
    async with store.hold(Digest.of(LARGE), len(LARGE)) as hold:
        await fill(hold, range(1), data=LARGE)
        await hold.discard()


async def missing_again(store: DiskStore) -> None:
    async with store.hold(Digest.of(LARGE), len(LARGE)) as hold:
        await fill(hold, range(2), data=LARGE)
        hold.mark(1, ChunkState.MISSING)


async def delete(store: DiskStore) -> None:
    await store.delete(Digest.of(LARGE))
    await store.delete(Digest.of(SMALL))


async def evict(store: DiskStore) -> None:
    for data in MANY:
        await put(store, data)
    with pytest.raises(BlobUnknown):
        await store.stat(Digest.of(LARGE))


async def rot(store: DiskStore) -> None:
    with store.layout.blob(Digest.of(LARGE)).open("r+b") as file:
        file.write(b"rotten")
    with pytest.raises(BlobUnknown):
        await read(store, Digest.of(LARGE))
    await committed(store, LARGE)


STORIES: dict[str, tuple[Story, Story]] = {
    "ingest": (nothing, ingest),
    "fill": (nothing, fills),
    "go on with a part": (part, fills),
    "discard": (nothing, discard),
    "missing again": (nothing, missing_again),
    "delete what was ingested": (ingest, delete),
    "delete what was filled": (fills, delete),
    "evict what was ingested": (ingest, evict),
    "evict what was filled": (fills, evict),
    "rot": (fills, rot),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith("evict")) for name in STORIES]
)
def test_old_or_new(tmp_path: Path, name: str) -> None:
    before, story = STORIES[name]
    root, saved = tmp_path / "store", tmp_path / "saved"

    async def run(of: Story) -> None:
        store = await start(root)
        await of(store)
        await store.close()

    run_and_die(lambda: run(before), 0)
    root.rename(saved)

    def prepare() -> Callable[[], Awaitable[None]]:
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "-a", "--sparse=always", saved, root], check=True)
        return lambda: run(story)

    killed = _audited(prepare, root, _audit)
    assert len(killed) >= 5


async def _audit(root: Path) -> None:
    store = await start(root)
    try:
        await eventually(lambda: store.upkeep.tidied, "the store to be tidied")
        assert list(store.layout.tmp.iterdir()) == []
        for digest, data in KNOWN.items():
            await _is_all_right(store, digest, data)
        assert store.used == _on_disk(store)
        assert store.used <= QUOTA
        for data in (LARGE, SMALL):  # and it goes on
            await committed(store, data)
            assert await read(store, Digest.of(data)) == data
    finally:
        await store.close()


async def _is_all_right(store: DiskStore, digest: Digest, data: bytes) -> None:
    try:
        assert await read(store, digest) == data
    except (BlobUnknown, StoreBroken):
        async with store.hold(digest, len(data)) as hold:
            for index in range(count(len(data))):
                if await hold.check(index):
                    span = chunk_span(index, len(data))
                    assert await held_bytes(hold, span) == data[span.start : span.stop]


def _on_disk(store: DiskStore) -> int:
    layout = store.layout
    places = (layout.blobs, layout.partial, layout.tmp, layout.quarantine)
    files = [p for place in places for p in place.rglob("*") if p.is_file()]
    return sum({p.stat().st_ino: p.stat().st_blocks * 512 for p in files}.values())


def test_records_are_old_or_new(tmp_path: Path) -> None:
    async def begin() -> None:
        store = await start(tmp_path / "saved")
        await store.records.put("a/b", b"old")
        await store.records.put("gone/soon", b"old")
        await store.close()

    async def story() -> None:
        store = await start(tmp_path / "store")
        await store.records.put("a/b", b"new")
        await store.records.create("a/c", b"new")
        await store.records.delete(["gone/soon"])
        await store.close()

    async def audit(root: Path) -> None:
        store = await start(root)
        assert await store.records.get("a/b") in (b"old", b"new")
        assert await store.records.get("a/c") in (None, b"new")
        assert await store.records.get("gone/soon") in (None, b"old")
        assert list(store.layout.tmp.iterdir()) == []
        assert {key async for key in store.records.walk("")} <= {"a/b", "a/c", "gone/soon"}
        await store.close()

    def prepare() -> Callable[[], Awaitable[None]]:
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        shutil.copytree(tmp_path / "saved", tmp_path / "store")
        return story

    run_and_die(begin, 0)
    killed = _audited(prepare, tmp_path / "store", audit)
    assert len(killed) >= 9


def _audited(
    prepare: Callable[[], Callable[[], Awaitable[None]]],
    root: Path,
    audit: Callable[[Path], Awaitable[None]],
) -> list[str]:
    """Where it was killed. What each left in `root` is put aside, and one process looks at all of it afterwards."""
    killed = []
    for point in deaths(prepare):
        killed.append(point)
        root.rename(root.with_name(f"killed-{len(killed)}"))

    async def audit_each() -> None:
        for number, point in enumerate(killed, 1):
            try:
                await audit(root.with_name(f"killed-{number}"))
            except BaseException as fault:
                raise AssertionError(f"killed at {point} ({number})") from fault

    run_and_die(audit_each, 0)
    return killed


def test_a_dead_workers_orphans_go_while_others_live(tmp_path: Path) -> None:
    root, lives_now, died = tmp_path / "store", tmp_path / "lives", tmp_path / "died"

    async def dies() -> None:
        await eventually(lives_now.exists, "the other process")
        store = await start(root)
        async with store.ingest(size=len(LARGE)) as ingest:
            await ingest.write(LARGE)
            await ingest.commit()

    async def lives() -> None:
        store = await start(root)
        lives_now.touch()
        await eventually(died.exists, "its death")
        assert store.used > 0
        rebuild.sweep_orphans(store.shelf)
        assert store.used == 0
        assert list(store.layout.tmp.iterdir()) == []
        await store.close()

    with ThreadPoolExecutor(1) as beside:
        living = beside.submit(run_and_die, lives, 0)
        assert run_and_die(dies, 2)[-1] == "ingest.write"
        died.touch()
        living.result()
