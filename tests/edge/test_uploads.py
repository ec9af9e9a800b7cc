"""Uploads: what the conformance groups do not reach."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from registry_mesh.auth.access import AnonymousAccess, Level
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import StoreFull
from tests.edge.conftest import ADMIN, Edge, Start
from tests.simulators.role import SimulatedRole

BASE = "/v2/team/app/blobs/uploads/"


async def begun(edge: Edge) -> str:
    answer = await edge.ask("POST", BASE)
    assert answer.status == 202
    assert answer.headers["range"] == "0-0"
    assert answer.headers["content-length"] == "0"
    return answer.headers["location"]


async def test_a_large_body_flows_in_bounded_pieces(edge: Edge) -> None:
    digest = hashlib.sha256()

    async def body() -> AsyncIterator[bytes]:
        for _ in range(24):
            piece = os.urandom(1 << 20)
            digest.update(piece)
            yield piece

    location = await begun(edge)
    answer = await edge.ask("PATCH", location, body())
    assert answer.headers["range"] == f"0-{(24 << 20) - 1}"
    answer = await edge.ask("PUT", f"{location}?digest=sha256:{digest.hexdigest()}")
    assert answer.status == 201
    assert edge.role.largest_write <= 1 << 20
    got = await edge.ask("GET", answer.headers["location"])
    assert hashlib.sha256(got.body).hexdigest() == digest.hexdigest()


async def test_a_slow_store_makes_the_client_wait(edge: Edge) -> None:
    """Backpressure: what the server has read and not written stays small."""
    location = await begun(edge)
    gate = asyncio.Event()
    shelf = edge.shelf
    taken = 0

    original_append = shelf.append

    async with edge.raw() as (reader, writer):

        @asynccontextmanager
        async def slow(*given: object) -> AsyncIterator[object]:
            async with original_append(*given) as ingest:  # type: ignore[arg-type]
                write = ingest.write

                async def held(data: bytes) -> None:
                    nonlocal taken
                    await gate.wait()
                    taken += len(data)
                    await write(data)

                ingest.write = held  # type: ignore[method-assign]
                yield ingest

        shelf.append = slow  # type: ignore[method-assign, assignment]
        size = 64 << 20
        writer.write(f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        block = bytes(1 << 20)
        pushed = 0
        try:
            while pushed < size:
                writer.write(block)
                await asyncio.wait_for(writer.drain(), 1)
                pushed += len(block)
        except TimeoutError:
            pass
        assert pushed < 40 << 20, "the client was never made to wait"
        assert taken == 0
        gate.set()
        while pushed < size:
            pushed += len(block)
            if pushed < size:
                writer.write(block)
                await writer.drain()
        assert b" 202 " in await reader.readline()


async def test_a_client_that_leaves_keeps_what_came(edge: Edge) -> None:
    location = await begun(edge)
    async with edge.raw() as (_, writer):
        writer.write(
            f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n".encode() + b"x" * 3000
        )
        await writer.drain()
        for _ in range(200):
            if (await edge.ask("GET", location)).headers["range"] == "0-2999":
                break
            await asyncio.sleep(0.01)
    answer = await edge.ask("GET", location)
    assert (answer.status, answer.headers["range"]) == (204, "0-2999")
    rest = b"x" * 2000
    answer = await edge.ask("PATCH", location, rest, Content_Range="3000-4999")
    assert (answer.status, answer.headers["range"]) == (202, "0-4999")
    assert edge.server.running == 0


@pytest.mark.parametrize(
    ("content_range", "status"),
    [("0-9", 202), ("bytes 0-9/10", 202), ("bytes 0-9/*", 202), ("bytes=0-9", 202), ("5-14", 416), ("0-8", 400),
     ("9-0", 416), ("x", 416), ("-5", 416), ("0-99999999999999999999", 416), ("", 416)],
)  # fmt: skip
async def test_content_ranges(edge: Edge, content_range: str, status: int) -> None:
    location = await begun(edge)
    answer = await edge.ask("PATCH", location, b"0123456789", Content_Range=content_range)
    assert answer.status == status
    if status == 416:
        assert answer.headers["location"] == location
        assert answer.headers["range"] == "0-0"


async def test_a_mount_with_a_digest_that_is_none(edge: Edge) -> None:
    answer = await edge.ask("POST", f"{BASE}?mount=sha256:x")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")
    answer = await edge.ask("POST", f"{BASE}?mount={Digest.of(b'x')}&from=A//B")
    assert (answer.status, answer.code) == (400, "NAME_INVALID")
    answer = await edge.ask("POST", f"{BASE}?digest=sha256:x&digest=y")
    assert answer.status == 400


async def test_a_full_store(edge: Edge) -> None:
    location = await begun(edge)
    edge.role.faults["write"] = StoreFull("no room")
    answer = await edge.ask("PATCH", location, b"x")
    assert (answer.status, answer.code) == (507, "UNAVAILABLE")


async def test_expect_100_continue_is_answered_only_by_who_reads(start: Start) -> None:
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.PULL)))
    async with edge.raw() as (reader, writer):
        head = (
            "POST /v2/team/app/blobs/uploads/?digest=sha256:%s HTTP/1.1\r\n"
            "Host: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        writer.write((head % hashlib.sha256(b"12345").hexdigest()).encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.write_eof()  # the server waits a while for the end of a client that still sends
        await reader.read()
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"\r\nConnection: close\r\n" in answer

    edge = await start(settings=ADMIN)
    async with edge.raw() as (reader, writer):
        writer.write((head % hashlib.sha256(b"12345").hexdigest()).encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"12345")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201 ")
        writer.write(head.replace("100-continue", "200-maybe").encode() % b"0")
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")


async def test_a_refused_body_does_not_break_what_follows(start: Start) -> None:
    edge = await start(SimulatedRole("site"))
    async with edge.raw() as (reader, writer):
        body = b"GET /v2/evil HTTP/1.1\r\nHost: a\r\n\r\n" * 20
        writer.write(
            f"PUT {BASE}x HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        writer.write(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = await reader.read()
    assert answers.count(b"HTTP/1.1 ") == 2
    assert answers.startswith(b"HTTP/1.1 405 ")
    assert b"HTTP/1.1 200 OK" in answers


async def test_a_huge_refused_body_ends_the_connection_and_the_answer_arrives(start: Start) -> None:
    edge = await start(SimulatedRole("site"))
    async with edge.raw() as (reader, writer):
        writer.write(f"PUT {BASE}x HTTP/1.1\r\nHost: a\r\nContent-Length: {1 << 40}\r\n\r\n".encode())
        writer.write(bytes(1 << 20))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nConnection: close\r\n" in head


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
async def test_a_body_that_ends_early(edge: Edge, framing: str) -> None:
    location = await begun(edge)
    async with edge.raw() as (reader, writer):
        body = "5\r\n12345\r\n" if "chunked" in framing else "12345"
        writer.write(f"PATCH {location} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}".encode())
        await writer.drain()
        writer.write_eof()
        assert b" 202 " not in await reader.read()
    answer = await edge.ask("GET", location)
    assert answer.headers["range"] in ("0-4", "0-0")


async def test_a_body_that_stops_coming(start: Start) -> None:
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.ADMIN), body_timeout=0.2))
    location = await begun(edge)
    async with edge.raw() as (reader, writer):
        writer.write(f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"Connection: close" in head


async def test_a_body_that_drips(start: Start) -> None:
    """A byte now and then is no progress: what it holds is given back."""
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.ADMIN), body_timeout=0.4))
    location = await begun(edge)
    async with edge.raw() as (reader, writer):
        writer.write(f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n".encode())
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        async with asyncio.timeout(20):
            while not answer.done():
                writer.write(b"x")
                await asyncio.sleep(0.05)
        assert (await answer).startswith(b"HTTP/1.1 400 ")
    answer = await edge.ask("GET", location)
    assert answer.status == 204  # what came is kept, and the session is free


async def test_a_slow_store_is_not_taken_for_a_slow_client(start: Start) -> None:
    edge = await start(settings=Settings(policy=AnonymousAccess(Level.ADMIN), body_timeout=0.2))
    location, writes = await begun(edge), asyncio.Event()
    append = edge.shelf.append

    @asynccontextmanager
    async def slow(*given: object) -> AsyncIterator[object]:
        async with append(*given) as ingest:  # type: ignore[arg-type]
            write = ingest.write

            async def held(data: bytes) -> None:
                writes.set()
                await asyncio.sleep(0.3)
                await write(data)

            ingest.write = held  # type: ignore[method-assign]
            yield ingest

    edge.shelf.append = slow  # type: ignore[method-assign]
    async with edge.raw() as (reader, writer):
        writer.write(f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1".encode())
        await writes.wait()
        writer.write(b"2")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202 ")


async def test_a_session_has_a_uuid(edge: Edge) -> None:
    location = await begun(edge)
    assert str(uuid.UUID(location.rpartition("/")[2])) == location.rpartition("/")[2]


async def test_closing_again_after_a_lost_answer_is_not_a_new_upload(edge: Edge) -> None:
    data = b"0123456789"
    location, digest = await begun(edge), Digest.of(data)
    for _ in range(3):
        answer = await edge.ask("PUT", f"{location}?digest={digest}", data)
        assert (answer.status, answer.headers["location"]) == (201, f"/v2/team/app/blobs/{digest}")
    other = await edge.ask("PUT", f"{location}?digest={Digest.of(b'other')}", b"other")
    assert (other.status, other.code) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("digest", ["sha256:%00", "%00", "sha256:" + "a" * 63 + "%0a"])
async def test_a_digest_with_control_characters(edge: Edge, digest: str) -> None:
    location = await begun(edge)
    answer = await edge.ask("PUT", f"{location}?digest={digest}", b"x")
    assert (answer.status, answer.code) == (400, "DIGEST_INVALID")


async def test_out_of_order_is_told_before_a_wrong_length(edge: Edge) -> None:
    location = await begun(edge)
    assert (await edge.ask("PATCH", location, b"01234", Content_Range="0-4")).status == 202
    answer = await edge.ask("PATCH", location, b"xyz", Content_Range="9-20")
    assert (answer.status, answer.headers["range"], answer.headers["location"]) == (416, "0-4", location)
    answer = await edge.ask("PATCH", location, b"xyz", Content_Range="5-20")
    assert (answer.status, answer.code) == (400, "SIZE_INVALID")
    answer = await edge.ask("PATCH", location, b"56789", Content_Range="5-9")
    assert (answer.status, answer.headers["range"]) == (202, "0-9")


async def test_while_it_is_read_only_nothing_changes_and_pulls_go_on(start: Start) -> None:
    role = SimulatedRole()
    digest = await role.shelf("team/app").put_blob(b"layer")
    edge = await start(role, replace(ADMIN, read_only=True))
    path = f"/v2/team/app/blobs/{digest}"
    assert (await edge.ask("GET", path)).body == b"layer"
    for method, where in (
        ("POST", BASE),
        ("DELETE", path),
        ("PUT", "/v2/team/app/manifests/1"),
        ("DELETE", "/v2/team/app/manifests/1"),
    ):
        answer = await edge.ask(method, where, b"{}")
        assert (answer.status, answer.code) == (405, "UNSUPPORTED"), where
        assert b"read-only for maintenance" in answer.body
    assert (await edge.ask("GET", path)).status == 200
