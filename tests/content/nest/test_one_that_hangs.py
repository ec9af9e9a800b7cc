"""One registry that accepts and sends nothing, beside one that is well: how many wait for it, and what others get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import MIB
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.liveness import Patience
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.eventually import eventually
from tests.simulators.bare import answer_head, listening
from tests.simulators.slow import SlowRegistry
from tests.suites.bytes_of import pattern, read

MOST = 4
"""Requests that one parent may leave unanswered here; a quarter of what a process serves otherwise."""

FOREVER = 3600.0
SLOTS = Patience(stall=FOREVER, drip=FOREVER, suspect=FOREVER, head=FOREVER, unanswered=MOST)
BLOBS = [pattern(size, seed=size) for size in range(5 * MIB, 5 * MIB + 3 * MOST)]
HEAD = len(answer_head(None, len(BLOBS[0])))
HELD = {str(Digest.of(data)): data for data in BLOBS}


class Node:
    """One process's fills, for several registries."""

    def __init__(self, stack: AsyncExitStack, store: DiskStore) -> None:
        self._stack, self._store, self.fills = stack, store, Fills(store)
        stack.push_async_callback(self.fills.close)

    async def before(self, registry: SlowRegistry) -> PullThrough:
        client = await self._stack.enter_async_context(open_session())
        session = ParentSession(client, registry.url, None, SLOTS, ns="never")
        source = UpstreamRegistry(session, RegistryName("r.example")).repository(RepositoryName("a"))
        return PullThrough(self._store, source.blobs, self.fills)


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        store = await DiskStore.start(tmp_path / "store")
        stack.push_async_callback(store.close)
        yield Node(stack, store)


def done(tasks: Sequence[asyncio.Future[bytes]]) -> list[asyncio.Future[bytes]]:
    """Those that have ended."""
    return [task for task in tasks if task.done()]


@pytest.mark.parametrize("sends", [1, HEAD], ids=["no head", "a head and no body"])
async def test_it_takes_no_more_than_its_share_and_the_others_none_of_it(node: Node, sends: int) -> None:
    """In order of completion: what is one too many fails at once, then the other registry's, and its own last."""
    async with (
        listening(SlowRegistry(blobs=HELD, step=MIB, pause=0.0)) as good,
        listening(SlowRegistry(blobs=HELD, step=sends, pause=FOREVER, drips_head=True)) as hung,
    ):
        bad, well = await node.before(hung), await node.before(good)
        ours, others = BLOBS[: 2 * MOST], BLOBS[2 * MOST :]
        waiting = [asyncio.ensure_future(read(bad, Digest.of(data))) for data in ours[:MOST]]
        await eventually(lambda: hung.asked == MOST and (sends < HEAD or len(node.fills.open) == MOST))
        for data in ours[MOST:]:
            async with asyncio.timeout(60):
                with pytest.raises(SourceUnavailable, match=f"leaves {MOST} requests without an answer"):
                    await read(bad, Digest.of(data))
        for data in others:
            assert await read(well, Digest.of(data)) == data
        assert not done(waiting) and hung.asked == MOST, "they still wait"
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
