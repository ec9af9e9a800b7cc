"""Upload sessions in a real bucket, gone on with by several hosts."""

import time

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import BlobUploadInvalid, BlobUploadUnknown, DigestInvalid
from registry_mesh.ports.uploads import Owner, Uploads
from registry_mesh.stores.bucket.lease_holder import process_name
from registry_mesh.stores.bucket.session_log import LEASE
from registry_mesh.stores.bucket.store import S3Store
from tests.suites.bytes_of import pattern, read
from tests.suites.maps_of import fits

pytestmark = pytest.mark.s3

MiB = 1 << 20
OWNER = Owner(RepositoryName("atlas/athena"), "alice")


async def send(uploads: Uploads, id: str, data: bytes, start: int | None = None) -> None:
    async with uploads.append(OWNER, id, start) as ingest:
        for at in range(0, len(data), 700_000):
            await ingest.write(data[at : at + 700_000])


async def commit(uploads: Uploads, id: str, expected: Digest) -> None:
    async with uploads.append(OWNER, id, None) as ingest:
        await ingest.commit(expected)


async def left_over(store: S3Store) -> list[str]:
    keys = [listed.key async for page in store.control.list("") for listed in page.objects]
    keys += [pending.key async for pending in store.control.pending()]
    return [key for key in keys if not key.startswith(("blobs/", "data/"))]


@pytest.mark.parametrize(
    ("size", "cuts"),
    [
        (0, []),
        (1000, [10, 500]),
        (3 * MiB, [1, MiB, 2 * MiB + 3]),
        (36 * MiB + 7, [8 * MiB, 16 * MiB, 16 * MiB + 1, 31 * MiB, 33 * MiB]),
    ],
)
async def test_hosts_take_turns(s3_store: S3Store, s3_other: S3Store, size: int, cuts: list[int]) -> None:
    data = pattern(size)
    hosts = [s3_store.uploads(), s3_other.uploads()]
    id = (await hosts[0].begin(OWNER, "sha256")).id
    for turn, (start, stop) in enumerate(zip([0, *cuts], [*cuts, size], strict=True)):
        await send(hosts[turn % 2], id, data[start:stop], start)
        assert (await hosts[(turn + 1) % 2].status(OWNER, id)).offset == stop
    digest = Digest.of(data)
    await commit(hosts[1], id, digest)
    assert await read(s3_other, digest) == data
    assert fits(await s3_store.chunk_map(digest), data)
    assert await left_over(s3_store) == []


async def test_an_append_that_went_silent_is_overtaken_and_told(s3_store: S3Store, s3_other: S3Store) -> None:
    data = pattern(19 * MiB)
    slow = s3_store.uploads()
    id = (await slow.begin(OWNER, "sha256")).id
    late = s3_other.uploads(wall=lambda: time.time() + LEASE + 1, patience=0.3)
    with pytest.raises(BlobUploadInvalid):
        async with slow.append(OWNER, id, 0) as ingest:
            await ingest.write(data[: 9 * MiB])
            with pytest.raises(BlobUploadInvalid):
                await send(s3_other.uploads(patience=0.3), id, b"x")
            await send(late, id, data[: 17 * MiB], 0)
            await ingest.write(b"wrong" * MiB)
    await commit_rest(s3_other.uploads(), id, data)
    assert await read(s3_store, Digest.of(data)) == data
    assert await left_over(s3_store) == []


async def commit_rest(uploads: Uploads, id: str, data: bytes) -> None:
    at = (await uploads.status(OWNER, id)).offset
    async with uploads.append(OWNER, id, at) as ingest:
        await ingest.write(data[at:])
        await ingest.commit(Digest.of(data))


def dead() -> str:
    """The name of a process of this machine that there cannot be."""
    return process_name(2**22 + 1)


async def test_a_process_that_died_is_overtaken_at_once(s3_store: S3Store, s3_other: S3Store) -> None:
    data = pattern(2 * MiB)
    uploads = s3_store.uploads()
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, data[:MiB])
    killed = s3_store.uploads(process=dead).append(OWNER, id, None)
    await (await killed.__aenter__()).write(data[MiB : MiB + 5])  # and not a word more
    await commit_rest(s3_other.uploads(), id, data)
    assert await read(s3_other, Digest.of(data)) == data


async def test_a_long_log_is_cut_short(s3_store: S3Store) -> None:
    data = pattern(200)
    uploads = s3_store.uploads()
    id = (await uploads.begin(OWNER, "sha256")).id
    for at in range(0, 200, 5):
        await send(uploads, id, data[at : at + 5], at)
    page = [listed.key async for page in s3_store.control.list(f"uploads/{id}/") for listed in page.objects]
    assert len(page) <= 64
    await commit(uploads, id, Digest.of(data))
    assert await read(s3_store, Digest.of(data)) == data
    assert await left_over(s3_store) == []


@pytest.mark.parametrize("size", [1000, 9 * MiB])
async def test_what_cannot_be_known_is_read_again(
    s3_store: S3Store, size: int, request: pytest.FixtureRequest
) -> None:
    """The digest's state is of no use here, or the algorithm is told at the end."""
    data = pattern(size)
    uploads = s3_store.uploads()
    first, second = [(await uploads.begin(OWNER, "sha256")).id for _ in range(2)]
    await send(uploads, first, data)
    await commit(uploads, first, Digest.of(data, "sha512"))
    assert await read(s3_store, Digest.of(data, "sha512")) == data
    await send(uploads, second, data)
    request.getfixturevalue("without_libcrypto")
    with pytest.raises(DigestInvalid):
        await commit(uploads, second, Digest.of(b"other"))
    with pytest.raises(BlobUploadUnknown):
        await uploads.status(OWNER, second)
    assert await left_over(s3_store) == []


async def test_nothing_of_an_expired_session_stays(s3_store: S3Store) -> None:
    now = 1000.0
    uploads = s3_store.uploads(lambda: now, expiry=100)
    id = (await uploads.begin(OWNER, "sha256")).id
    await send(uploads, id, pattern(9 * MiB))
    assert await uploads.sweep() == 0
    now += 101
    with pytest.raises(BlobUploadUnknown):
        await uploads.status(OWNER, id)
    assert await uploads.sweep() == 1
    assert [listed async for page in s3_store.control.list("") for listed in page.objects] == []
    assert await left_over(s3_store) == []


async def test_what_a_killed_append_had_sent_is_mostly_there(s3_store: S3Store, s3_other: S3Store) -> None:
    """It never left, so nothing was written down but between its parts."""
    data = pattern(70 * MiB)
    uploads = s3_store.uploads()
    id = (await uploads.begin(OWNER, "sha256")).id
    killed = s3_store.uploads(process=dead).append(OWNER, id, None)
    ingest = await killed.__aenter__()
    for start in range(0, len(data), MiB):
        await ingest.write(data[start : start + MiB])
        stands = (await s3_other.uploads().status(OWNER, id)).offset
        assert start - stands <= 32 * MiB
    await ingest.intake.multipart.stop()  # type: ignore[attr-defined]
    assert stands in (48 * MiB, 64 * MiB), "what has ended of the parts, of which the last may be on its way"
    await commit_rest(s3_other.uploads(), id, data)
    assert await read(s3_store, Digest.of(data)) == data
    assert fits(await s3_other.chunk_map(Digest.of(data)), data)
