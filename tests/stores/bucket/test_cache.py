"""A site's cache on a real bucket, with a spool on a disk."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.ports.blobs import FileSlice
from registry_mesh.ports.failures import SourceLied, StoreBroken
from registry_mesh.stores.bucket.cache import S3CacheStore
from registry_mesh.stores.bucket.entry import KnownEntry, data_key
from registry_mesh.stores.bucket.settings import S3Settings, SpoolSettings
from registry_mesh.stores.bucket.store import S3Store
from registry_mesh.stores.disk.store import DiskStore
from tests.eventually import eventually
from tests.simulators.gateway import Gateway, Pass, error, well
from tests.suites.blob_store import BlobStoreSuite, put
from tests.suites.bytes_of import pattern, read
from tests.suites.cache_store import DATA, DIGEST, SIZE, CacheStoreSuite, fill, map_of
from tests.suites.maps_of import fits

pytestmark = pytest.mark.s3


@pytest.fixture
async def store(s3_settings: S3Settings, tmp_path: Path) -> AsyncIterator[S3CacheStore]:
    store = await S3CacheStore.start(replace(s3_settings, spool=SpoolSettings(tmp_path / "one")))
    yield store
    await store.close()


@pytest.fixture
async def neighbour(s3_settings: S3Settings, tmp_path: Path) -> AsyncIterator[S3CacheStore]:
    """Another site on the same bucket."""
    store = await S3CacheStore.start(replace(s3_settings, spool=SpoolSettings(tmp_path / "two")))
    yield store
    await store.close()


class TestS3CacheBlobs(BlobStoreSuite):
    pass


class TestS3CacheHolds(CacheStoreSuite):
    pass


async def test_what_was_filled_goes_to_the_bucket(store: S3CacheStore, neighbour: S3CacheStore) -> None:
    async with store.hold(DIGEST, SIZE) as hold:
        await fill(hold, range(5))
        await hold.commit(map_of(DATA))
        async with store.open(DIGEST) as reading:
            assert isinstance(await anext(reading.pieces()), FileSlice), "readable before it is sent"
    await store.settled()
    assert await neighbour.stat(DIGEST) == hold.info
    assert await neighbour.held_size(DIGEST) == SIZE
    assert await read(neighbour, DIGEST) == DATA
    await store.spool.delete(DIGEST)
    assert await read(store, DIGEST) == DATA
    assert fits(await store.chunk_map(DIGEST), DATA)
    await store.delete(DIGEST)
    with pytest.raises(BlobUnknown):
        await store.stat(DIGEST)


async def test_two_sites_fill_the_same_blob(store: S3CacheStore, neighbour: S3CacheStore) -> None:
    for site in (store, neighbour):
        async with site.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(5))
            await hold.commit(None)
    await asyncio.gather(store.settled(), neighbour.settled())
    await store.bucket.sweep(-5)
    keys = [one.key async for page in store.bucket.control.list("data/") for one in page.objects]
    assert len(keys) == 1
    for site in (store, neighbour):
        await site.spool.delete(DIGEST)
        assert await read(site, DIGEST) == DATA


async def test_what_a_process_left_is_sent_by_the_next(
    store: S3CacheStore, neighbour: S3CacheStore, s3_settings: S3Settings, tmp_path: Path
) -> None:
    digest = await put(store.spool, DATA)  # complete, and never queued
    again = await S3CacheStore.start(replace(s3_settings, spool=SpoolSettings(tmp_path / "one")))
    try:
        await eventually(lambda: neighbour.bucket.has(digest), "the blob in the bucket", pause=0.05)
        assert await read(neighbour, digest) == DATA
    finally:
        await again.close()


async def refuses(request: web.Request, body: bytes, ask: Pass) -> web.Response:
    return error(403, "AccessDenied")


async def test_what_a_process_left_is_sent_though_the_bucket_refuses_at_first(
    store: S3CacheStore, neighbour: S3CacheStore, front: Gateway, s3_settings: S3Settings, tmp_path: Path
) -> None:
    digest = await put(store.spool, DATA)  # complete, and never queued
    behind = replace(s3_settings, endpoint=front.url)
    again = S3CacheStore(await S3Store.start(behind), await DiskStore.start(tmp_path / "one", evict=True))
    front.ill, before = refuses, len(front.seen)
    again.begin()
    try:
        await eventually(lambda: len(front.seen) > before, "it asks whether the bucket has it")
        front.ill = well
        await eventually(lambda: neighbour.bucket.has(digest), "it is sent")
    finally:
        await again.close()


async def test_an_upload_that_the_bucket_refuses_is_told_once(
    front: Gateway, s3_settings: S3Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        return [each for each in caplog.messages if "stays in the spool" in each]

    behind = replace(s3_settings, endpoint=front.url, spool=SpoolSettings(tmp_path / "one"))
    store = await S3CacheStore.start(behind)
    try:
        front.ill = refuses
        digests = [await put(store, pattern(size)) for size in (1, 2, 3)]
        await eventually(told, "it is told")
        assert any(str(each) in told()[0] for each in digests) and "AccessDenied" in told()[0]
        front.ill = well
        await asyncio.wait_for(store.settled(), 30)
        assert len(told()) == 1, caplog.text
    finally:
        await store.close()


async def test_what_is_rotten_in_the_bucket_is_forgotten(
    store: S3CacheStore, neighbour: S3CacheStore
) -> None:
    data = pattern(3 * CHUNK)
    digest = await put(store, data)
    await store.settled()
    known = await store.bucket.known(digest)
    await store.bucket.client.put(data_key(known.entry.name), data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StoreBroken):
        await read(neighbour, digest)
    assert neighbour.rotten == 1
    with pytest.raises(BlobUnknown):
        await read(neighbour, digest)
    await put(neighbour, data)
    await neighbour.settled()
    assert await read(neighbour, digest) == data


@pytest.mark.parametrize("lost", [False, True])
async def test_what_somebody_had_wrong_is_looked_at_and_sent_anew(store: S3CacheStore, lost: bool) -> None:
    """Chunks that were right once are looked at too; what only came wrong stays."""
    data = pattern(3 * CHUNK)
    digest = await put(store, data)
    await store.settled()
    known = await store.bucket.known(digest)
    key = data_key(known.entry.name)
    assert await read(store.bucket, digest) == data

    async def rejected() -> KnownEntry:
        store.shared.reject(digest)
        await store.shared.settled()
        await store.settled()
        return await store.bucket.look(digest)

    assert (await rejected()).entry.name == known.entry.name
    if lost:
        await store.bucket.client.delete(key)
        with pytest.raises(SourceLied, match="not in the bucket"):
            await read(store.shared, digest)
    else:
        await store.bucket.client.put(key, data[:-1] + bytes([data[-1] ^ 1]))
    assert (await rejected()).entry.name != known.entry.name, "sent anew from the spool"
    assert store.rotten == 1
    assert await read(store.bucket, digest) == data


async def test_what_is_near_is_the_spool(store: S3CacheStore) -> None:
    digest = await put(store, DATA)
    await store.settled()
    assert await read(store.near, digest) == DATA
    await store.spool.delete(digest)
    assert (await store.near.stat(digest)).size == await store.near.held_size(digest) == SIZE
    assert fits(await store.near.chunk_map(digest), DATA)
    with pytest.raises(BlobUnknown):
        await read(store.near, digest)
    assert await read(store.shared, digest) == DATA


async def test_clients_are_redirected_where_the_bucket_is_known_to_have_it(
    s3_settings: S3Settings, tmp_path: Path
) -> None:
    settings = replace(s3_settings, redirect="blobs", spool=SpoolSettings(tmp_path / "one"))
    store = await S3CacheStore.start(settings)
    try:
        assert not store.redirects(DIGEST)
        digest = await put(store, DATA)
        await store.settled()
        assert store.redirects(digest)
        await store.delete(digest)
        assert not store.redirects(digest)
    finally:
        await store.close()


async def test_clients_do_not_wait_for_a_bucket_that_is_gone(store: S3CacheStore) -> None:
    store.bucket.client.base = "http://127.0.0.1:1/nothing"
    digest = await put(store, DATA)
    assert await read(store, digest) == DATA
    assert digest == Digest.of(DATA)
    assert "1 to send" in repr(store)
