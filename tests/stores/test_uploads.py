"""Upload sessions: one at a time, bound to their owner, and alive after anything."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import BlobUploadInvalid, BlobUploadUnknown, DigestInvalid, RangeInvalid
from registry_mesh.ports.uploads import Owner, Uploads
from registry_mesh.stores import points
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.disk.uploads import DiskUploads
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.stores.memory.uploads import MemoryUploads
from tests.eventually import eventually
from tests.simulators.origins import HandClock
from tests.suites.cache_store import map_of
from tests.suites.maps_of import fits

HUSH = 0.1
"""Seconds after which a holder is quiet."""
NEVER = 3600.0
OWNER = Owner(RepositoryName("atlas/athena"), "alice")
DATA = os.urandom(2 * CHUNK + 12_345)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def store(tmp_path: Path) -> DiskStore:
    return await DiskStore.start(tmp_path)


class Opening(Protocol):
    """Uploads of one kind of store. A request waits for its turn for `patience` seconds; its holder, but for that in a
    bucket, gives way once it was quiet for so many."""

    def __call__(self, patience: float, quiet: float = HUSH) -> Awaitable[Uploads]:
        """Open them."""
        ...


@pytest.fixture(params=["memory", "disk", pytest.param("s3", marks=pytest.mark.s3)])
async def opening(request: pytest.FixtureRequest, tmp_path: Path, clock: HandClock) -> AsyncIterator[Opening]:
    settings = request.getfixturevalue("s3_settings") if request.param == "s3" else None
    async with AsyncExitStack() as stack:

        async def opened(patience: float, quiet: float = HUSH) -> Uploads:
            if request.param == "memory":
                return MemoryUploads(MemoryStore(), clock, expiry=100, patience=patience, quiet=quiet)
            if settings is not None:
                bucket = await S3Store.start(settings)
                stack.push_async_callback(bucket.close)
                return bucket.uploads(clock, expiry=100, patience=patience)
            store = await DiskStore.start(tmp_path)
            folder = tmp_path / "uploads"
            return DiskUploads(folder, store, clock, expiry=100, patience=patience, quiet=quiet)

        yield opened


@pytest.fixture
async def uploads(opening: Opening) -> Uploads:
    return await opening(0.3)


async def send(uploads: Uploads, id: str, data: bytes, start: int | None = None) -> None:
    async with uploads.append(OWNER, id, start) as ingest:
        await ingest.write(data)


async def commit(uploads: Uploads, id: str, expected: Digest) -> Digest:
    async with uploads.append(OWNER, id, None) as ingest:
        return (await ingest.commit(expected)).digest


async def test_a_blob_in_several_requests(uploads: Uploads) -> None:
    id = (await uploads.begin(OWNER, "sha256")).id
    cuts = [0, 1, 70_000, CHUNK, CHUNK + 1, 2 * CHUNK + 5, len(DATA)]
    for start, stop in pairwise(cuts):
        await send(uploads, id, DATA[start:stop], start)
        assert (await uploads.status(OWNER, id)).offset == stop
    digest = Digest.of(DATA)
    assert await commit(uploads, id, digest) == digest
    with pytest.raises(BlobUploadUnknown):
        await uploads.status(OWNER, id)


async def test_what_is_committed_has_its_chunk_map(
    store: DiskStore, tmp_path: Path, clock: HandClock
) -> None:
    uploads = DiskUploads(tmp_path / "uploads", store, clock)
    id = (await uploads.begin(OWNER, "sha512")).id
    for start in range(0, len(DATA), 300_000):
        await send(uploads, id, DATA[start : start + 300_000])
    digest = Digest.of(DATA, "sha512")
    await commit(uploads, id, digest)
    assert fits(await store.chunk_map(digest), DATA)
    assert list((tmp_path / "uploads").iterdir()) == []


async def test_a_chunk_must_go_on_where_the_last_one_ended(uploads: Uploads) -> None:
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, b"12345")
    for start in (0, 4, 6):
        with pytest.raises(RangeInvalid) as refusal:
            await send(uploads, id, b"x", start)
        assert refusal.value.detail["offset"] == 5
    await send(uploads, id, b"6", 5)
    await commit(uploads, id, Digest.of(b"123456"))


async def test_one_append_at_a_time(uploads: Uploads) -> None:
    id = (await uploads.begin(OWNER, "sha256")).id
    async with uploads.append(OWNER, id, None) as ingest:
        await ingest.write(b"abc")
        with pytest.raises(BlobUploadInvalid):
            await send(uploads, id, b"x")
    await commit(uploads, id, Digest.of(b"abc"))


@pytest.mark.parametrize("start", [None, 3])
async def test_a_committed_session_lasts_until_its_holder_leaves(uploads: Uploads, start: int | None) -> None:
    """Who closes it again meanwhile is not told that it is unknown before its blob is the repository's."""
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, b"abc")
    async with uploads.append(OWNER, id, None) as ingest:
        await ingest.commit(Digest.of(b"abc"))
        with pytest.raises(BlobUploadInvalid):
            await send(uploads, id, b"x", start)
    with pytest.raises(BlobUploadUnknown):
        await send(uploads, id, b"x", start)


async def test_who_comes_back_waits_for_the_end_of_the_one_before(opening: Opening) -> None:
    uploads = await opening(60, quiet=NEVER)
    id = (await uploads.begin(OWNER, "sha256")).id
    async with asyncio.TaskGroup() as tasks:
        async with uploads.append(OWNER, id, None):
            tasks.create_task(send(uploads, id, b"abc", 0))
            await asyncio.sleep(0.1)
    assert (await uploads.status(OWNER, id)).offset == 3
    await commit(uploads, id, Digest.of(b"abc"))


async def test_a_holder_at_work_keeps_its_turn(uploads: Uploads) -> None:
    """Where the machine stood still it was not at work: then it is done once more."""
    for _ in range(9):
        kept, longest = await holds(uploads)
        if kept or longest < HUSH:
            break
    assert kept


async def holds(uploads: Uploads) -> tuple[bool, float]:
    """Whether who writes on keeps its turn though another wants it, and its longest pause."""
    loop, longest, worked = asyncio.get_running_loop(), 0.0, asyncio.get_running_loop().time()
    id = (await uploads.begin(OWNER, "sha256")).id
    with suppress(BlobUploadInvalid):
        async with uploads.append(OWNER, id, None) as ingest:
            late = asyncio.create_task(send(uploads, id, b"x", 0))
            while not late.done():
                await ingest.write(b"")
                await asyncio.sleep(0.01)
                longest, worked = max(longest, loop.time() - worked), loop.time()
            if not isinstance(late.exception(), BlobUploadInvalid):
                return False, longest
            await ingest.write(b"abc")
        await commit(uploads, id, Digest.of(b"abc"))
        return True, longest
    return False, longest


@pytest.fixture(params=["memory", "disk"])
async def impatient(request: pytest.FixtureRequest, tmp_path: Path, clock: HandClock) -> Uploads:
    """Sessions whose holders give way soon (in a bucket the lease is what runs out)."""
    if request.param == "memory":
        return MemoryUploads(MemoryStore(), clock, patience=60, quiet=HUSH)
    store = await DiskStore.start(tmp_path)
    return DiskUploads(tmp_path / "uploads", store, clock, patience=60, quiet=HUSH)


async def test_a_quiet_holder_gives_way_to_who_goes_on_where_it_stands(impatient: Uploads) -> None:
    """The connection of the first is dead, and nobody has told the server."""
    id = (await impatient.begin(OWNER, "sha256")).id
    async with asyncio.TaskGroup() as tasks:
        with pytest.raises(BlobUploadInvalid):
            async with impatient.append(OWNER, id, None) as ingest:
                await ingest.write(b"abc")
                with pytest.raises(RangeInvalid):
                    await send(impatient, id, b"x", 7)
                await eventually(
                    lambda: impatient.status(OWNER, id),
                    "three bytes",
                    until=lambda status: status.offset >= 3,
                )
                tasks.create_task(send(impatient, id, b"def", 3))
                await asyncio.Event().wait()
    await commit(impatient, id, Digest.of(b"abcdef"))


@pytest.mark.parametrize("stranger", [Owner(OWNER.repository, "bob"), Owner(RepositoryName("x"), "alice")])
async def test_a_session_is_its_owners(uploads: Uploads, stranger: Owner) -> None:
    id = (await uploads.begin(OWNER, "sha256")).id
    with pytest.raises(BlobUploadUnknown):
        await uploads.status(stranger, id)
    with pytest.raises(BlobUploadUnknown):
        await uploads.cancel(stranger, id)
    with pytest.raises(BlobUploadUnknown):
        async with uploads.append(stranger, id, None):
            pass
    assert (await uploads.status(OWNER, id)).offset == 0


@pytest.mark.parametrize("id", ["", "x", "../" * 10 + "ab", "." * 32, "A" * 32, "a/" * 16, "\0" * 32])
async def test_ids_that_were_never_given_out(uploads: Uploads, id: str) -> None:
    with pytest.raises(BlobUploadUnknown):
        await uploads.status(OWNER, id)
    with pytest.raises(BlobUploadUnknown):
        async with uploads.append(OWNER, id, None):
            pass
    with pytest.raises(BlobUploadUnknown):
        await uploads.cancel(OWNER, id)


async def test_ids_are_random_uuids(uploads: Uploads) -> None:
    ids = {(await uploads.begin(OWNER, "sha256")).id for _ in range(50)}
    assert len(ids) == 50
    assert all(str(uuid.UUID(id)) == id and uuid.UUID(id).version == 4 for id in ids)


async def test_cancel(uploads: Uploads) -> None:
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, b"abc")
    await uploads.cancel(OWNER, id)
    with pytest.raises(BlobUploadUnknown):
        await uploads.status(OWNER, id)
    with pytest.raises(BlobUploadUnknown):
        await uploads.cancel(OWNER, id)


async def test_a_wrong_digest_ends_the_session(uploads: Uploads) -> None:
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, b"abc")
    with pytest.raises(DigestInvalid):
        await commit(uploads, id, Digest.of(b"other"))
    with pytest.raises(BlobUploadUnknown):
        await uploads.status(OWNER, id)


async def test_an_empty_blob(uploads: Uploads) -> None:
    id = (await uploads.begin(OWNER, "sha256")).id
    assert await commit(uploads, id, Digest.of(b"")) == Digest.of(b"")


async def test_the_algorithm_may_be_told_at_the_end(uploads: Uploads) -> None:
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, DATA)
    digest = Digest.of(DATA, "sha512")
    assert await commit(uploads, id, digest) == digest


async def test_the_same_blob_in_parallel(uploads: Uploads) -> None:
    digest = Digest.of(DATA)

    async def one() -> Digest:
        id = (await uploads.begin(OWNER, "sha256")).id
        for start in range(0, len(DATA), 400_000):
            await send(uploads, id, DATA[start : start + 400_000])
        return await commit(uploads, id, digest)

    assert set(await asyncio.gather(*(one() for _ in range(6)))) == {digest}


async def test_leaving_keeps_what_came(uploads: Uploads) -> None:
    id = (await uploads.begin(OWNER, "sha256")).id
    with pytest.raises(ConnectionError):
        async with uploads.append(OWNER, id, 0) as ingest:
            await ingest.write(DATA[:1000])
            raise ConnectionError
    assert (await uploads.status(OWNER, id)).offset == 1000
    await send(uploads, id, DATA[1000:], 1000)
    await commit(uploads, id, Digest.of(DATA))


async def test_expiry(uploads: Uploads, clock: HandClock) -> None:
    old = (await uploads.begin(OWNER, "sha256")).id
    used = (await uploads.begin(OWNER, "sha256")).id
    clock.now += 60
    await send(uploads, used, b"abc")
    clock.now += 60
    with pytest.raises(BlobUploadUnknown):
        await uploads.status(OWNER, old)
    assert [(each.id, each.repository, each.size) async for each in uploads.unfinished()] == [
        (used, OWNER.repository, 3)
    ]
    assert await uploads.sweep() == 1
    assert (await uploads.status(OWNER, used)).offset == 3
    clock.now += 30
    async with uploads.append(OWNER, used, None):
        clock.now += 1000
        assert await uploads.sweep() == 0, "somebody writes to it"


async def test_another_process_goes_on_without_reading_again(
    store: DiskStore, tmp_path: Path, clock: HandClock
) -> None:
    """Else it would take what the disk made of the bytes meanwhile for what was sent."""
    uploads = DiskUploads(tmp_path / "uploads", store, clock)
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, DATA[: 2 * CHUNK])
    with (tmp_path / "uploads" / id / "data").open("r+b") as file:
        file.write(b"rotten")
    again = DiskUploads(tmp_path / "uploads", store, clock)
    await send(again, id, DATA[2 * CHUNK :])
    await commit(again, id, Digest.of(DATA))
    assert await store.chunk_map(Digest.of(DATA)) == map_of(DATA)


@pytest.mark.parametrize("spoil", ["hash", "sums", "libcrypto"])
async def test_without_a_usable_state_the_bytes_are_read_again(
    spoil: str, store: DiskStore, tmp_path: Path, clock: HandClock, request: pytest.FixtureRequest
) -> None:
    uploads = DiskUploads(tmp_path / "uploads", store, clock)
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, DATA[: CHUNK + 7])
    if spoil == "hash":
        edit_state(tmp_path, id, lambda state: state | {"hash": "AAAA"})
    elif spoil == "sums":
        for sums in (tmp_path / "uploads" / id).glob("sums-*"):
            sums.rename(sums.with_name("sums"))  # as an earlier version called those by sha256
    else:
        request.getfixturevalue("without_libcrypto")
    await send(uploads, id, DATA[CHUNK + 7 :])
    assert await commit(uploads, id, Digest.of(DATA)) == Digest.of(DATA)
    assert await store.chunk_map(Digest.of(DATA)) is not None


async def test_after_a_power_cut_only_what_was_synced_is_believed(
    store: DiskStore, tmp_path: Path, clock: HandClock
) -> None:
    uploads = DiskUploads(tmp_path / "uploads", store, clock)
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, DATA[:5000])
    edit_state(tmp_path, id, lambda state: state | {"boot": "the one before"})
    with open(tmp_path / "uploads" / id / "data", "ab") as file:
        file.write(b"\0" * 4096)  # a length that reached the disk before its bytes
    assert (await uploads.status(OWNER, id)).offset == 5000
    await send(uploads, id, DATA[5000:], 5000)
    await commit(uploads, id, Digest.of(DATA))


def edit_state(root: Path, id: str, edit: Callable[[dict[str, object]], dict[str, object]]) -> None:
    path = root / "uploads" / id / "state"
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))


WRITER = """
import asyncio, sys
from pathlib import Path
from registry_mesh.stores import points
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.disk.uploads import DiskUploads
from tests.stores.test_uploads import OWNER, pieces
from tests.eventually import eventually

async def main(root, id, start, lines):
    store = await DiskStore.start(root)
    uploads = DiskUploads(root / "uploads", store, lambda: 0.0, save_every=3 << 20)
    async with uploads.append(OWNER, id, start) as ingest:
        for piece in pieces(start)[:lines + 10]:
            await ingest.write(piece)
            print(ingest.offset, flush=True)
        await asyncio.Event().wait()  # not to the end, should the signal be late

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


def pieces(start: int) -> list[bytes]:
    """From `start` on: a stream that is the same in every process."""
    whole = b"".join(i.to_bytes(8, "big") * 8192 for i in range(160))
    return [whole[at : at + 65_536] for at in range(start, len(whole), 65_536)]


async def test_kill_9_in_mid_upload_loses_what_was_in_flight_only(tmp_path: Path) -> None:
    store = await DiskStore.start(tmp_path)
    uploads = DiskUploads(tmp_path / "uploads", store, lambda: 0.0)
    id = (await uploads.begin(OWNER, "sha256")).id
    for wait_for in (1, 40, 77):
        start = (await uploads.status(OWNER, id)).offset
        told = await asyncio.to_thread(write_and_kill, tmp_path, id, start, wait_for)
        stands = (await uploads.status(OWNER, id)).offset
        assert stands >= told - (2 << 20), "more is lost than what was gathered for one write"
        assert stands >= start
    start = (await uploads.status(OWNER, id)).offset
    await send(uploads, id, b"".join(pieces(start)), start)
    whole = b"".join(pieces(0))
    assert await commit(uploads, id, Digest.of(whole)) == Digest.of(whole)
    assert fits(await store.chunk_map(Digest.of(whole)), whole)


def write_and_kill(root: Path, id: str, start: int, lines: int) -> int:
    command = [sys.executable, "-c", WRITER, str(root), id, str(start), str(lines)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as child:
        assert child.stdout is not None
        told = 0
        for _ in range(lines):
            told = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
    return told


POINTS = ["upload.write", "upload.sync", "upload.state", "upload.finish", "shelf.name", "shelf.sync_entry"]


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("point", [*POINTS, "upload.remove"])
@pytest.mark.parametrize("visit", [1, 2])
async def test_a_crash_at_every_write_point_leaves_the_old_state_or_the_new(
    point: str,
    visit: int,
    store: DiskStore,
    tmp_path: Path,
    clock: HandClock,
) -> None:
    uploads = DiskUploads(tmp_path / "uploads", store, clock, save_every=CHUNK)
    id = (await uploads.begin(OWNER, "sha256")).id
    left = visit
    dead = False

    def hook(name: str) -> None:
        nonlocal left, dead
        left -= name == point
        dead = dead or left <= 0
        if dead:  # nothing after the crash reaches the disk either
            raise Crash

    digest = Digest.of(DATA)
    points.arm(hook)
    try:
        await send(uploads, id, DATA[: 2 * CHUNK])
        await send(uploads, id, DATA[2 * CHUNK :])
        await commit(uploads, id, digest)
    except Crash:
        pass
    finally:
        points.arm(None)
    try:
        stands = (await uploads.status(OWNER, id)).offset
    except BlobUploadUnknown:
        assert (await store.stat(digest)).size == len(DATA), (
            "the session may only be gone when the blob is there"
        )
        return
    await send(uploads, id, DATA[stands:], stands)
    assert await commit(uploads, id, digest) == digest
