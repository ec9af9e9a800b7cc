"""Parents that do not tell the size of a blob where they should."""

from __future__ import annotations

import gzip
import random

import pytest
from aiohttp import web

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import SourceDenied, SourceUnreadable
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.repositories import Repository
from registry_mesh.upstream.blob_answers import SMALL
from tests.simulators.registry import Answer, SimulatedRegistry

DATA = bytes(range(256)) * 400
NAMED = Digest.of(DATA)
PATH = f"/v2/team/app/blobs/{NAMED}"


def methods(parent: SimulatedRegistry) -> list[str]:
    return [method for method, path, _ in parent.asked if path.startswith("/v2/team")]


async def read(app: Repository, span: Span | None = None) -> bytes:
    async with app.blobs.open(NAMED, span) as reading:
        return b"".join([piece async for piece in in_memory(reading)])


def head_says(status: int) -> Answer:
    """A length of 0 where `status` is 200."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status) if request.method == "HEAD" else web.Response(body=DATA)

    return answer


async def in_chunks(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    if request.method == "GET":
        await response.write(DATA)
    return response


async def of_any_size(request: web.Request) -> web.StreamResponse:
    if "Range" not in request.headers:
        return await in_chunks(request)
    part = request.http_range
    start, stop = part.start or 0, min(part.stop or len(DATA), len(DATA))
    told = {"Content-Range": f"bytes {start}-{stop - 1}/*"}
    return web.Response(status=206, body=DATA[start:stop], headers=told)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 405, 501])
async def test_one_get_tells_the_size_and_is_remembered(
    parent: SimulatedRegistry, app: Repository, status: int
) -> None:
    parent.answers[PATH] = head_says(status)
    assert (await app.blobs.stat(NAMED)).size == len(DATA)
    assert (await app.blobs.stat(NAMED)).size == len(DATA)
    assert methods(parent) == ["HEAD", "GET", "GET"]


async def test_the_length_of_a_packed_body_is_not_the_size(
    parent: SimulatedRegistry, app: Repository
) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response(headers={"Content-Encoding": "gzip", "Content-Length": "77"})
        told = {"Content-Range": f"bytes 0-0/{len(DATA)}"}
        return web.Response(status=206, body=DATA[:1], headers=told)

    parent.answers[PATH] = answer
    assert (await app.blobs.stat(NAMED)).size == len(DATA)


async def test_what_get_says_no_to_is_not_remembered(parent: SimulatedRegistry, app: Repository) -> None:
    with pytest.raises(BlobUnknown):
        await app.blobs.stat(NAMED)
    parent.says(PATH, status=403)
    with pytest.raises(SourceDenied):
        await app.blobs.stat(NAMED)
    assert methods(parent) == ["HEAD", "GET", "HEAD", "GET"]


async def test_404_of_our_own_kind_is_final(parent: SimulatedRegistry, app: Repository) -> None:
    parent.says(PATH, status=404, headers={"Registry-Mesh": "1"})
    with pytest.raises(BlobUnknown):
        await app.blobs.stat(NAMED)
    assert methods(parent) == ["HEAD"]


@pytest.mark.parametrize("answer", [in_chunks, of_any_size])
async def test_a_size_that_nobody_tells_is_counted_once(
    parent: SimulatedRegistry, app: Repository, answer: Answer
) -> None:
    parent.answers[PATH] = answer
    assert await read(app) == DATA
    once = ["GET", "HEAD", *["GET"] * (2 if answer is in_chunks else 3)]
    assert methods(parent) == once
    assert (await app.blobs.stat(NAMED)).size == len(DATA)
    assert await read(app, Span(70_000, 70_010)) == DATA[70_000:70_010]
    assert methods(parent)[len(once) :] == ["GET"]


async def test_a_range_tells_the_size_that_the_whole_does_not(
    parent: SimulatedRegistry, app: Repository
) -> None:
    """As nginx does before a registry whose bodies it changes: nothing is read to be counted."""
    whole: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if "Range" in request.headers:
            part = request.http_range
            start, stop = part.start or 0, min(part.stop or len(DATA), len(DATA))
            told = {"Content-Range": f"bytes {start}-{stop - 1}/{len(DATA)}"}
            return web.Response(status=206, body=DATA[start:stop], headers=told)
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        if request.method == "GET":
            whole.append(0)
            for start in range(0, len(DATA), 1000):
                await response.write(DATA[start : start + 1000])
                whole[-1] += 1000
        return response

    parent.answers[PATH] = answer
    assert await read(app) == DATA
    assert methods(parent) == ["GET", "HEAD", "GET", "GET"]
    assert [fields.get("Range") for _, _, fields in parent.asked] == [None, None, "bytes=0-0", None]
    assert await read(app, Span(5, 10)) == DATA[5:10]
    assert (await app.blobs.stat(NAMED)).size == len(DATA)
    assert len(whole) == 2, "the first is left at its head, the second is the blob"


async def test_a_range_of_a_size_that_is_not_told(parent: SimulatedRegistry, app: Repository) -> None:
    parent.answers[PATH] = of_any_size
    assert await read(app, Span(0, 10)) == DATA[:10]
    assert await read(app, Span(len(DATA) - 5, len(DATA) + 5)) == DATA[-5:]


def compresses(data: bytes, label: str = "gzip") -> Answer:
    """As a proxy does that heeds neither what is asked for, nor ranges."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Encoding": label})
        response.enable_chunked_encoding()
        await response.prepare(request)
        if request.method == "GET":
            await response.write(data)
        return response

    return answer


@pytest.mark.parametrize("span", [None, Span(70_000, 70_010), Span(0, 1)])
@pytest.mark.parametrize(
    "sent", [gzip.compress(DATA, mtime=0), gzip.compress(DATA[:999]) + gzip.compress(DATA[999:]), DATA]
)
async def test_what_is_compressed_on_the_way_is_unpacked(
    parent: SimulatedRegistry, app: Repository, sent: bytes, span: Span | None
) -> None:
    parent.answers[PATH] = compresses(sent)
    assert (await app.blobs.stat(NAMED)).size == len(DATA)
    assert await read(app, span) == (DATA if span is None else DATA[span.start : span.stop])


async def test_a_layer_that_is_labelled_for_what_it_is_stays_as_it_is(
    parent: SimulatedRegistry, app: Repository
) -> None:
    layer = gzip.compress(DATA, mtime=0)
    digest = Digest.of(layer)
    parent.answers[f"/v2/team/app/blobs/{digest}"] = compresses(layer)
    async with app.blobs.open(digest) as reading:
        assert b"".join([piece async for piece in in_memory(reading)]) == layer


async def test_a_body_that_swells_beyond_reason_is_taken_as_it_came(
    parent: SimulatedRegistry, app: Repository
) -> None:
    bomb = gzip.compress(bytes(64 << 20))
    digest = Digest.of(bytes(64 << 20))
    parent.answers[f"/v2/team/app/blobs/{digest}"] = compresses(bomb)
    assert (await app.blobs.stat(digest)).size == len(bomb)


def sends_packed(data: bytes, *, head_tells: int | None) -> Answer:
    """With the length of what is sent. HEAD tells a size, without a label, where one is given."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD" and head_tells is not None:
            return web.Response(headers={"Content-Length": str(head_tells)})
        return web.Response(body=data, headers={"Content-Encoding": "gzip"})

    return answer


def packs_on_the_way(data: bytes) -> Answer:
    """As nginx does: HEAD tells the size, and a body comes in chunks."""
    packed = compresses(data)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": str(len(DATA))})
        return await packed(request)

    return answer


PACKED = gzip.compress(DATA, mtime=0)


@pytest.mark.parametrize("span", [None, Span(70_000, 70_010)])
@pytest.mark.parametrize(
    "answer",
    [
        packs_on_the_way(PACKED),
        packs_on_the_way(DATA),
        sends_packed(PACKED, head_tells=len(DATA)),
        sends_packed(PACKED, head_tells=None),
    ],
    ids=["in chunks", "a label alone", "with its length", "HEAD labelled too"],
)
async def test_what_is_compressed_on_the_way_is_unpacked_whatever_head_says(
    parent: SimulatedRegistry, app: Repository, answer: Answer, span: Span | None
) -> None:
    parent.answers[PATH] = answer
    assert await read(app, span) == (DATA if span is None else DATA[span.start : span.stop])
    assert (await app.blobs.stat(NAMED)).size == len(DATA)


def stored_beside_a_proxy(stored: bytes, sent: bytes) -> Answer:
    """A whole is `sent`, with a label, by HEAD too; ranges are of what is stored."""
    whole = sends_packed(sent, head_tells=None)

    async def answer(request: web.Request) -> web.StreamResponse:
        if "Range" not in request.headers:
            return await whole(request)
        start, stop = request.http_range.start or 0, request.http_range.stop or len(stored)
        told = {"Content-Range": f"bytes {start}-{stop - 1}/{len(stored)}", "Content-Encoding": "gzip"}
        return web.Response(status=206, body=stored[start:stop], headers=told)

    return answer


LARGE = random.Random(1).randbytes(SMALL + 1)


@pytest.mark.parametrize(
    "answer",
    [
        sends_packed(gzip.compress(LARGE, mtime=0), head_tells=None),
        stored_beside_a_proxy(LARGE, gzip.compress(LARGE, mtime=0)),
    ],
    ids=["without ranges", "ranges are not packed"],
)
async def test_a_large_blob_labelled_by_head_too_is_unpacked(
    parent: SimulatedRegistry, app: Repository, answer: Answer
) -> None:
    named = Digest.of(LARGE)
    parent.answers[f"/v2/team/app/blobs/{named}"] = answer
    for _ in range(2):
        async with app.blobs.open(named) as reading:
            assert b"".join([piece async for piece in in_memory(reading)]) == LARGE


async def test_a_large_layer_of_a_bucket_that_labels_it_comes_once(
    parent: SimulatedRegistry, app: Repository
) -> None:
    layer = gzip.compress(LARGE)
    named = Digest.of(layer)
    parent.answers[f"/v2/team/app/blobs/{named}"] = stored_beside_a_proxy(layer, layer)
    async with app.blobs.open(named) as reading:
        assert b"".join([piece async for piece in in_memory(reading)]) == layer
    assert methods(parent) == ["GET", "HEAD", "GET"], "the last is of one byte"


async def test_a_range_of_a_large_blob_labelled_by_head_too_is_of_what_has_the_digest(
    parent: SimulatedRegistry, app: Repository
) -> None:
    """Nothing proves a range: so the whole, which comes in its place, is read to its end first."""
    plain = random.Random(1).randbytes(SMALL + 1)
    named, span = Digest.of(plain), Span(100_000, 100_010)
    parent.answers[f"/v2/team/app/blobs/{named}"] = sends_packed(gzip.compress(plain), head_tells=None)
    async with app.blobs.open(named, span) as reading:
        assert b"".join([piece async for piece in in_memory(reading)]) == plain[100_000:100_010]


async def test_a_large_layer_labelled_for_what_it_is_comes_once(
    parent: SimulatedRegistry, app: Repository
) -> None:
    layer = gzip.compress(random.Random(1).randbytes(SMALL + 1))
    named = Digest.of(layer)
    parent.answers[f"/v2/team/app/blobs/{named}"] = sends_packed(layer, head_tells=len(layer))
    async with app.blobs.open(named) as reading:
        assert b"".join([piece async for piece in in_memory(reading)]) == layer
    assert methods(parent) == ["GET", "HEAD"]


async def test_a_web_page_tells_nothing_of_a_blob(parent: SimulatedRegistry, app: Repository) -> None:
    """Neither that it is there, nor how large it is: a range beyond a page's end was told to be beyond the blob's."""
    parent.says(PATH, body=b"<html>wait", content_type="text/html")
    with pytest.raises(SourceUnreadable, match="web page"):
        await app.blobs.stat(NAMED)
    for span in (Span(2, 5), Span(70_000, 70_010)):
        with pytest.raises(SourceUnreadable, match="web page"):
            await read(app, span)


async def test_a_blob_that_is_a_web_page_is_had(parent: SimulatedRegistry, app: Repository) -> None:
    async def answer(request: web.Request) -> web.Response:
        if "Range" not in request.headers:
            return web.Response(body=DATA, content_type="text/html")
        part = request.http_range
        start, stop = part.start or 0, min(part.stop or len(DATA), len(DATA))
        told = {"Content-Range": f"bytes {start}-{stop - 1}/{len(DATA)}", "Content-Type": "text/html"}
        return web.Response(status=206, body=DATA[start:stop], headers=told)

    parent.answers[PATH] = answer
    assert (await app.blobs.stat(NAMED)).size == len(DATA)
    assert await read(app) == DATA
    assert await read(app, Span(5, 10)) == DATA[5:10]
