"""A bucket behind a line that breaks: reads resume at the same byte, writes are tried again, nothing wrong leaves."""

import asyncio
import multiprocessing
import tracemalloc
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from hashlib import md5
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure, StoreBroken
from registry_mesh.stores.bucket.guard import Guard, GuardedRecords
from registry_mesh.stores.bucket.settings import S3Settings
from registry_mesh.stores.bucket.store import S3Store
from tests.eventually import eventually
from tests.simulators.bucket import Bucket
from tests.simulators.gateway import Gateway, Ill, Pass
from tests.simulators.link import Link
from tests.suites.blob_store import put
from tests.suites.bytes_of import pattern, read

pytestmark = pytest.mark.s3


@pytest.fixture
async def link(bucket: Bucket) -> AsyncIterator[Link]:
    url = URL(bucket.endpoint)
    assert url.host
    assert url.port
    async with Link(url.host, url.port) as link:
        yield link


@pytest.fixture
async def far(link: Link, s3_settings: S3Settings) -> AsyncIterator[S3Store]:
    """The same bucket, at the other end of the link."""
    store = await S3Store.start(replace(s3_settings, endpoint=link.url))
    yield store
    await store.close()


async def test_a_stream_that_breaks_off_goes_on_at_the_same_byte(
    s3_store: S3Store, far: S3Store, link: Link
) -> None:
    data = pattern(6 * MIB + 77)
    digest = await put(s3_store, data)
    link.conditions.cut_every = 1_500_000
    for _ in range(2):  # checked, then as it comes
        link.reset_counts()
        assert await read(far, digest) == data
        starts = [int(p.range[6:].split("-")[0]) for p in link.counts.passed if p.range]
        assert len(starts) > 3
        assert starts == sorted(starts)
    assert await read(far, digest, Span(MIB + 5, 5 * MIB)) == data[MIB + 5 : 5 * MIB]


async def test_a_stream_that_ends_without_a_byte_is_given_up(
    s3_store: S3Store, far: S3Store, link: Link
) -> None:
    digest = await put(s3_store, pattern(2 * CHUNK))
    await far.stat(digest)
    link.conditions.cut_every, link.conditions.refuse = 1000, True
    with pytest.raises(StoreBroken, match="broke off"):
        await read(far, digest)


@pytest.mark.parametrize("fault", [{"flip_at": CHUNK + 9}, {"wrong_content_range": True}])
async def test_wrong_bytes_and_wrong_ranges_do_not_leave(
    s3_store: S3Store, far: S3Store, link: Link, fault: dict[str, Any]
) -> None:
    data = pattern(3 * CHUNK)
    digest = await put(s3_store, data)
    for name, value in fault.items():
        setattr(link.conditions, name, value)
    got = bytearray()
    with pytest.raises(Failure):
        async with far.open(digest) as reading:
            async for piece in reading.pieces():
                assert isinstance(piece, bytes)
                got += piece
    assert data.startswith(got)
    assert len(got) <= CHUNK


async def test_a_server_that_ignores_ranges_is_not_believed(
    s3_store: S3Store, far: S3Store, link: Link
) -> None:
    data = pattern(2 * CHUNK)
    digest = await put(s3_store, data)
    link.conditions.ignore_ranges = True
    with pytest.raises(Failure):
        await read(far, digest, Span(CHUNK, CHUNK + 1))
    assert await read(far, digest) == data


async def test_a_server_that_only_refuses_is_broken(far: S3Store, link: Link) -> None:
    link.conditions.status = 503
    with pytest.raises(StoreBroken, match="503"):
        await far.stat(Digest.of(b"x"))
    assert link.counts.requests >= 5
    with pytest.raises(StoreBroken):
        await far.records.children("")
    link.conditions.status = 403
    with pytest.raises(StoreBroken, match="403"):
        await far.records.get("a")


async def test_an_upload_survives_a_server_that_refuses_now_and_then(far: S3Store) -> None:
    once = far.client._once
    calls = 0

    async def often(*request: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = await once(*request)
        if calls % 2:
            raise aiohttp.ServerDisconnectedError  # heard and done, and the answer lost
        return answer

    far.client._once = often  # type: ignore[method-assign]
    data = pattern(17 * CHUNK)
    digest = await put(far, data)
    assert digest == Digest.of(data)
    assert await read(far, digest) == data
    assert await far.records.create("won/1", b"mine"), "an earlier try of ours had won"
    assert not await far.records.create("won/1", b"mine")


def without(header: str, method: str) -> Ill:
    """Answers to `method` lack a header that S3 promises."""

    async def answer(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        given = await ask()
        if request.method == method:
            given.headers.popall(header, None)
        return given

    return answer


async def test_an_answer_without_the_header_that_is_needed_is_a_fault_of_the_store(
    front: Gateway, s3_settings: S3Settings
) -> None:
    store = await S3Store.start(replace(s3_settings, endpoint=front.url))
    try:
        upload = await store.control.begin("parts")
        front.ill = without("ETag", "PUT")
        with pytest.raises(StoreBroken, match="PUT part 1 of parts: no ETag"):
            await store.client.put_part("parts", upload, 1, [b"x"], md5(b"x").digest())
    finally:
        await store.close()


async def test_memory_of_a_stream_is_bounded(s3_settings: S3Settings) -> None:
    """In a process of its own: what tests before this one left running would count, too."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        peak = await asyncio.get_running_loop().run_in_executor(alone, _peak, s3_settings)
    assert peak < 32 * MIB, "a third of what passes, however much that is"


def _peak(settings: S3Settings) -> int:
    """The most bytes that this process had at once while 96 MiB went into a store and came back."""
    return asyncio.run(_pass_through(settings))


async def _pass_through(settings: S3Settings) -> int:
    store, block, pieces = await S3Store.start(settings), pattern(MIB), 96
    tracemalloc.start()
    try:
        async with store.ingest() as ingest:
            for number in range(pieces):
                await ingest.write(number.to_bytes(8, "big") + block[8:])
            digest = (await ingest.commit()).digest
        got = 0
        async with store.open(digest) as reading:
            async for piece in reading.pieces():
                got += len(piece)
        assert got == pieces * MIB
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        await store.close()


async def test_records_of_a_bucket_that_hangs_are_given_up_in_each_way_of_asking(
    far: S3Store, link: Link
) -> None:
    await far.records.put("of/one", b"1")
    link.conditions.hang = True

    async def walk(records: GuardedRecords) -> list[str]:
        return [key async for key in records.walk("of/")]

    asked = (
        lambda records: records.get("of/one"),
        lambda records: records.put("of/two", b"2"),
        lambda records: records.children("of/"),
        walk,
    )
    async with asyncio.timeout(30):  # the connection itself has a minute, five times
        ends = await asyncio.gather(
            *(ask(GuardedRecords(far.records, Guard())) for ask in asked), return_exceptions=True
        )
    for end in ends:
        assert isinstance(end, StoreBroken) and "not answered" in str(end)


async def test_a_request_that_brings_no_byte_is_made_again_after_the_timeout(
    link: Link, s3_settings: S3Settings
) -> None:
    store = await S3Store.start(replace(s3_settings, endpoint=link.url, timeout=0.5))
    try:
        data = pattern(MIB)
        digest = await put(store, data)
        await store.records.put("of/one", b"1")
        for ask in (lambda: store.records.get("of/one"), lambda: read(store, digest)):
            link.reset_counts()
            link.conditions.hang = True
            asked = asyncio.ensure_future(ask())
            await eventually(lambda: link.counts.requests, "the request")
            link.conditions.hang = False
            async with asyncio.timeout(20):  # a minute, else
                assert await asked in (b"1", data)
    finally:
        await store.close()
