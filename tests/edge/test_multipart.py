"""Several ranges in one request."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from registry_mesh.edge.parts import AHEAD
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Provenance, Reading
from registry_mesh.ports.failures import SourceUnavailable
from tests.edge.conftest import Answer, Edge
from tests.eventually import eventually

DATA = os.urandom(3 << 20)


def parts(answer: Answer) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part, read as RFC 2046 says and to the last byte."""
    found = re.fullmatch(r"multipart/byteranges; boundary=(\S+)", answer.headers["content-type"])
    assert found
    boundary = found[1].encode()
    body = answer.body
    assert body.startswith(b"--" + boundary + b"\r\n")
    given = []
    rest = b"\r\n" + body
    while not rest.startswith(b"\r\n--" + boundary + b"--"):
        head, _, rest = rest[len(boundary) + 6 :].partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        assert fields["Content-Type"] == "application/octet-stream"
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", fields["Content-Range"])
        assert span
        length = int(span[2]) - int(span[1]) + 1
        given.append((fields["Content-Range"], rest[:length]))
        rest = rest[length:]
    assert rest == b"\r\n--" + boundary + b"--\r\n"
    return given


async def test_exactly_the_parts_in_the_order_asked(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(DATA)
    wanted = "bytes=2000000-2999999, 0-0,-5, 70-99,1048570-1048580"
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range=wanted)
    assert answer.status == 206
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["docker-content-digest"] == str(digest)
    size = len(DATA)
    spans = [(2_000_000, 3_000_000), (0, 1), (size - 5, size), (70, 100), (1048570, 1048581)]
    assert parts(answer) == [(f"bytes {a}-{b - 1}/{size}", DATA[a:b]) for a, b in spans]


async def test_as_many_as_podman_sends(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(DATA)
    spans = [(i * 2048, i * 2048 + 100 + i % 900) for i in range(1024)]
    field = "bytes=" + ",".join(f"{a}-{b - 1}" for a, b in spans)
    assert len(field) > 12_000
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range=field)
    assert answer.status == 206
    assert [data for _, data in parts(answer)] == [DATA[a:b] for a, b in spans]


async def test_too_many_are_to_be_merged(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(DATA)
    field = "bytes=" + ",".join(f"{i * 10}-{i * 10}" for i in range(1201))
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range=field)
    assert (answer.status, answer.code) == (400, "UNSUPPORTED")
    overlapping = "bytes=" + ",".join(["0-"] * 100)
    assert (await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range=overlapping)).status == 400
    beyond = "bytes=" + ",".join(["9-9"] * 12_000)
    async with edge.raw() as (reader, writer):
        head = f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\nRange: {beyond}\r\n\r\n"
        writer.write(head.encode())
        assert b" 400 " in await reader.readline()


async def test_one_of_several_is_there(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(DATA)
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range="bytes=90000000-,5-9,-0")
    assert (answer.status, answer.body) == (206, DATA[5:10])
    assert answer.headers["content-range"] == f"bytes 5-9/{len(DATA)}"


async def test_a_source_that_fails_in_a_later_part_cuts(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(DATA)
    real = edge.shelf.open
    asked: list[object] = []

    def opens(digest: object, span: object = None) -> object:
        asked.append(span)
        if len(asked) == 3:
            raise BlobUnknown
        return real(digest, span)  # type: ignore[arg-type]

    edge.shelf.open = opens  # type: ignore[method-assign, assignment]
    async with edge.raw() as (reader, writer):
        head = f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9,20-29,40-49,60-69\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.read()
    assert b" 206 " in answer
    assert DATA[20:30] in answer
    assert b"errors" not in answer
    promised = int(re.search(rb"Content-Length: (\d+)", answer)[1])  # type: ignore[index]
    assert len(answer.partition(b"\r\n\r\n")[2]) < promised


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_nothing_is_sent_to_head(edge: Edge, method: str) -> None:
    digest = await edge.shelf.put_blob(DATA)
    answer = await edge.ask(method, f"/v2/team/app/blobs/{digest}", Range="bytes=0-1,5-6")
    assert answer.status == (206 if method == "GET" else 200)


class Slow:
    """Opens of spans that take a while, after the first `quick` for ever; counts how many are open."""

    def __init__(self, edge: Edge, *, hit: bool, quick: int | None = None) -> None:
        self.now = self.most = self.in_all = 0
        self._quick = quick
        self._hit = hit
        self._real = edge.shelf.open
        edge.shelf.open = self.open  # type: ignore[method-assign, assignment]

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        self.now += 1
        self.in_all += 1
        self.most = max(self.most, self.now)
        stuck = self._quick is not None and self.in_all > self._quick
        try:
            await asyncio.sleep(0.01)
            if stuck:
                await asyncio.Event().wait()
            async with self._real(digest, span) as reading:
                reading.provenance = Provenance(hit=self._hit)  # type: ignore[misc]
                yield reading
        finally:
            self.now -= 1


@pytest.mark.parametrize("hit", [True, False])
async def test_what_is_not_held_is_fetched_ahead(edge: Edge, hit: bool) -> None:
    digest = await edge.shelf.put_blob(DATA)
    slow = Slow(edge, hit=hit)
    spans = [(i * 60_000, i * 60_000 + 70_000 * (i % 2) + 5) for i in range(40)]
    field = "bytes=" + ",".join(f"{a}-{b - 1}" for a, b in spans)
    answer = await edge.ask("GET", f"/v2/team/app/blobs/{digest}", Range=field)
    assert [data for _, data in parts(answer)] == [DATA[a:b] for a, b in spans]
    assert slow.most == (1 if hit else AHEAD)
    assert (slow.in_all, slow.now) == (40, 0)


async def test_a_hang_up_closes_what_was_fetched_ahead(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(DATA)
    slow = Slow(edge, hit=False, quick=AHEAD)
    field = "bytes=" + ",".join(f"{i * 2000}-{i * 2000 + 1000}" for i in range(1000))
    async with edge.raw() as (_, writer):
        writer.write(
            f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\nRange: {field}\r\n\r\n".encode()
        )
        await eventually(lambda: slow.now == AHEAD and slow.in_all == 2 * AHEAD)
        writer.transport.abort()
        await eventually(lambda: not edge.server.running)
    assert (slow.now, slow.in_all) == (0, 2 * AHEAD)


async def test_a_failure_ahead_is_told_or_cuts_in_its_turn(edge: Edge) -> None:
    digest = await edge.shelf.put_blob(DATA)
    slow = Slow(edge, hit=False)
    real = edge.shelf.fault

    def fault(method: str) -> None:
        if slow.in_all >= 6:
            raise SourceUnavailable("gone")
        real(method)

    edge.shelf.fault = fault  # type: ignore[method-assign]
    async with edge.raw() as (reader, writer):
        field = "bytes=" + ",".join(f"{i * 2000}-{i * 2000 + 1000}" for i in range(20))
        writer.write(
            f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: a\r\nRange: {field}\r\n\r\n".encode()
        )
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 206 ")
    assert DATA[0:1001] in answer
    assert b"errors" not in answer
    # the client sees the end before the last of them is closed
    await eventually(lambda: not slow.now, "the last of them to be closed")
