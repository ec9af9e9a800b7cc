"""Blobs in a real bucket."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown, DigestInvalid
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import TO_END, BlobStore
from registry_mesh.ports.failures import SpanUnsatisfiable, StoreBroken
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.entry import INLINE, data_key
from registry_mesh.stores.bucket.ingest import Intake
from registry_mesh.stores.bucket.multipart import AHEAD, LARGEST
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.store import FRESH, S3Store
from tests.eventually import eventually
from tests.suites.blob_store import BlobStoreSuite, put
from tests.suites.bytes_of import pattern, read
from tests.suites.maps_of import fits

pytestmark = pytest.mark.s3

MiB = 1 << 20


class TestS3Blobs(BlobStoreSuite):
    @pytest.fixture
    def store(self, s3_store: S3Store) -> BlobStore:
        return s3_store


async def objects(store: S3Store, prefix: str = "") -> Sequence[str]:
    return [listed.key async for page in store.control.list(prefix) for listed in page.objects]


SIZES = [0, 1, INLINE, INLINE + 1, CHUNK, 3 * CHUNK + 17, 8 * MiB, 8 * MiB + 1, 19 * MiB + 5]


@pytest.mark.parametrize("size", SIZES)
async def test_what_goes_in_comes_out(s3_store: S3Store, s3_other: S3Store, size: int) -> None:
    data = pattern(size)
    digest = await put(s3_store, data)
    assert digest == Digest.of(data)
    assert (await s3_other.stat(digest)).size == size
    assert await read(s3_other, digest) == data  # every chunk checked
    assert await read(s3_other, digest) == data  # streamed as it comes
    assert fits(await s3_other.chunk_map(digest), data)
    assert not await objects(s3_store, "pending/")


async def test_sha512(s3_store: S3Store) -> None:
    for size in (100, INLINE + 1, 9 * MiB):
        data = pattern(size)
        digest = await put(s3_store, data, "sha512")
        assert digest == Digest.of(data, "sha512")
        assert await read(s3_store, digest) == data


async def test_spans(s3_store: S3Store, s3_other: S3Store) -> None:
    data = pattern(5 * CHUNK + 100)
    digest = await put(s3_store, data)
    spans = [
        Span(0, 1),
        Span(CHUNK - 1, CHUNK + 1),
        Span(CHUNK, 2 * CHUNK),
        Span(2 * CHUNK + 5, 2 * CHUNK + 5),
        Span(len(data) - 7, TO_END),
        Span(3 * CHUNK + 9, 5 * CHUNK + 3),
        Span(0, TO_END),
    ]
    for _ in range(2):
        for span in spans:
            assert await read(s3_other, digest, span) == data[span.start : span.stop]
    for start in (len(data), len(data) + 1):
        with pytest.raises(SpanUnsatisfiable):
            async with s3_other.open(digest, Span(start, TO_END)):
                pass


@pytest.mark.parametrize("size", [100, INLINE + 1, 9 * MiB])
async def test_a_wrong_digest_leaves_nothing(s3_store: S3Store, size: int) -> None:
    wrong = Digest.of(b"another")
    with pytest.raises(DigestInvalid):
        async with s3_store.ingest(wrong, size) as ingest:
            await ingest.write(pattern(size))
            await ingest.commit(wrong)
    assert not await objects(s3_store)
    assert [p async for p in s3_store.control.pending()] == []


@pytest.mark.parametrize("size", [100, INLINE + 1, 9 * MiB, 17 * MiB])
async def test_leaving_without_commit_leaves_nothing(s3_store: S3Store, size: int) -> None:
    with pytest.raises(RuntimeError):
        async with s3_store.ingest() as ingest:
            await ingest.write(pattern(size))
            assert ingest.offset == size
            raise RuntimeError("the client went away")
    assert not await objects(s3_store)
    assert [p async for p in s3_store.control.pending()] == []


async def test_two_hosts_bring_the_same_blob(s3_store: S3Store, s3_other: S3Store) -> None:
    data = pattern(9 * MiB)
    digests = await asyncio.gather(*(put(store, data) for store in (s3_store, s3_other) * 2))
    assert set(digests) == {Digest.of(data)}
    await s3_store.sweep(-5)
    kept = await objects(s3_store, "data/")
    assert len([name for name in kept if not name.endswith(".map")]) == 1
    assert len(kept) == 2
    assert await objects(s3_store, "pending/") == []
    assert await read(s3_store, digests[0]) == await read(s3_other, digests[0]) == data


async def test_delete_takes_everything(s3_store: S3Store, s3_other: S3Store) -> None:
    small, large = await put(s3_store, b"small"), await put(s3_store, pattern(18 * MiB))
    await s3_other.delete(small)
    await s3_other.delete(large)
    with pytest.raises(BlobUnknown):
        await s3_other.stat(large)
    assert (await s3_store.sweep(-5)).dropped == 1
    assert not await objects(s3_store)
    assert await put(s3_store, b"small") == small
    assert await read(s3_other, small) == b"small"


async def test_an_entry_is_believed_for_some_seconds(
    s3_store: S3Store, s3_other: S3Store, s3_settings: S3Settings
) -> None:
    data = pattern(INLINE + 1)
    digest = await put(s3_store, data)
    now = 0.0
    s3_store = S3Store(s3_store.client, s3_store.control, s3_settings, lambda: now)
    await s3_store.stat(digest)
    await s3_other.delete(digest)
    now = FRESH - 1
    assert await read(s3_store, digest) == data, "lingering"
    now = FRESH + 1
    with pytest.raises(BlobUnknown):
        await s3_store.stat(digest)
    with pytest.raises(BlobUnknown):
        await read(s3_store, digest)


async def test_blobs_lists_every_one(s3_store: S3Store) -> None:
    bodies = [f"{number}".encode() for number in range(250)]
    await asyncio.gather(*(put(s3_store, body) for body in bodies))
    found = [info async for info in s3_store.blobs()]
    assert {(info.digest, info.size) for info in found} == {(Digest.of(b), len(b)) for b in bodies}
    assert len(found) == len(bodies)
    await s3_store.delete_many([Digest.of(b) for b in bodies] + [Digest.of(b"never")])
    assert [info async for info in s3_store.blobs()] == []


async def test_a_flipped_bit_never_leaves(s3_store: S3Store, s3_other: S3Store) -> None:
    data = pattern(4 * CHUNK)
    digest = await put(s3_store, data)
    entry = s3_store.entries.get(digest)
    assert entry is not None
    rotten = bytearray(data)
    rotten[2 * CHUNK + 5] ^= 1
    await s3_store.client.put(data_key(entry.entry.name), bytes(rotten))
    got = bytearray()
    with pytest.raises(StoreBroken, match="chunk 2"):
        async with s3_other.open(digest) as reading:
            async for piece in reading.pieces():
                got += piece
    assert bytes(got) == data[: 2 * CHUNK]
    with pytest.raises(StoreBroken, match="chunk 2"):
        await read(s3_other, digest, Span(2 * CHUNK + 100, 2 * CHUNK + 101))
    assert await read(s3_other, digest, Span(3 * CHUNK, TO_END)) == data[3 * CHUNK :]


async def test_a_blob_whose_bytes_are_lost_can_be_brought_again(s3_store: S3Store, s3_other: S3Store) -> None:
    data = pattern(INLINE + 1)
    digest = await put(s3_store, data)
    await s3_store.control.delete(await objects(s3_store, "data/"))
    assert await put(s3_other, data) == digest
    assert await read(s3_other, digest) == data


async def test_the_sweep_drops_what_nobody_committed(s3_store: S3Store) -> None:
    kept = await put(s3_store, pattern(INLINE + 1))
    await s3_store.client.put("data/lost", b"x")
    await s3_store.client.put("pending/lost", str(Digest.of(b"x")).encode())
    known = s3_store.entries.get(kept)
    assert known is not None
    await s3_store.client.put(f"pending/{known.entry.name}", str(kept).encode())
    await s3_store.control.begin("data/unended")
    assert (await s3_store.sweep(3600)).dropped == 0
    swept = await s3_store.sweep(-5)
    assert (swept.cleared, swept.dropped, swept.aborted) == (1, 1, 0)
    assert (await s3_store.sweep(-100_000)).aborted == 1
    assert await objects(s3_store, "data/") == [data_key(known.entry.name)]
    assert await objects(s3_store, "pending/") == []
    assert (await s3_store.sweep(-5)) == type(swept)()


async def test_redirects_lead_to_the_very_bytes(s3_settings: S3Settings) -> None:
    import aiohttp

    store = await S3Store.start(replace(s3_settings, redirect="blobs", redirect_min=100_000))
    try:
        data = pattern(2 * CHUNK)
        digest = await put(store, data)
        async with store.open(digest) as reading:
            assert reading.address is not None
            async with aiohttp.ClientSession() as session:
                async with session.get(reading.address, headers={"Range": "bytes=5-9"}) as answer:
                    assert (answer.status, await answer.read()) == (206, data[5:10])
        async with store.open(digest, Span(0, 99_999)) as reading:
            assert reading.address is None
    finally:
        await store.close()


async def address(store: S3Store, digest: Digest) -> str:
    """Where a client is sent; nowhere where the blob is gone."""
    try:
        async with store.open(digest) as reading:
            assert reading.address is not None
            return reading.address
    except BlobUnknown:
        return ""


async def test_no_client_is_sent_to_what_a_rule_of_the_bucket_removed(s3_settings: S3Settings) -> None:
    settings = replace(s3_settings, redirect="blobs", redirect_min=100_000)
    store, other = await S3Store.start(settings), await S3Store.start(settings)
    try:
        data = pattern(2 * CHUNK)
        digest = await put(store, data)
        lost = (await store.known(digest)).entry.name
        assert lost in await address(store, digest) and lost in await address(other, digest)
        await store.client.delete(data_key(lost))
        assert await address(store, digest) == ""
        assert await store.has(digest) is False, "its entry went too"
        assert await put(store, data) == digest
        name = (await store.known(digest)).entry.name
        for each in (store, other, store, other):
            assert name in await address(each, digest), "what came in its place, and stays"
    finally:
        await store.close()
        await other.close()


async def test_without_the_bucket_it_does_not_start(s3_settings: S3Settings) -> None:
    with pytest.raises(StoreBroken, match="nowhere"):
        await S3Store.start(replace(s3_settings, bucket="nowhere"))
    with pytest.raises(StoreBroken):
        await S3Store.start(replace(s3_settings, endpoint="http://127.0.0.1:1"))


class Slow:
    """A bucket where no part arrives before it may."""

    def __init__(self, client: S3Client) -> None:
        self._client = client
        self.may_arrive = asyncio.Event()

    async def put_part(self, *given: Any) -> str:  # Any: as `put_part` takes them
        await self.may_arrive.wait()
        return await self._client.put_part(*given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


async def test_of_a_large_part_no_more_is_ahead_than_of_a_small_one(s3_store: S3Store) -> None:
    """What is in memory of a stream: the part on its way, and `AHEAD`."""
    slow = Slow(s3_store.client)
    intake = Intake.begin(slow, s3_store.control, "sha256", LARGEST)  # type: ignore[arg-type]
    large = intake.multipart.room
    assert large > AHEAD

    async def feed() -> None:
        rest = memoryview(bytes(large))
        while rest:
            rest = await intake.take(rest)

    await feed()
    assert intake.part.size == 0
    second = asyncio.create_task(feed())
    await eventually(lambda: intake.part.size >= AHEAD, "the part to be full")
    await asyncio.sleep(0.1)
    assert (intake.part.size, second.done()) == (AHEAD, False)
    slow.may_arrive.set()
    await second
    await intake.multipart.arrived()
    assert [part.number for part in intake.multipart.parts] == [1, 2]
    await intake.multipart.abort()
