"""What lazy and parallel clients ask of a site, request by request as they were seen to: answered to the byte, cold
and warm, and what it costs over the link. Each test prints its figures (`pytest -s`)."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.oci.digest import Digest
from tests.mesh.conftest import SiteBehindLink
from tests.simulators.pauses import steady
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow

BLOCK = 50_000
"""The stargz snapshotter's grid."""

PROBES = 100
"""Bytes that asking a parent whether it lives may bring."""

Range = tuple[int, int]


@dataclass
class Client:
    """Asks one site for one blob, checks every byte, remembers how long each answer took."""

    world: SiteBehindLink
    digest: Digest
    whole: bytes
    to_head: list[float] = field(default_factory=list)
    to_end: list[float] = field(default_factory=list)
    read: int = 0

    @asynccontextmanager
    async def asks(self, ranges: str | None, limit: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer's head is here within `limit` seconds."""
        began = time.monotonic()
        headers = {"Range": ranges, "Accept-Encoding": "identity"} if ranges else {}
        async with asyncio.timeout(limit):
            answer = await self.world.client.get(self.world.blob(self.digest), headers=headers)
        self.to_head.append(time.monotonic() - began)
        async with answer:
            yield answer
        self.to_end.append(time.monotonic() - began)

    async def get(self, start: int, stop: int, limit: float = 30) -> None:
        """A closed range, exactly; all of it within `limit` seconds."""
        async with asyncio.timeout(limit), self.asks(f"bytes={start}-{stop - 1}", limit) as answer:
            assert answer.status == 206, await answer.text()
            assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(self.whole)}"
            assert answer.headers["Content-Length"] == str(stop - start)
            assert answer.headers["Accept-Ranges"] == "bytes"
            assert "Content-Type" in answer.headers
            assert await answer.read() == self.whole[start:stop]
        self.read += stop - start

    async def head(self) -> None:
        async with self.world.client.head(self.world.blob(self.digest)) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(self.whole)))

    async def get_parts(self, ranges: Sequence[Range], limit: float = 60) -> None:
        """Exactly these parts, in this order."""
        header = "bytes=" + ",".join(f"{start}-{stop - 1}" for start, stop in ranges)
        async with asyncio.timeout(limit), self.asks(header, limit) as answer:
            assert answer.status == 206, await answer.text()
            body = await answer.read()
        assert parts(answer.headers["Content-Type"], body) == [
            (start, self.whole[start:stop]) for start, stop in ranges
        ]
        self.read += sum(stop - start for start, stop in ranges)

    async def take(self, start: int, most: int, limit: float = 30) -> None:
        """An open range, of which `most` bytes are read before the connection is dropped."""
        got = bytearray()
        async with asyncio.timeout(limit), self.asks(f"bytes={start}-", limit) as answer:
            assert answer.status == 206, await answer.text()
            async for data in answer.content.iter_any():
                got += data
                if len(got) >= most:
                    answer.close()
                    break
        assert got[:most] == self.whole[start : start + most]
        self.read += min(most, len(self.whole) - start)


def parts(content_type: str, body: bytes) -> list[tuple[int, bytes]]:
    """Offset and bytes of each part of a multipart answer, read by the lengths that Content-Range tells."""
    boundary = re.fullmatch(r"multipart/byteranges; boundary=(\S+)", content_type)
    assert boundary
    mark, rest, found = b"--" + boundary[1].encode(), b"\r\n" + body, []
    while rest.startswith(b"\r\n" + mark + b"\r\n"):
        head, _, rest = rest.partition(b"\r\n\r\n")
        span = re.search(rb"Content-Range: bytes (\d+)-(\d+)/", head)
        assert span
        length = int(span[2]) - int(span[1]) + 1
        found.append((int(span[1]), rest[:length]))
        rest = rest[length:]
    assert rest == b"\r\n" + mark + b"--\r\n"
    return found


def touched(ranges: Sequence[Range], size: int) -> int:
    """Bytes of the chunks that these ranges lie in."""
    chunks = {index for start, stop in ranges for index in range(start // CHUNK, -(-stop // CHUNK))}
    return sum(min(size, (index + 1) * CHUNK) - index * CHUNK for index in chunks)


@pytest.fixture
async def far(behind_link: SiteBehindLink) -> SiteBehindLink:
    """A site whose parent is 20 ms and 125 MB/s away."""
    behind_link.link.conditions.rtt = 0.02
    behind_link.link.conditions.rate = 125e6
    await behind_link.start()
    return behind_link


@pytest.fixture
async def near(behind_link: SiteBehindLink) -> SiteBehindLink:
    await behind_link.start()
    return behind_link


def content(size: int, seed: int) -> tuple[Digest, bytes]:
    whole = b"".join(pattern(min(4 * MIB, size - at), seed + at) for at in range(0, size, 4 * MIB))
    return Digest.of(whole), whole


SEEDS = itertools.count(0, 1 << 30)
"""Each blob is another one: none is held of a test before it, or of one that is done once more."""


async def client(world: SiteBehindLink, size: int) -> Client:
    """In a thread: the parent and the link live in this loop, and are to look alive."""
    digest, whole = await asyncio.to_thread(content, size, next(SEEDS))
    world.parent.blobs[str(digest)] = whole
    return Client(world, digest, whole)


def report(name: str, one: Client, moved: int, began: float) -> None:
    heads, ends = sorted(one.to_head), sorted(one.to_end)
    print(
        f"\n{name}: {len(heads)} answers in {time.monotonic() - began:.2f} s, read {one.read}, over the link {moved}"
        f" ({moved / max(1, one.read):.3f}); head p50 {heads[len(heads) // 2] * 1e3:.0f} ms, worst"
        f" {heads[-1] * 1e3:.0f} ms; whole answer worst {ends[-1] * 1e3:.0f} ms"
    )


async def cold_then_warm(name: str, one: Client, replay: object, most: float) -> None:
    """`most`: bytes over the link for the cold replay. The warm one moves none."""
    for temperature in ("cold", "warm"):
        one.to_head.clear()
        one.to_end.clear()
        one.read = 0
        one.world.link.reset_counts()
        began = time.monotonic()
        await replay()  # type: ignore[operator]
        report(f"{name}, {temperature}", one, one.world.moved, began)
        assert one.world.moved <= (most if temperature == "cold" else 0) + PROBES


@steady
async def test_stargz(far: SiteBehindLink) -> None:
    size = 24 * MIB + 12_345
    one = await client(far, size)
    rng = random.Random(4)
    reads: list[Range] = []
    for _ in range(12):  # aligned outwards to the grid, 50 kB to 4 MB
        start = rng.randrange(size // BLOCK) * BLOCK
        reads.append((start, min(size, start + rng.choice((1, 1, 2, 3, 22, 43, 80)) * BLOCK)))
    tail = size // BLOCK * BLOCK
    asked = [(0, 2), (tail, size), (tail - 3 * BLOCK, tail), *reads, (0, 2)]

    async def replay() -> None:
        await one.get(0, 2)
        await one.head()
        for start, stop in asked[1:]:
            await one.get(start, stop, limit=30)

    await cold_then_warm("stargz", one, replay, touched(asked, size) + sum(b - a for a, b in reads) / 16)


@steady
async def test_soci(far: SiteBehindLink) -> None:
    """Exact spans, some in parallel; 3 s to the head."""
    size = 30 * MIB + 7
    one = await client(far, size)
    rng = random.Random(5)
    spans = [(a, min(size, a + rng.randrange(MIB, 2 * MIB))) for a in rng.sample(range(size - MIB), 12)]

    async def replay() -> None:
        await one.get(0, 2, limit=3)
        for index in range(0, len(spans), 4):
            await asyncio.gather(*(one.get(*span, limit=3) for span in spans[index : index + 4]))

    await cold_then_warm("SOCI", one, replay, touched([(0, 2), *spans], size) * 1.07)


@steady
async def test_soci_parallel_pull(far: SiteBehindLink) -> None:
    size = 40 * MIB + 99
    one = await client(far, size)
    todo = [(start, min(size, start + 8 * MIB)) for start in range(0, size, 8 * MIB)]

    async def replay() -> None:
        await one.get(0, 2, limit=3)
        gate = asyncio.Semaphore(3)

        async def part(span: Range) -> None:
            async with gate:
                await one.get(*span)

        await asyncio.gather(*(part(span) for span in todo))

    await cold_then_warm("SOCI parallel pull", one, replay, size * 1.01)


@steady
async def test_nydus(far: SiteBehindLink) -> None:
    """Exact MiBs, eight at once; the whole answer within 5 s."""
    size = 24 * MIB
    one = await client(far, size)
    starts = random.Random(6).sample(range(size // MIB - 1), 16)

    async def replay() -> None:
        for index in range(0, len(starts), 8):
            await asyncio.gather(
                *(one.get(s * MIB + 512, (s + 1) * MIB + 512, limit=5) for s in starts[index : index + 8])
            )

    asked = [(s * MIB + 512, (s + 1) * MIB + 512) for s in starts]
    await cold_then_warm("nydus", one, replay, touched(asked, size) * 1.07)


@steady
async def test_podman_partial_pull(far: SiteBehindLink) -> None:
    """The table by two ranges, then 1,024 scattered ones in one field, exactly so many parts in order."""
    size = 256 * MIB
    one = await client(far, size)
    step = size // 1024
    scattered = [(i * step + 700, i * step + 1700 + i % 900) for i in range(1024)]
    table = [(size - 70_000, size - 30_000), (size - 30_000, size)]
    assert 12_000 < len(",".join(f"{a}-{b}" for a, b in scattered)) < 24_000

    async def replay() -> None:
        await one.get_parts(table)
        await one.get_parts(scattered, limit=120)

    await cold_then_warm("podman zstd:chunked", one, replay, touched([*table, *scattered], size))


async def test_podman_asks_for_too_many(far: SiteBehindLink) -> None:
    one = await client(far, MIB)
    header = "bytes=" + ",".join(f"{i * 10}-{i * 10 + 4}" for i in range(2000))
    async with one.asks(header, 30) as answer:
        assert answer.status == 400, "podman merges its ranges and asks again"


@steady
async def test_containerd_parallel_layer_fetch(far: SiteBehindLink) -> None:
    """Open ranges, of which one buffer is read before the connection is dropped: never drained upstream."""
    size, buffer = 96 * MIB + 4321, 8 * MIB
    one = await client(far, size)

    async def replay() -> None:
        gate = asyncio.Semaphore(4)

        async def part(start: int) -> None:
            async with gate:
                await one.take(start, buffer)

        await one.take(0, buffer)
        await asyncio.gather(*(part(start) for start in range(buffer, size, buffer)))

    await cold_then_warm("containerd parallel layer fetch", one, replay, size * 1.05)


@steady
async def test_a_resume_after_a_cut(far: SiteBehindLink) -> None:
    size = 24 * MIB
    one = await client(far, size)
    far.link.reset_counts()
    await one.take(0, 5 * MIB)
    await one.take(5 * MIB + 1, size)
    assert one.world.moved <= size + 4 * MIB
    far.link.reset_counts()
    async with one.asks(f"bytes={size - 1}-", 30) as answer:
        assert (answer.status, await answer.read()) == (206, one.whole[-1:])
    assert far.moved <= PROBES


@steady
async def test_plain_pull(far: SiteBehindLink) -> None:
    one = await client(far, 20 * MIB + 5)

    async def replay() -> None:
        async with one.asks(None, 30) as answer:
            assert (answer.status, await answer.read()) == (200, one.whole)
            one.read += len(one.whole)

    await cold_then_warm("containerd, docker", one, replay, len(one.whole))


@steady
async def test_twenty_nodes_in_background_fetch(near: SiteBehindLink) -> None:
    """Every node asks for every block of every layer, each in an order of its own, two in flight."""
    world = near
    layers = [await client(world, size) for size in (6_682_559, 6_294_163, 7_090_438, 890)]
    world.link.reset_counts()
    image = sum(len(layer.whole) for layer in layers)
    blocks = [
        (layer, start, min(len(layer.whole), start + BLOCK))
        for layer in layers
        for start in range(0, len(layer.whole), BLOCK)
    ]
    began = time.monotonic()

    async def node(seed: int) -> None:
        todo = random.Random(seed).sample(blocks, len(blocks))

        async def worker() -> None:
            while todo:
                layer, start, stop = todo.pop()
                await layer.get(start, stop)

        await asyncio.gather(worker(), worker())

    await asyncio.gather(*(node(seed) for seed in range(20)))
    print(
        f"\n20 nodes: {20 * len(blocks)} ranges in {time.monotonic() - began:.1f} s,"
        f" over the link {world.moved} of {image} ({world.moved / image:.4f}),"
        f" {world.link.counts.requests} requests"
    )
    assert world.moved <= 1.05 * image


@steady
async def test_the_size_of_a_cold_blob_is_asked_once_a_process(behind_link: SiteBehindLink) -> None:
    """HEAD of a cold blob, over two workers and after a restart. What a manifest says of it is no answer."""
    world = behind_link
    _, layer = content(3 * MIB + 1, next(SEEDS))
    digest = world.parent.add_image("1", layer)
    await world.start()
    assert (await world.get(f"{world.node.url}/v2/team/app/manifests/{digest}"))[0] == 200
    one = Client(world, Digest.of(layer), layer)
    for _ in range(2):
        world.parent.requests.clear()
        for _ in range(12):  # each over a connection of its own: both workers are asked
            await one.head()
        asked = [each for each in world.parent.requests if each[1] != "/v2/"]
        assert 1 <= len(asked) <= 2, asked
        assert {each[0] for each in asked} == {"HEAD"}
        await world.stop()
        await world.start()
