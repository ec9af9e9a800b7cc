"""A site with two parents of which the first is bad: what its clients get, and who is blamed. Real processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.oci.digest import Digest
from tests.clients import nodes
from tests.eventually import eventually
from tests.mesh.conftest import SiteBehindLink, same
from tests.simulators.link import Link
from tests.simulators.parent import plain_parent
from tests.simulators.pauses import patient, watched
from tests.suites.bytes_of import pattern

pytestmark = pytest.mark.slow

BROKEN = (aiohttp.ClientError, ConnectionError, TimeoutError)
SIZE = (12 << 20) + 777


@dataclass
class TwoParents(SiteBehindLink):
    """`link`, asked first, is the bad way; `honest` leads to the same parent and is good."""

    honest: Link
    origin: nodes.Node | None = None

    async def add(self, data: bytes) -> Digest:
        """To the parent, whichever it is."""
        if self.origin is None:
            return self.parent.add(data)
        digest = Digest.of(data)
        url = f"{self.origin.url}/v2/team/app/blobs/uploads/?digest={digest}"
        async with self.client.post(url, data=data) as answer:
            assert answer.status == 201, await answer.text()
        return digest

    async def received(self) -> int:
        """Bytes of bodies that reached the site; a link that breaks loses some on their way."""
        async with self.client.get(f"{self.node.admin}/status") as answer:
            return sum((await answer.json())["counters"]["upstream_bytes_total"].values())

    async def lies(self) -> tuple[int, int]:
        """Of the bad parent and of the honest one, as the operator sees them: in both places, though one may be counted
        between the two looks."""
        told: tuple[int, int] = await eventually(self._lies, "status and metrics to say the same")
        return told

    async def _lies(self) -> tuple[int, int] | None:
        async with self.client.get(f"{self.node.admin}/status") as answer:
            groups = (await answer.json())["registries"][nodes.REGISTRY]["parents"]
        async with self.client.get(f"{self.node.admin}/metrics") as answer:
            metrics = await answer.text()
        (bad,), (honest,) = groups
        for parent in (bad, honest):
            name, count = parent["url"].partition("://")[2], float(parent["lies"])
            if (
                f'registry_mesh_lies_total{{parent="{name}",registry="{nodes.REGISTRY}"}} {count}'
                not in metrics
            ):
                return None
        return bad["lies"], honest["lies"]

    async def lie(self, pull: Callable[[int], Awaitable[None]]) -> None:
        """Pull something, by its number: the bad parent is known to have lied then. Where a pause of the machine made
        it late, and the honest one was the first to answer, something else is pulled."""
        async with watched() as pauses:
            for number in range(3):
                began = time.monotonic()
                await pull(number)
                lies, honest = await self.lies()
                assert honest == 0
                if lies:
                    return
                assert pauses.stood_since(began), "no lie was noticed"
        raise AssertionError("no lie was noticed, and the machine stood still again and again")


@asynccontextmanager
async def two_parents(kind: str, folder: Path) -> AsyncIterator[TwoParents]:
    """The parent is a `plain` registry, or an origin of `ours`, which has chunk maps. The site is not started."""
    async with AsyncExitStack() as stack:
        origin = nodes.origin(folder / "origin") if kind == "ours" else None
        if origin is not None:
            await asyncio.to_thread(origin.start)
            stack.push_async_callback(asyncio.to_thread, origin.kill)
        parent = await stack.enter_async_context(plain_parent())
        port = origin.port if origin is not None else parent.port
        bad = await stack.enter_async_context(Link("127.0.0.1", port))
        honest = await stack.enter_async_context(Link("127.0.0.1", port))
        client, pauses = await stack.enter_async_context(patient())
        both = nodes.registries(bad.url, honest.url, hedge="none")  # the bad one is to be the first to answer
        node = nodes.site(folder / "site", registries=both, workers=2)
        made = TwoParents(parent, bad, node, client, pauses, honest, origin)
        stack.push_async_callback(made.kill)
        yield made


@pytest_asyncio.fixture(params=["plain", "ours"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TwoParents]:
    async with two_parents(request.param, tmp_path) as made:
        yield made


plain = pytest.mark.parametrize("world", ["plain"], indirect=True)
ours = pytest.mark.parametrize("world", ["ours"], indirect=True)
FLIPS = pytest.mark.parametrize("flip", [5, (6 << 20) + 5, SIZE - 1], ids=["first", "middle", "last"])


@plain
@FLIPS
async def test_a_lying_registry_is_named_and_asked_no_more(world: TwoParents, flip: int) -> None:
    world.link.conditions.flip_at = flip
    await world.start()

    async def pull(number: int) -> None:
        whole = pattern(SIZE, seed=number)
        digest = await world.add(whole)
        broken = 0
        while True:
            try:
                assert same(await world.get(world.blob(digest)), 200, whole)
                break
            except BROKEN:  # it was cut off before its end
                broken += 1
        assert broken <= 4, "a lie for each of two workers, twice"

    await world.lie(pull)


@ours
@FLIPS
async def test_with_a_chunk_map_a_liar_is_not_even_noticed(world: TwoParents, flip: int) -> None:
    world.link.conditions.flip_at = flip
    await world.start()
    start = max(0, flip - 70_000)

    async def pull(number: int) -> None:
        whole = pattern(SIZE, seed=number)
        digest = await world.add(whole)
        assert same(await world.get(world.blob(digest), (start, flip + 1)), 206, whole[start : flip + 1])
        assert same(await world.get(world.blob(digest)), 200, whole)

    await world.lie(pull)


@ours
@FLIPS
async def test_without_another_parent_a_range_that_is_wrong_does_not_leave(
    world: TwoParents, flip: int
) -> None:
    whole = pattern(SIZE)
    digest = await world.add(whole)
    world.link.conditions.flip_at = flip
    world.honest.conditions.refuse = True
    await world.start()
    chunk = flip // CHUNK * CHUNK
    for span in ((chunk, min(SIZE, chunk + CHUNK)), (flip, flip + 1)):
        try:
            status, _ = await world.get(world.blob(digest), span)
        except BROKEN:
            continue
        assert status == 503, "a wrong byte left"
    got = b""
    try:
        async with world.client.get(world.blob(digest)) as answer:
            async for data in answer.content.iter_any():
                got += data if answer.status == 200 else b""
    except BROKEN:
        pass
    assert whole[:chunk].startswith(got)
    world.honest.conditions.refuse = False

    async def answer() -> tuple[int, bytes]:
        try:
            return await world.get(world.blob(digest))
        except BROKEN:
            return 0, b""

    answered = await eventually(answer, "the honest parent", 60, 0.05, lambda answer: answer[0] == 200)
    assert answered[1] == whole


async def test_a_stream_that_stalls_goes_on_at_the_other_parent(world: TwoParents) -> None:
    whole = pattern(SIZE)
    digest = await world.add(whole)
    world.link.conditions.stall_after = 5_000_000
    await world.start()
    answer, seconds = await world.pauses.timed(world.get(world.blob(digest)))
    assert same(answer, 200, whole)
    assert seconds < 20
    assert await world.lies() == (0, 0)
    assert await world.received() <= len(whole) + 2 * CHUNK


async def test_a_wrong_content_range_is_made_up_for_by_the_other_parent(world: TwoParents) -> None:
    world.link.conditions.wrong_content_range = True
    await world.start()
    span = (3 * CHUNK + 9, 5 * CHUNK + 70)

    async def pull(number: int) -> None:
        whole = pattern(SIZE, seed=number)
        digest = await world.add(whole)
        assert same(await world.get(world.blob(digest), span), 206, whole[span[0] : span[1]])
        assert same(await world.get(world.blob(digest)), 200, whole)

    await world.lie(pull)


@plain
async def test_a_link_that_breaks_every_20_mib_is_not_seen(world: TwoParents) -> None:
    whole = pattern(64 << 20)
    digest = await world.add(whole)
    world.link.conditions.cut_every = world.honest.conditions.cut_every = 20 << 20
    await world.start()
    assert same(await world.get(world.blob(digest)), 200, whole)
    assert await world.received() <= 1.03 * len(whole)
