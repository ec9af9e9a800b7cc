"""A client whose connection broke in mid-upload goes on where the registry says that it stands."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest

from registry_mesh.oci.digest import Digest
from tests.conformance.registry import Registry
from tests.eventually import eventually

DATA = os.urandom(300_000)
CUT = 100_000


@asynccontextmanager
async def begun_and_cut(location: str) -> AsyncIterator[asyncio.StreamWriter]:
    """A request that announces all of `DATA` and sends no more than the beginning."""
    url = urlsplit(location)
    _, writer = await asyncio.open_connection(url.hostname, url.port or 80)
    head = f"PATCH {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {len(DATA)}\r\n\r\n"
    writer.write(head.encode() + DATA[:CUT])
    await writer.drain()
    yield writer
    writer.close()


async def stands_at(registry: Registry, location: str) -> int:
    answer = (await registry.ask("GET", location)).expect(204)
    first, _, last = answer.headers["Range"].partition("-")
    assert first == "0"
    return int(last) + 1 if last != "0" else 0


async def arrived(registry: Registry, location: str) -> None:
    """As far as can be seen: a store may say so only once the request is over."""

    async def stands() -> bool:
        return await stands_at(registry, location) == CUT

    with suppress(TimeoutError):
        await eventually(stands, location, 1, pause=0.03)


async def go_on(registry: Registry, location: str) -> None:
    """As a client does: at the offset that it is told, and told anew where that has changed since."""
    status = 416
    while status == 416:
        at = await stands_at(registry, location)
        headers = [("Content-Range", f"{at}-{len(DATA) - 1}")]
        answer = (await registry.ask("PATCH", location, DATA[at:], headers)).expect(202, 416)
        status = answer.status
    assert answer.headers["Range"] == f"0-{len(DATA) - 1}"
    await registry.finish(answer.location, Digest.of(DATA))
    await registry.expect_blob(Digest.of(DATA), DATA)


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_at_once_after_a_cut(registry: Registry, how: str) -> None:
    location = (await registry.begin()).location
    async with begun_and_cut(location) as writer:
        await arrived(registry, location)
        writer.close() if how == "close" else writer.transport.abort()
    await go_on(registry, location)


async def test_while_the_dead_connection_seems_alive(registry: Registry) -> None:
    """As behind a firewall that forgot it: no packet tells the server. One upload goes on, one is cancelled."""

    async def gone_on_with() -> None:
        location = (await registry.begin()).location
        async with begun_and_cut(location):
            await arrived(registry, location)
            await go_on(registry, location)

    async def cancelled() -> None:
        location = (await registry.begin()).location
        async with begun_and_cut(location):
            await arrived(registry, location)
            (await registry.ask("DELETE", location)).expect(204)
            (await registry.ask("GET", location)).expect(404)

    async with asyncio.TaskGroup() as both:  # a bucket's lease is waited for
        both.create_task(gone_on_with())
        both.create_task(cancelled())
