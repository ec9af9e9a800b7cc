"""Chunk maps in a real bucket: written in version 2, read in 1 and 2, no more of one than is needed."""

import hashlib
import json
import random
import time
import uuid

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, PAGE, ChunkMap, ChunkMapInvalid, count
from registry_mesh.chunks.map_format import encode, encode_old, root
from registry_mesh.chunks.sums import NEWEST, SUM, SumAlgorithm
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.uploads import Owner
from registry_mesh.stores import resumable_hash
from registry_mesh.stores.bucket.entry import MAP_INLINE, Entry, data_key, entry_key, map_key
from registry_mesh.stores.bucket.inspection import BucketInspection
from registry_mesh.stores.bucket.maps import read_map
from registry_mesh.stores.bucket.session import Session, replay
from registry_mesh.stores.bucket.session_log import record_key
from registry_mesh.stores.bucket.store import S3Store
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read
from tests.suites.chunk_maps import excerpt
from tests.suites.maps_of import fits, map_of

pytestmark = pytest.mark.s3

GiB = 1 << 30
FEW, MANY = MAP_INLINE * CHUNK, MAP_INLINE * CHUNK + 1


async def old(store: S3Store, data: bytes) -> Digest:
    """A blob as an earlier version has stored it."""
    digest, name = Digest.of(data), uuid.uuid4().hex
    chunk_map = map_of(data, SumAlgorithm.SHA256)
    encoded = encode_old(chunk_map)
    assert encoded is not None
    line: dict[str, object] = {"version": 1, "size": len(data), "at": 1.0, "data": name}
    if count(len(data)) <= 16:
        line["sums"] = chunk_map.sums.hex()
    else:
        line["map"] = hashlib.sha256(encoded).hexdigest()
        await store.client.put(map_key(name), encoded)
    await store.client.put(data_key(name), data)
    await store.client.put(entry_key(digest), json.dumps(line).encode() + b"\n")
    return digest


@pytest.mark.parametrize("size", [1, CHUNK + 1, FEW, MANY])
async def test_maps_are_written_in_version_2(s3_store: S3Store, s3_other: S3Store, size: int) -> None:
    data = pattern(size)
    digest = await put(s3_store, data)
    found = await s3_other.chunk_map(digest)
    assert fits(found, data) and found is not None and found.algorithm is NEWEST
    entry = (await s3_other.look(digest)).entry
    assert not entry.map_sum
    if size > FEW:
        kept = await s3_store.client.get(map_key(entry.name))
        assert kept == encode(map_of(data), digest) and entry.root == root(map_of(data), digest)


@pytest.mark.parametrize("size", [CHUNK + 1, FEW, MANY])
async def test_maps_of_version_1_are_read(s3_store: S3Store, s3_other: S3Store, size: int) -> None:
    data = pattern(size)
    digest = await old(s3_store, data)
    for store in (s3_store, s3_other):
        found = await store.chunk_map(digest, Span(0, 1))
        assert fits(found, data) and found is not None and found.algorithm is SumAlgorithm.SHA256
        assert await read(store, digest) == data
    assert [step.rotten async for step in BucketInspection(s3_store).inspect(digest)][-1] == ()
    assert await read(s3_other, digest) == data


async def test_a_map_of_version_1_is_made_again(s3_store: S3Store, s3_other: S3Store) -> None:
    data = pattern(MANY)
    digest = await old(s3_store, data)
    await s3_store.control.delete([map_key((await s3_store.look(digest)).entry.name)])
    assert [step.rotten async for step in BucketInspection(s3_other).inspect(digest)][-1] == ()
    assert await read(s3_store, digest) == data


async def huge(store: S3Store, size: int) -> tuple[Digest, ChunkMap]:
    """A layer so large that its map is read in parts, of which the bucket has the map alone."""
    sums = random.Random(1).randbytes(count(size) * SUM)
    chunk_map, digest = ChunkMap.of_sums(size, sums, NEWEST), Digest.of(b"huge")
    entry = Entry(digest, size, time.time(), uuid.uuid4().hex).mapped(chunk_map)
    await store.client.put(map_key(entry.name), encode(chunk_map, digest))
    await store.client.put(entry_key(digest), entry.encode())
    return digest, chunk_map


async def test_a_range_of_a_huge_layer_needs_a_page_of_its_map(s3_store: S3Store) -> None:
    digest, whole = await huge(s3_store, 64 * GiB)
    for start in (0, 17 * GiB + 5, 64 * GiB - 65536):
        s3_store.unlearn(digest)
        span = Span(start, start + 65536)
        found = await s3_store.chunk_map(digest, span)
        assert found is not None and found == excerpt(whole, span)
        assert len(encode(found, digest, span)) <= 65536, "as much was read"
    more = await s3_store.chunk_map(digest, Span(0, PAGE * CHUNK + 1))
    assert more is not None and set(more.pages) == {0, 1, 1023}, "what is known is kept"
    assert await s3_store.chunk_map(digest) == whole


@pytest.mark.parametrize("at", [8, 100, 10_000, -1], ids=["version", "head", "page", "last"])
async def test_a_map_that_is_not_the_one_named_is_refused(s3_store: S3Store, at: int) -> None:
    digest, _ = await huge(s3_store, 4 * GiB)
    entry = (await s3_store.look(digest)).entry
    encoded = bytearray(await s3_store.client.get(map_key(entry.name)) or b"")
    encoded[at] ^= 1
    await s3_store.client.put(map_key(entry.name), bytes(encoded))
    span = Span(entry.size - 1, entry.size) if at < 0 else Span(0, 1)
    with pytest.raises(ChunkMapInvalid):
        await read_map(s3_store.client, entry, span)
    with pytest.raises(StoreBroken):
        await s3_store.chunk_map(digest, span)


async def test_an_upload_that_an_earlier_version_began_is_gone_on_with(s3_store: S3Store) -> None:
    """Its chunks are summed to the end as they were at its beginning."""
    data, owner, id = pattern(MANY), Owner(RepositoryName("atlas/athena"), "alice"), uuid.uuid4().hex
    state = resumable_hash.new("sha256").state() or b""
    session = Session(
        owner, "sha256", uuid.uuid4().hex, time.time(), hash=state, summed_by=SumAlgorithm.SHA256
    )
    await s3_store.client.create(record_key(id, 0), session.encode(None))
    for start, stop in ((0, CHUNK + 5), (CHUNK + 5, len(data))):
        async with s3_store.uploads().append(owner, id, start) as ingest:
            await ingest.write(data[start:stop])
    async with s3_store.uploads().append(owner, id, None) as ingest:
        await ingest.commit(Digest.of(data))
    found = await s3_store.chunk_map(Digest.of(data))
    assert fits(found, data) and found is not None and found.algorithm is SumAlgorithm.SHA256
    assert await read(s3_store, Digest.of(data)) == data


def test_an_upload_that_is_summed_by_what_is_not_known_is_not_gone_on_with() -> None:
    owner = Owner(RepositoryName("atlas/athena"), "alice")
    record = Session(owner, "sha256", "name", 1.0).encode(None)
    for name in (b"blake3", b"sums"):
        record = record.replace(b'"' + name + b'"', b'"another"')
    with pytest.raises(StoreBroken, match="no sums of chunks that are known"):
        replay(None, 0, [record])
