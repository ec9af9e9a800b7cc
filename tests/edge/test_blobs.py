"""Blobs over a socket."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Piece
from tests.edge.conftest import ADMIN, Edge, Start

SMALL = os.urandom(3000)
LARGE = os.urandom((5 << 20) + 17)
EMPTY = b""


@pytest.mark.parametrize("data", [EMPTY, SMALL, LARGE], ids=["empty", "small", "large"])
async def test_a_blob_comes_whole(edge: Edge, data: bytes) -> None:
    digest = await edge.shelf.put_blob(data)
    for _ in range(2):
        answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}")
        assert answer.status == 200
        assert answer.body == data
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["docker-content-digest"] == str(digest)
    assert answer.headers["etag"] == f'"{digest}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert "immutable" in answer.headers["cache-control"]
    head = await edge.ask("HEAD", f"/v2/team/app/blobs/{digest}")
    assert head.status == 200
    assert head.headers["content-length"] == str(len(data))
    assert head.body == b""


@pytest.mark.parametrize(
    ("given", "first", "stop"),
    [
        ("0-0", 0, 1),
        ("10-19", 10, 20),
        ("0-", 0, len(LARGE)),
        ("4000000-", 4_000_000, len(LARGE)),
        ("-5", len(LARGE) - 5, len(LARGE)),
        (f"{len(LARGE) - 1}-99999999999999999999999", len(LARGE) - 1, len(LARGE)),
        ("-99999999999", 0, len(LARGE)),
    ],
)
async def test_a_range(edge: Edge, given: str, first: int, stop: int) -> None:
    digest = await edge.shelf.put_blob(LARGE)
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range=f"bytes={given}")
    assert answer.status == 206
    assert answer.body == LARGE[first:stop]
    assert answer.headers["content-range"] == f"bytes {first}-{stop - 1}/{len(LARGE)}"
    assert answer.headers["content-length"] == str(stop - first)
    assert answer.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "given", ["3000-", "5000-10000", "500-0", "-0", "99999999999999999999-", "3000-,4000-"]
)
async def test_a_range_outside(edge: Edge, given: str) -> None:
    digest = await edge.shelf.put_blob(SMALL)
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range=f"bytes={given}")
    assert answer.status == 416
    assert answer.headers["content-range"] == "bytes */3000"


@pytest.mark.parametrize(
    "given", ["lines=0-1", "bytes=a-b", "bytes=", "bytes", "bytes=1-2,x", "bytes 0-1", "bytes=--1"]
)
async def test_a_range_to_be_ignored(edge: Edge, given: str) -> None:
    digest = await edge.shelf.put_blob(SMALL)
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range=given)
    assert answer.status == 200
    assert answer.body == SMALL


async def test_an_empty_blob_has_no_range_but_is_given(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(b"")
    for given in ("bytes=0-", "bytes=-5", "bytes=0-0,1-1"):
        answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range=given)
        assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


async def test_head_does_not_look_at_ranges(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(SMALL)
    answer = await edge.ask("HEAD", f"/v2/team/app/blobs/{digest}", Range="bytes=0-1")
    assert (answer.status, answer.headers["content-length"]) == (200, "3000")


async def test_if_range(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(SMALL)
    path = f"/v2/team/app/blobs/{digest}"
    same = await edge.ask("GET", path, Range="bytes=0-9", If_Range=f'"{digest}"')
    assert same.status == 206
    for other in ('"x"', f'W/"{digest}"', "Tue, 15 Nov 1994 12:45:26 GMT"):
        answer = await edge.ask("GET", path, Range="bytes=0-9", If_Range=other)
        assert (answer.status, len(answer.body)) == (200, 3000)


async def test_conditional(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(SMALL)
    path = f"/v2/team/app/blobs/{digest}"
    for method in ("GET", "HEAD"):
        for match in (f'"{digest}"', f'W/"{digest}"', f'"a", "{digest}"', "*"):
            answer = await edge.ask(method, path, If_None_Match=match)
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["etag"] == f'"{digest}"'
        assert (await edge.ask(method, path, If_None_Match='"a"')).status == 200
        assert (await edge.ask(method, path, If_Match='"a"')).status == 412
        assert (await edge.ask(method, path, If_Match=f'"{digest}"')).status == 200
    unknown = f"/v2/team/app/blobs/{Digest.of(b'unknown')}"
    assert (await edge.ask("GET", unknown, If_None_Match="*")).status == 404


async def test_an_unknown_blob(edge: Edge) -> None:
    path = f"/v2/team/app/blobs/{Digest.of(b'unknown')}"
    answer = await edge.ask("GET", path)
    assert (answer.status, answer.code) == (404, "BLOB_UNKNOWN")
    answer = await edge.ask("HEAD", path)
    assert (answer.status, answer.body) == (404, b"")


async def test_delete(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(SMALL)
    path = f"/v2/team/app/blobs/{digest}"
    assert (await edge.ask("DELETE", path)).status == 202
    assert (await edge.ask("DELETE", path)).status == 404
    assert (await edge.ask("GET", path)).status == 404


async def test_a_redirect_names_the_blob(start: Start) -> None:
    edge = await start(settings=replace(ADMIN, redirect_from=5))

    async def pieces(span: Span) -> AsyncIterator[Piece]:
        raise AssertionError("it is the bucket that sends it")
        yield b""

    blob = edge.shelf.script(b"0123456789", pieces, "http://bucket/key?signed")
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{blob.info.digest}")
    assert (answer.status, answer.headers["location"]) == (307, "http://bucket/key?signed")
    assert answer.headers["docker-content-digest"] == str(blob.info.digest)
    assert answer.headers["etag"] == f'"{blob.info.digest}"'
    assert answer.headers["cache-control"] == "no-store"


async def test_two_range_lines_are_no_range(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(b"0123456789")
    async with edge.raw() as (reader, writer):
        lines = "Range: bytes=0-1\r\nRange: bytes=4-5\r\n"
        writer.write(f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
