"""What many clients ask of a blob that nobody has yet: right bytes, each over the link once. Real processes; the
parents are one of ours and two that are not. Each test prints its figures (`pytest -s`)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.digest import Digest
from tests.clients import nodes, registries
from tests.eventually import eventually
from tests.mesh.conftest import SiteBehindLink, same
from tests.mesh.test_lazy_readers import parts
from tests.simulators.apart import apart
from tests.simulators.link import Link, Passed
from tests.simulators.parent import PlainParent
from tests.simulators.pauses import patient, steady

pytestmark = pytest.mark.slow


@dataclass
class Cold(SiteBehindLink):
    """A site behind a link to a parent of some kind. The link has a thread of its own: with a hundred clients in this
    loop, the parent would look dead."""

    url: str = ""
    files: Path | None = None
    seed: int = 0

    async def add(self, size: int) -> tuple[Digest, bytes]:
        """A new blob at the parent."""
        self.seed += 1
        data = await asyncio.to_thread(random.Random(self.seed).randbytes, size)
        if self.files is None:
            return await registries.push(self.client, self.url, data), data
        digest = Digest.of(data)
        (self.files / f"v2/team/app/blobs/{digest}").write_bytes(data)
        return digest, data

    def asked(self) -> list[Passed]:
        """Requests for blobs' bytes that crossed the link."""
        passed = list(self.link.counts.passed)
        return [each for each in passed if "/blobs/" in each.target and each.method == "GET"]

    @property
    def moved_but_pings(self) -> int:
        """Bytes of bodies that crossed the link, without answers to pings: each process of a node pings a parent that
        it has not heard for 3 s, and one whose answer is late."""
        passed = list(self.link.counts.passed)
        return sum(each.body_bytes for each in passed if each.target.rstrip("/") != "/v2")

    async def settled(self) -> None:
        """Wait until the link has counted what has crossed it; not for what was broken off, which it may not count."""
        deadline = time.monotonic() + 10
        while len(self.link.counts.passed) < self.link.counts.requests and time.monotonic() < deadline:
            await asyncio.sleep(0.01)


@pytest_asyncio.fixture(params=["ours", "docker-registry", "nginx"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cold]:
    async with AsyncExitStack() as stack:
        files: Path | None = None
        if request.param == "ours":
            origin = nodes.origin(tmp_path / "origin")
            await asyncio.to_thread(origin.start)
            stack.push_async_callback(asyncio.to_thread, origin.kill)
            url = origin.url
        elif request.param == "nginx":
            url, files = stack.enter_context(registries.nginx(tmp_path / "nginx"))
        else:
            url = stack.enter_context(registries.docker_registry(tmp_path / "registry"))
        link = await stack.enter_async_context(apart(Link("127.0.0.1", int(url.rpartition(":")[2]))))
        client, pauses = await stack.enter_async_context(patient())
        node = nodes.site(tmp_path / "site", link.url, workers=2)
        made = Cold(PlainParent(), link, node, client, pauses, url, files)
        stack.push_async_callback(made.kill)
        yield made


@steady
async def test_a_hundred_clients_want_the_same_cold_range(world: Cold) -> None:
    digest, whole = await world.add(64 * MIB)
    await world.start()
    world.link.conditions.rtt = 0.02
    world.link.reset_counts()
    span = (40 * MIB, 40 * MIB + (64 << 10))

    async def one() -> None:
        assert same(await world.get(world.blob(digest), span), 206, whole[span[0] : span[1]])

    await asyncio.gather(*(one() for _ in range(100)))
    await world.settled()
    asked, moved = world.asked(), world.moved
    print(
        f"\n100 clients, one cold range: {[(each.range, each.body_bytes) for each in asked]}, {moved} bytes"
    )
    of_blob = [each for each in asked if each.range is not None]
    assert len(of_blob) == 1
    assert moved <= 2 * MIB
    world.link.reset_counts()
    await asyncio.gather(*(one() for _ in range(20)))
    assert world.asked() == []


async def test_a_reader_that_stands_still_holds_up_nobody(world: Cold) -> None:
    """Whichever process it, and the others, have come to: whole readers, and one of the piece it stands before."""
    digest, whole = await world.add(48 * MIB)
    await world.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.node.port, limit=1 << 16)
    writer.write(f"GET /v2/team/app/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await eventually(lambda: world.link.counts.body_bytes >= 12 * MIB, "12 MiB to cross the link")
    world.link.reset_counts()
    await asyncio.sleep(0.5)
    spans = [(at, at + 999) for at in range(17 * MIB, 47 * MIB, 5 * MIB)]
    async with asyncio.timeout(100):
        for span in spans:
            assert same(await world.get(world.blob(digest), span), 206, whole[span[0] : span[1]])
        answers = await asyncio.gather(*(world.get(world.blob(digest)) for _ in range(8)))
    assert all(same(answer, 200, whole) for answer in answers)
    writer.close()


async def test_every_kind_of_range_of_a_cold_blob(world: Cold) -> None:
    size = 9 * MIB + 5
    etag = None
    await world.start()

    async def ask(ranges: str, method: str = "GET", **more: str) -> tuple[aiohttp.ClientResponse, bytes]:
        """Of a blob that nobody has asked for before."""
        nonlocal whole, etag
        digest, whole = await world.add(size)
        etag = f'"{digest}"'
        headers = {"Range": ranges, **{k.replace("_", "-"): v.replace("ETAG", etag) for k, v in more.items()}}
        world.link.reset_counts()
        async with world.client.request(method, world.blob(digest), headers=headers) as answer:
            body = await answer.read()
        await world.settled()
        return answer, body

    whole = b""
    answer, body = await ask("bytes=-70000")
    assert (answer.status, body) == (206, whole[-70000:])
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Range"] == f"bytes {size - 70000}-{size - 1}/{size}"
    assert world.moved <= 2 * MIB
    answer, body = await ask(f"bytes={size - 1000}-")
    assert (answer.status, body) == (206, whole[-1000:])
    assert world.moved <= 2 * MIB
    answer, body = await ask("bytes=5000000-5000099,100-199,9000000-9000000")
    assert answer.status == 206
    assert parts(answer.headers["Content-Type"], body) == [
        (5_000_000, whole[5_000_000:5_000_100]),
        (100, whole[100:200]),
        (9_000_000, whole[9_000_000:9_000_001]),
    ]
    assert world.moved <= 3 * CHUNK + 2 * MIB
    answer, body = await ask("bytes=100-199", If_Range="ETAG")
    assert (answer.status, body) == (206, whole[100:200])
    answer, body = await ask("bytes=100-199", If_Range='"another"')
    assert (answer.status, body) == (200, whole)
    answer, body = await ask(f"bytes={size}-")
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert world.moved <= 2 * MIB
    answer, body = await ask("lines=1-2")
    assert (answer.status, body) == (200, whole)
    answer, body = await ask("bytes=0-99", "HEAD")
    assert int(answer.headers["Content-Length"]) in (100, size)
    assert world.moved_but_pings == 0, "nothing of the blob, or of anything else"
