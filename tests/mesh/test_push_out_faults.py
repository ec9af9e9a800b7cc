"""Pushes that break: where they go on, in the same process and in the next, and how a registry is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from aiohttp import web

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.failures import StoreFull
from registry_mesh.stores.memory.records import MemoryRecords
from tests.content.snapshot.test_rule_keys import replica_of, troubles
from tests.simulators.cloud import CHUNK, CLOUD, Cloud, cloud_of
from tests.simulators.gateway import Pass
from tests.simulators.images import random_bytes
from tests.simulators.replica import Replica

CHUNKS = 6
UPLOADS = "receipts/uploads/"


@dataclass
class Push:
    """A large layer on its way, and the bytes of its chunks that the registry was sent."""

    cloud: Cloud
    replica: Replica
    layer: bytes
    sent: int = 0
    ends: Callable[[web.Request, int], Awaitable[web.Response | None]] | None = None
    """Given a chunk and its number: what to answer in the registry's stead."""
    number: int = 0

    async def ill(self, request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if request.method == "PATCH":
            self.number += 1
            self.sent += len(body)
            if self.ends is not None and (answer := await self.ends(request, self.number)) is not None:
                return answer
        return await ask()

    async def is_there(self) -> bool:
        return await self.cloud.blob("a", Digest.of(self.layer)) == self.layer


@pytest.fixture
async def push(there: str) -> AsyncIterator[Push]:
    async with cloud_of(there) as cloud:
        layer = random_bytes(cloud.folder, CHUNKS * CHUNK)
        replica = replica_of(f"repos: a, tags: v1, {cloud.to()}")
        replica.source["a"].image("large", "v1", layers=[layer])
        made = Push(cloud, replica, layer)
        cloud.gateway.ill = made.ill
        yield made


@pytest.mark.parametrize("status", [502, 408, 416, 500])
async def test_a_chunk_that_fails_is_sent_again_and_no_other(status: int, push: Push) -> None:
    async def ends(request: web.Request, number: int) -> web.Response | None:
        return web.Response(status=status) if number == 3 else None

    push.ends = ends
    async with push.cloud.pushing(push.replica) as node:
        outcome = await node.run()
    assert (troubles(outcome), await push.is_there()) == ([], True)
    assert push.sent == (CHUNKS + 1) * CHUNK
    (image,) = push.replica.source["a"].manifests.values()
    assert outcome.size == 2 * sum(blob.size for blob in image.blobs())


@pytest.mark.parametrize("method", ["HEAD", "PUT"])
async def test_a_manifest_that_fails_for_a_moment_is_sent_in_the_same_run(method: str, push: Push) -> None:
    left = 2

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        nonlocal left
        if left and request.method == method and "/manifests/" in request.path:
            left -= 1
            return web.Response(status=503)
        return await ask()

    push.cloud.gateway.ill = ill
    async with push.cloud.pushing(push.replica) as node:
        outcome = await node.run()
    assert (troubles(outcome), left) == ([], 0)
    (image,) = push.replica.source["a"].manifests.values()
    assert await push.cloud.digest("a", "v1") == str(image.digest)


async def kill_at(push: Push, chunk: int) -> None:
    """End a process while the chunk of that number is on its way."""
    hangs = asyncio.Event()

    async def ends(request: web.Request, number: int) -> web.Response | None:
        if number != chunk:
            return None
        hangs.set()
        await asyncio.Event().wait()
        return None

    push.ends = ends
    async with push.cloud.pushing(push.replica) as node:
        run = asyncio.create_task(node.run())
        await asyncio.wait_for(hangs.wait(), 60)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    push.ends = None


async def noted(push: Push) -> list[str]:
    """The uploads that the next process would go on with."""
    return [key async for key in push.replica.blobs.records.walk(UPLOADS)]


async def test_a_killed_push_goes_on_in_the_next_process(push: Push) -> None:
    await kill_at(push, 4)
    digest = Digest.of(push.layer)
    assert await noted(push) == [f"{UPLOADS}{CLOUD}/{push.cloud.folder}/a/{digest.hex}.json"]
    brought = push.replica.source.sent
    async with push.cloud.pushing(push.replica) as node:
        assert troubles(await node.run()) == []
    assert await push.is_there()
    assert push.sent == (CHUNKS + 1) * CHUNK
    assert brought >= len(push.layer) > push.replica.source.sent
    assert await noted(push) == []


async def test_the_next_process_sends_chunks_as_large_as_the_registry_asked_for(push: Push) -> None:
    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if request.method == "PATCH" and len(body) < 2 * CHUNK:
            return web.Response(status=400)
        answer = await push.ill(request, body, ask)
        if request.method == "POST":
            answer.headers["OCI-Chunk-Min-Length"] = str(2 * CHUNK)
        return answer

    push.cloud.gateway.ill = ill
    await kill_at(push, 2)
    async with push.cloud.pushing(push.replica) as node:
        assert troubles(await node.run()) == []
    assert await push.is_there()
    assert push.sent == (CHUNKS + 2) * CHUNK


async def test_an_upload_whose_chunks_are_refused_for_good_goes_in_one_request(push: Push) -> None:
    async def ends(request: web.Request, number: int) -> web.Response | None:
        return web.Response(status=400) if number > 1 else None

    push.ends = ends
    async with push.cloud.pushing(push.replica) as node:
        outcome = await node.run()
    assert (troubles(outcome), await push.is_there(), await noted(push)) == ([], True, [])
    assert len(push.cloud.asked("PATCH")) == 5
    (image,) = push.replica.source["a"].manifests.values()
    assert outcome.size == 2 * sum(blob.size for blob in image.blobs())


async def test_an_upload_that_is_refused_in_every_way_is_not_gone_on_with(push: Push) -> None:
    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        refused = request.method == "PATCH" or (request.method == "PUT" and len(body) > CHUNK)
        return web.Response(status=400) if refused else await ask()

    push.cloud.gateway.ill = ill
    async with push.cloud.pushing(push.replica) as node:
        assert any("answered 400 to blob" in each for each in troubles(await node.run()))
    assert await noted(push) == []
    push.cloud.gateway.ill = push.ill
    async with push.cloud.pushing(push.replica) as node:
        assert troubles(await node.run()) == []
    assert await push.is_there()


class FullForUploads(MemoryRecords):
    """Has no room for where uploads stand."""

    async def put(self, key: str, data: bytes) -> None:
        if key.startswith(UPLOADS):
            raise StoreFull("no room")
        await super().put(key, data)


async def test_a_push_goes_on_where_its_own_notes_cannot_be_kept(push: Push) -> None:
    push.replica.blobs.records = FullForUploads()
    async with push.cloud.pushing(push.replica) as node:
        assert troubles(await node.run()) == []
    assert await push.is_there()
    assert push.sent == CHUNKS * CHUNK


async def test_an_upload_that_the_registry_forgot_begins_anew(push: Push) -> None:
    forgot = False

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        nonlocal forgot
        if request.method == "PATCH" and push.number == 3 and not forgot:
            forgot = True
            await push.cloud.client.delete(push.cloud.there + request.raw_path)
        return await push.ill(request, body, ask)

    push.cloud.gateway.ill = ill
    async with push.cloud.pushing(push.replica) as node:
        assert troubles(await node.run()) == []
    assert forgot
    assert await push.is_there()


async def test_a_registry_that_asks_for_patience_is_given_it(push: Push) -> None:
    async def ends(request: web.Request, number: int) -> web.Response | None:
        return web.Response(status=429, headers={"Retry-After": "1"}) if number == 2 else None

    push.ends = ends
    async with push.cloud.pushing(push.replica) as node:
        outcome = await node.run()
    assert troubles(outcome) == []
    assert await push.is_there()
    assert push.sent == (CHUNKS + 1) * CHUNK


async def test_manifests_and_tags_wait_too_where_patience_is_asked_for(push: Push) -> None:
    refused: set[str] = set()

    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        if request.method == "PUT" and "/manifests/" in request.path and request.path not in refused:
            refused.add(request.path)
            return web.Response(status=429, headers={"Retry-After": "0"})
        return await ask()

    push.cloud.gateway.ill = ill
    replica = replica_of(f"repos: a, tags: v1, {push.cloud.to()}")
    image = replica.source["a"].image("small", "v1")
    async with push.cloud.pushing(replica) as node:
        assert troubles(await node.run()) == []
    assert len(refused) == 2
    assert await push.cloud.digest("a", "v1") == str(image.digest)


async def test_a_registry_that_is_down_is_a_trouble_and_what_is_kept_here_comes_all_the_same(
    push: Push,
) -> None:
    async def ill(request: web.Request, body: bytes, ask: Pass) -> web.Response:
        return web.Response(status=503)

    push.cloud.gateway.ill = ill
    replica = replica_of(f"repos: a, tags: v1, {push.cloud.to()}", "repos: b, tags: v1")
    replica.source["a"].image("one", "v1")
    image = replica.source["b"].image("two", "v1")
    async with push.cloud.pushing(replica) as node:
        told = troubles(await node.run())
    assert told
    assert await node.tags("b") == {"v1": image.digest}
