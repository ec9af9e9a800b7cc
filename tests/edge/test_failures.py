"""What a client sees when something behind the edge goes wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import Refusal, TooManyRequests
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Piece
from registry_mesh.ports.failures import (
    Failure,
    LoginRefused,
    SourceDenied,
    SourceLied,
    SourceThrottled,
    SourceUnavailable,
    StoreBroken,
    StoreFull,
)
from tests.edge.conftest import Edge, Start
from tests.eventually import eventually
from tests.simulators.role import SimulatedRole

PARENT = "http://parent.example:5000"

SOON = {str(seconds) for seconds in range(3, 8)}
"""Retry-After where nobody named a time."""

TABLE = [
    (SourceUnavailable("timed out", source=PARENT), 503, 503, "UNAVAILABLE", SOON),
    (SourceUnavailable("says later", source=PARENT, retry_after=16.2), 503, 503, "UNAVAILABLE", {"17"}),
    (SourceThrottled("429", source=PARENT, retry_after=60), 503, 429, None, {"60"}),
    (TooManyRequests(), 503, 429, "TOOMANYREQUESTS", SOON),
    (SourceDenied("403", source=PARENT), 403, 403, "DENIED", {None}),
    (SourceDenied("401", source=PARENT), 403, 403, "DENIED", {None}),
    (LoginRefused("wrong password", source=PARENT), 503, 503, "UNAVAILABLE", SOON),
    (SourceLied("wrong bytes", source=PARENT), 503, 503, "UNAVAILABLE", SOON),
    (StoreFull("no room"), 503, 503, "UNAVAILABLE", SOON),
    (StoreBroken("input/output error"), 503, 503, "UNAVAILABLE", SOON),
    (Failure("something else"), 503, 503, "UNAVAILABLE", SOON),
]


@pytest.mark.parametrize(("fault", "at_site", "at_origin", "code", "retry"), TABLE)
@pytest.mark.parametrize("role", ["site", "replica"])
async def test_every_failure(
    start: Start,
    role: str,
    fault: Exception,
    at_site: int,
    at_origin: int,
    code: str | None,
    retry: set[str | None],
) -> None:
    edge = await start(SimulatedRole(role), Settings())
    edge.role.faults = dict.fromkeys(("stat", "open", "resolve", "manifest", "tags", "referrers"), fault)
    zero = Digest.of(b"")
    for path in (f"blobs/{zero}", "manifests/t", f"manifests/{zero}", "tags/list", f"referrers/{zero}"):
        for method in ("GET", "HEAD"):
            answer = await edge.ask(method, f"/v2/team/app/{path}")
            assert answer.status == (at_site if role == "site" else at_origin)
            assert answer.headers.get("retry-after") in retry
            assert "www-authenticate" not in answer.headers
            if method == "HEAD":
                assert answer.body == b""
                continue
            assert code in (None, answer.code)
            if isinstance(fault, Failure) and fault.source:
                assert PARENT.encode() in answer.body
                assert fault.reason.encode() in answer.body


async def test_who_was_told_together_does_not_come_back_together(edge: Edge) -> None:
    edge.role.faults["open"] = SourceUnavailable("down", source=PARENT)
    path = f"/v2/team/app/blobs/{Digest.of(b'')}"
    told = [(await edge.ask("GET", path)).headers["retry-after"] for _ in range(100)]
    assert set(told) == SOON, "each is drawn: one of them is missing once in a thousand million times"
    assert max(map(told.count, SOON)) < 60


async def test_the_unexpected_is_told_to_the_log_alone(edge: Edge, caplog: pytest.LogCaptureFixture) -> None:
    edge.role.faults["open"] = ZeroDivisionError("secret detail")
    with caplog.at_level(logging.ERROR):
        answer = await edge.ask("GET", f"/v2/team/app/blobs/{Digest.of(b'')}")
    assert (answer.status, answer.code) == (500, "UNKNOWN")
    assert b"secret" not in answer.body
    assert answer.headers["x-request-id"].encode() in answer.body
    assert answer.headers["x-request-id"] in caplog.text
    assert "secret detail" in caplog.text
    assert (await edge.ask("GET", "/v2/")).status == 200


DATA = bytes(range(256)) * 8192  # 2 MiB


def fails_after(count: int, fault: Exception | None, extra: bytes = b""):  # type: ignore[no-untyped-def]
    async def pieces(span: Span) -> AsyncIterator[Piece]:
        for start in range(span.start, min(span.start + count, span.stop), 65_536):
            yield DATA[start : min(start + 65_536, span.start + count, span.stop)]
        if fault is not None:
            raise fault
        if extra:
            yield extra

    return pieces


@pytest.mark.parametrize(
    "fault",
    [SourceUnavailable("gone"), SourceLied("bad"), Refusal(), ZeroDivisionError(), OSError(5), TimeoutError(), None],
)  # fmt: skip
@pytest.mark.parametrize("count", [65_536, 1_000_000, len(DATA) - 1])
async def test_a_body_that_fails_midway_is_cut(edge: Edge, fault: Exception | None, count: int) -> None:
    blob = edge.shelf.script(DATA, fails_after(count, fault))
    async with edge.raw() as (reader, writer):
        path = f"/v2/team/app/blobs/{blob.info.digest}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert f"Content-Length: {len(DATA)}\r\n".encode() in head
        body = await reader.read()
    assert body == DATA[: len(body)]
    assert len(body) <= count
    assert blob.closed == blob.opened == 1
    assert edge.server.running == 0


@pytest.mark.parametrize("fault", [SourceUnavailable("gone"), SourceLied("bad"), None])
async def test_a_body_that_fails_before_its_first_byte_is_an_answer(
    edge: Edge, fault: Exception | None
) -> None:
    blob = edge.shelf.script(DATA, fails_after(0, fault))
    for header in ({}, {"Range": "bytes=5-"}, {"Range": "bytes=0-1,5-6"}):
        answer = await edge.ask("GET", f"/v2/team/app/blobs/{blob.info.digest}", **header)  # type: ignore[arg-type]
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
    assert (await edge.ask("GET", "/v2/")).status == 200


async def test_a_source_that_gives_too_much_is_cut(edge: Edge) -> None:
    blob = edge.shelf.script(DATA, fails_after(len(DATA) - 10, None, b"x" * 20))
    async with edge.raw() as (reader, writer):
        writer.write(f"GET /v2/team/app/blobs/{blob.info.digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
    assert body == DATA[: len(body)]
    assert len(body) < len(DATA)


async def test_a_redirect_to_where_the_bytes_are(start: Start) -> None:
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL), redirect_from=1000))
    blob = edge.shelf.script(DATA, fails_after(len(DATA), None), "https://bucket.example/x?sig=1")
    path = f"/v2/team/app/blobs/{blob.info.digest}"
    for headers in ({}, {"Range": "bytes=0-1999"}):
        answer = await edge.ask("GET", path, **headers)  # type: ignore[arg-type]
        assert (answer.status, answer.headers["location"]) == (307, blob.address)
    assert (await edge.ask("GET", path, Range="bytes=0-99")).body == DATA[:100]
    assert (await edge.ask("GET", path, Range="bytes=0-1999,3000-4999")).status == 206
    assert (await edge.ask("HEAD", path)).status == 200


async def test_too_many_at_once(start: Start) -> None:
    gate = asyncio.Event()

    async def pieces(span: Span) -> AsyncIterator[Piece]:
        await gate.wait()
        yield DATA[span.start : span.stop]

    edge = await start(SimulatedRole("site"), Settings(max_streams=3))
    blob = edge.shelf.script(DATA, pieces)
    path = f"/v2/team/app/blobs/{blob.info.digest}"
    waiting = [asyncio.ensure_future(edge.ask("GET", path, Range="bytes=0-9")) for _ in range(3)]
    await eventually(lambda: edge.server.running == 3, "three answers under way")
    answer = await edge.ask("GET", "/v2/")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    gate.set()
    assert [each.status for each in await asyncio.gather(*waiting)] == [206] * 3
    assert (await edge.ask("GET", "/v2/")).status == 200
