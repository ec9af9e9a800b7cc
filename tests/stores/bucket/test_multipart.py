"""Parts of one size for any length that a blob may have, and what does not fit is told before a byte is taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.failures import StoreFull
from registry_mesh.ports.uploads import Owner, Uploads
from registry_mesh.stores.bucket.multipart import (
    LARGEST,
    LEAST_PART,
    MOST_PART,
    MOST_PARTS,
    SMALLEST_PART,
    SPARE_PARTS,
    part_size,
    part_size_of,
)
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.store import S3Store
from tests.simulators.gateway import Pass, gateway
from tests.suites.bytes_of import pattern

OWNER = Owner(RepositoryName("atlas/athena"), "alice")
GiB, MiB = 1 << 30, 1 << 20


@given(st.integers(0, LARGEST))
def test_any_length_fits_into_parts_of_one_size(size: int) -> None:
    each = part_size(size)
    assert size <= each * MOST_PARTS
    assert LEAST_PART <= each <= MOST_PART
    assert each % CHUNK == 0


@given(st.integers(LARGEST + 1, 6 << 40))
def test_what_is_longer_is_refused(size: int) -> None:
    with pytest.raises(StoreFull, match="625 GiB"):
        part_size(size)


@given(st.integers(0, LARGEST))
def test_of_a_length_that_is_known_parts_are_as_small_as_may_be(size: int) -> None:
    each = part_size_of(size)
    assert SMALLEST_PART <= each <= MOST_PART
    assert size <= each * MOST_PARTS
    assert each == MOST_PART or size <= each * (MOST_PARTS - SPARE_PARTS)
    assert each in {SMALLEST_PART, MOST_PART} or size > (each - MiB) * (MOST_PARTS - SPARE_PARTS)
    assert each % CHUNK == 0


@pytest.mark.s3
async def test_a_blob_that_a_bucket_does_not_take_is_refused_before_a_session_is_begun(
    s3_store: S3Store,
) -> None:
    with pytest.raises(StoreFull, match="625 GiB"):
        await s3_store.uploads().begin(OWNER, "sha256", LARGEST + 1)


async def add(uploads: Uploads, id: str, data: bytes, size: int | None = None) -> None:
    async with uploads.append(OWNER, id, None, size) as ingest:
        for at in range(0, len(data), MiB):
            await ingest.write(data[at : at + MiB])


@pytest.mark.s3
async def test_limits_are_told_before_a_byte_is_taken(s3_store: S3Store) -> None:
    uploads = s3_store.uploads()
    id = (await uploads.begin(OWNER, "sha256")).id
    with pytest.raises(StoreFull, match="625 GiB"):
        await add(uploads, id, b"never", 5 << 40)
    await add(uploads, id, pattern(17 * MiB))
    with pytest.raises(StoreFull, match="states the length of the whole"):
        await add(uploads, id, b"never", 157 * GiB)
    assert (await uploads.status(OWNER, id)).offset == 17 * MiB
    await add(uploads, id, b"more", 100 * GiB)
    with pytest.raises(StoreFull, match="625 GiB"):
        async with s3_store.ingest(size=5 << 40):
            pass


@pytest.mark.s3
@pytest.mark.parametrize(
    ("whole", "parts"), [(None, [16, 16, 5]), (37 * MiB, [5] * 7 + [2])], ids=["unknown", "known"]
)
async def test_parts_are_of_one_size_however_bytes_come(
    whole: int | None, parts: list[int], s3_settings: S3Settings
) -> None:
    sizes: dict[str, int] = {}

    async def measured(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if "partNumber" in request.query:
            sizes[request.query["partNumber"]] = len(body)
        return await ask()

    assert s3_settings.endpoint
    async with gateway(s3_settings.endpoint) as front:
        store = await S3Store.start(replace(s3_settings, endpoint=front.url))
        front.ill = measured
        uploads, data = store.uploads(), pattern(37 * MiB)
        id = (await uploads.begin(OWNER, "sha256", whole)).id
        for start, stop in ((0, 5), (5, 12), (12, 18), (18, 34), (34, 37)):
            await add(uploads, id, data[start * MiB : stop * MiB])
        async with uploads.append(OWNER, id, None) as ingest:
            await ingest.commit(Digest.of(data))
        await store.close()
    in_order = [sizes[number] for number in sorted(sizes, key=int)]
    assert in_order == [part * MiB for part in parts]


@pytest.mark.s3
async def test_a_large_length_that_is_told_makes_large_parts(s3_store: S3Store) -> None:
    uploads = s3_store.uploads()
    id = (await uploads.begin(OWNER, "sha256")).id
    await add(uploads, id, b"the first of many", 600 * GiB)
    await add(uploads, id, b"the second", 20 * GiB)
    with pytest.raises(StoreFull):
        await add(uploads, id, b"never", 40 * GiB + 600 * GiB)
