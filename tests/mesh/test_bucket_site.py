"""Servers of a site over one bucket, each with a spool of its own and two processes; the bucket is a real one,
behind a link that can fail."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.oci.digest import Digest
from tests.clients import nodes
from tests.eventually import eventually
from tests.mesh.conftest import same
from tests.simulators.bucket import Bucket
from tests.simulators.link import Link
from tests.simulators.parent import PlainParent, plain_parent
from tests.simulators.pauses import Pauses, patient_client, steady, watched
from tests.suites.bytes_of import pattern

pytestmark = [pytest.mark.s3, pytest.mark.slow]

BROKEN = (aiohttp.ClientError, ConnectionError, TimeoutError)


@dataclass
class Servers:
    """Three servers, none started."""

    parent: PlainParent
    link: Link
    to_bucket: Link
    nodes: list[nodes.Node]
    client: aiohttp.ClientSession
    pauses: Pauses
    blobs: dict[Digest, bytes] = field(default_factory=dict)

    def add(self, data: bytes) -> Digest:
        digest = self.parent.add(data)
        self.blobs[digest] = data
        return digest

    async def start(self, index: int) -> None:
        """Unless it runs."""
        if self.nodes[index].process is None:
            await asyncio.to_thread(self.nodes[index].start)

    async def get(self, index: int, path: str, span: tuple[int, int] | None = None) -> tuple[int, bytes]:
        headers = {"Range": f"bytes={span[0]}-{span[1] - 1}"} if span else {}

        async def ask() -> tuple[int, bytes]:
            url = f"{self.nodes[index].url}/v2/team/app/{path}"
            async with self.client.get(url, headers=headers) as answer:
                return answer.status, await answer.read()

        return await self.pauses.whole(ask)

    async def sent(self, digest: Digest) -> None:
        """Until the other server has it from the bucket: the parent is dead meanwhile."""
        self.link.conditions.refuse = True

        async def has() -> bool:
            try:
                return same(await self.get(1, f"blobs/{digest}"), 200, self.blobs[digest])
            except aiohttp.ClientPayloadError:  # what was left of it was to come of the parent
                return False

        await eventually(has, digest, 180, pause=0.2)  # an upload that hangs is given up after `timeout`
        self.link.conditions.refuse = False


@pytest_asyncio.fixture
async def servers(bucket: Bucket, tmp_path: Path) -> AsyncIterator[Servers]:
    prefix = bucket.prefix()
    async with AsyncExitStack() as stack:
        parent = await stack.enter_async_context(plain_parent())
        link = await stack.enter_async_context(Link("127.0.0.1", parent.port))
        to_bucket = await stack.enter_async_context(
            Link("127.0.0.1", int(bucket.endpoint.rpartition(":")[2]))
        )
        client = await stack.enter_async_context(patient_client())
        pauses = await stack.enter_async_context(watched())
        made = [
            nodes.site(
                tmp_path / name,
                link.url,
                workers=2,
                store={"s3": s3_of(bucket, prefix, to_bucket.url, tmp_path / name / "spool", redirect)},
            )
            for name, redirect in (("one", "off"), ("two", "blobs"), ("three", "off"))
        ]
        for node in made:
            node.environment = bucket.keys
            stack.push_async_callback(asyncio.to_thread, node.kill)
        yield Servers(parent, link, to_bucket, made, client, pauses)


def s3_of(bucket: Bucket, prefix: str, endpoint: str, spool: Path, redirect: str) -> dict[str, Any]:
    return {
        "bucket": bucket.name,
        "endpoint": endpoint,
        "region": bucket.region,
        "prefix": prefix,
        "redirect": redirect,
        "timeout": "5s",
        "spool": {"path": str(spool), "quota": 48 * MIB},
    }


SEEDS = itertools.count(1000)
"""Of blobs that are others where a test is done once more."""


@steady
async def test_many_readers_of_a_cold_blob_and_then_the_other_server_has_it(servers: Servers) -> None:
    whole = pattern(20 * MIB + 99, seed=next(SEEDS))
    digest = servers.add(whole)
    servers.link.conditions.rate = 60e6
    await servers.start(0)
    rng = random.Random(5)

    async def reader(index: int) -> None:
        if index % 3 == 0:
            assert same(await servers.get(0, f"blobs/{digest}"), 200, whole)
            return
        start = rng.randrange(len(whole))
        stop = min(len(whole), start + rng.randrange(1, 4 * MIB))
        assert same(await servers.get(0, f"blobs/{digest}", (start, stop)), 206, whole[start:stop])

    servers.link.reset_counts()
    await asyncio.gather(*(reader(i) for i in range(40)))
    assert servers.link.counts.body_bytes <= 1.01 * len(whole)
    await servers.start(1)
    await servers.sent(digest)
    assert same(await servers.get(1, f"blobs/{digest}", (5, 3 * MIB)), 206, whole[5 : 3 * MIB])


async def test_clients_are_sent_to_the_bucket_for_what_is_large(servers: Servers) -> None:
    whole = pattern(6 * MIB)
    digest = servers.add(whole)
    await servers.start(0)
    assert same(await servers.get(0, f"blobs/{digest}"), 200, whole)
    await servers.start(1)
    await servers.sent(digest)
    url = f"{servers.nodes[1].url}/v2/team/app/blobs/{digest}"
    async with servers.client.get(url, allow_redirects=False) as answer:
        assert answer.status == 307
        assert answer.headers["Location"].startswith(servers.to_bucket.url)
    for _ in range(8):  # both processes, while a small range has it filled, too
        for ranges, status in (("bytes=0-99", 206), ("bytes=0-9,100-109", 206), ("bytes=-2000000", 307)):
            async with servers.client.get(url, headers={"Range": ranges}, allow_redirects=False) as answer:
                assert answer.status == status, ranges
    async with servers.client.get(url, headers={"Range": "bytes=1000000-4000000"}) as answer:
        assert (answer.status, await answer.read()) == (206, whole[1_000_000:4_000_001])
    async with servers.client.get(
        f"{servers.nodes[0].url}/v2/team/app/blobs/{digest}", allow_redirects=False
    ) as answer:
        assert answer.status == 200, "redirects are off there"


async def bring_to_the_bucket(servers: Servers, size: int, client_of: int) -> tuple[Digest, bytes]:
    """A blob that is in the bucket and not in the spool of `client_of`, which runs then. The parent is gone."""
    whole = pattern(size)
    digest = servers.add(whole)
    await servers.start(0)
    assert same(await servers.get(0, f"blobs/{digest}"), 200, whole)
    await servers.start(1)
    await servers.sent(digest)
    await servers.start(client_of)
    servers.link.conditions.refuse = True
    servers.to_bucket.reset_counts()
    return digest, whole


async def test_what_comes_from_the_bucket_is_kept_in_the_spool(servers: Servers) -> None:
    digest, whole = await bring_to_the_bucket(servers, 12 * MIB, 2)
    assert same(
        await servers.get(2, f"blobs/{digest}", (5 * MIB, 5 * MIB + 99)), 206, whole[5 * MIB : 5 * MIB + 99]
    )
    assert servers.to_bucket.counts.body_bytes < MIB, "a range moves its chunks"
    readers = [servers.get(2, f"blobs/{digest}") for _ in range(20)]
    assert all(same(answer, 200, whole) for answer in await asyncio.gather(*readers))
    assert servers.to_bucket.counts.body_bytes < 1.1 * len(whole), "once for all processes and readers"
    servers.to_bucket.conditions.refuse = True
    assert same(await servers.get(2, f"blobs/{digest}"), 200, whole)
    assert same(await servers.get(2, f"blobs/{digest}", (7, MIB)), 206, whole[7:MIB])


@pytest.mark.parametrize("fault", [{"cut_every": 4 * MIB}, {"stall_after": 4 * MIB}, {"flip_at": 6 * MIB}])
async def test_where_the_bucket_fails_in_the_middle_the_parent_goes_on(
    servers: Servers, fault: dict[str, int]
) -> None:
    digest, whole = await bring_to_the_bucket(servers, 12 * MIB, 2)
    servers.link.conditions.refuse = False
    for name, value in fault.items():
        setattr(servers.to_bucket.conditions, name, value)
    before = servers.link.counts.body_bytes
    assert same(await servers.get(2, f"blobs/{digest}"), 200, whole)
    from_parent = servers.link.counts.body_bytes - before
    assert from_parent > 0
    if "flip_at" not in fault:  # the bucket may be asked again, sooner or later, and never for the same
        assert from_parent + servers.to_bucket.counts.body_bytes < len(whole) + 2 * MIB


async def test_killed_under_load_neither_says_a_wrong_byte(servers: Servers) -> None:
    """A spool smaller than what is pulled, servers that die in turn."""
    rng = random.Random(11)
    for index in range(8):
        servers.add(pattern(rng.randrange(1, 12 * MIB), seed=index))
    digests = list(servers.blobs)

    async def reader(until: float) -> None:
        while time.monotonic() < until:
            digest, server = rng.choice(digests), rng.randrange(2)
            whole = servers.blobs[digest]
            start = rng.randrange(len(whole))
            stop = rng.randrange(start, len(whole)) + 1
            try:
                span = (start, stop) if rng.random() < 0.5 else (0, len(whole))
                status, body = await servers.get(server, f"blobs/{digest}", span)
                assert status in (206, 503)
                assert status == 503 or body == whole[span[0] : span[1]], "a wrong byte"
            except BROKEN:
                await asyncio.sleep(0.05)

    for life in range(6):
        for index in (0, 1):
            await servers.start(index)
        seconds = rng.uniform(0.2, 1.2)
        readers = [asyncio.create_task(reader(time.monotonic() + seconds + 0.2)) for _ in range(6)]
        await asyncio.sleep(seconds)
        await asyncio.to_thread(servers.nodes[life % 2].kill)
        await asyncio.gather(*readers)
    await servers.start(1)
    for index in (0, 1):
        await servers.start(index)
        for digest, whole in servers.blobs.items():
            assert same(await servers.get(index, f"blobs/{digest}"), 200, whole)


async def status(servers: Servers, index: int) -> dict[str, Any]:
    async with servers.client.get(f"{servers.nodes[index].admin}/status") as answer:
        told: dict[str, Any] = await answer.json()
    return told


@pytest.mark.parametrize("how", ["refuse", "hang"])
async def test_a_bucket_that_is_gone_holds_up_nobody(servers: Servers, how: str) -> None:
    image = servers.parent.add_image("1", pattern(2 * MIB))
    warm = ["manifests/1", f"manifests/{image}", f"blobs/{Digest.of(pattern(2 * MIB))}"]
    await servers.start(0)
    for path in warm:
        assert (await servers.get(0, path))[0] == 200
    setattr(servers.to_bucket.conditions, how, True)
    took = []
    for seed in range(3, 7):
        data = pattern(3 * MIB, seed=seed)
        answer, seconds = await servers.pauses.timed(servers.get(0, f"blobs/{servers.add(data)}"))
        assert same(answer, 200, data)
        took.append(seconds)
        for path in warm:
            answer, seconds = await servers.pauses.timed(servers.get(0, path))
            assert answer[0] == 200
            took.append(seconds)
    found = await eventually(
        lambda: status(servers, 0),
        "the fault to be found",
        pause=0.05,
        until=lambda said: said["store"]["fault"] is not None,
    )
    assert "the bucket" in found["store"]["fault"]
    log = servers.nodes[0].log
    await eventually(lambda: log.read_text().count("the store cannot be written to") == 1, log.read_text)
    print(f"\nbucket {how}s:", *(f"{seconds * 1e3:.0f}" for seconds in took), "ms")
    assert max(took) < 10
    moved = servers.link.counts.body_bytes
    for seed in range(3, 7):
        data = pattern(3 * MIB, seed=seed)
        assert same(await servers.get(0, f"blobs/{Digest.of(data)}"), 200, data)
    assert servers.link.counts.body_bytes <= moved + 100, "they are in the spool"
    setattr(servers.to_bucket.conditions, how, False)
    await eventually(
        lambda: status(servers, 0),
        "the fault to be over",
        pause=0.05,
        until=lambda said: said["store"]["fault"] is None,
    )
    await servers.start(1)
    await servers.sent(Digest.of(pattern(3 * MIB, seed=6)))
