"""Work that nobody waits for goes behind what clients wait for: of one parent, and of its quota."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from registry_mesh.chunks.chunk_map import CHUNK, MIB
from registry_mesh.content.fill.behind import BackgroundPace
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.rivals import NoRivals
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover_registry import FailoverRegistry
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.content.snapshot.copying.copy_blob import CopyByIngest
from registry_mesh.content.snapshot.copying.copy_by_fill import CopyByFill
from registry_mesh.content.snapshot.copying.copy_graph import Bring
from registry_mesh.content.snapshot.copying.offer import Offer
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.urgency import LONGEST, Urgency, unhurried
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.health.background import LATELY
from registry_mesh.upstream.health.board import Card
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from tests.eventually import SECONDS, eventually
from tests.simulators.bare import listening
from tests.simulators.images import LAYER
from tests.simulators.origins import HandClock
from tests.simulators.slow import SlowRegistry
from tests.simulators.source import SimulatedSource
from tests.simulators.upstream import PATIENT
from tests.suites.bytes_of import pattern, read

NAME = RegistryName("r.example")
CLIENTS, BEHIND = pattern(4 * MIB, seed=51), pattern(4 * MIB, seed=52)


class Node:
    """A cache before one parent, which gives what clients ask for in steps, and all else at once. By its clock, which
    the test moves, clients were at the parent just now."""

    def __init__(
        self,
        parent: SlowRegistry,
        store: DiskStore,
        fills: Fills,
        parents: FailoverRegistry,
        clock: HandClock,
    ) -> None:
        self.parent, self._store, self.fills, self.parents = parent, store, fills, parents
        self._clock = clock
        self.source = parents.repository(RepositoryName("team/app")).blobs
        self.cache = PullThrough(store, self.source, fills, rivals=parents.rivals)
        self.copied = 0

    async def pull(self, data: bytes) -> None:
        async with asyncio.timeout(SECONDS):
            assert await read(self.cache, Digest.of(data)) == data

    async def copy(self, data: bytes, *, whole: bool = False) -> None:
        """As a run of a replica does; `whole`: over a bucket."""
        bring: Bring = CopyByFill(
            self._store, self.fills, lambda *_: None, rivals=lambda _: self.parents.rivals
        )
        if whole:
            bring = CopyByIngest(self._store, rivals=lambda _: self.parents.rivals)
        with unhurried(longest=3600.0):  # however long this machine takes
            await bring(Offer(self.source, NAME), Descriptor(LAYER, Digest.of(data), len(data)), self._moved)

    def _moved(self, size: int) -> None:
        self.copied += size

    def clients_are_done(self) -> None:
        """For so long that what nobody waits for may have its turn."""
        self._clock.now += LATELY

    def comes(self, data: bytes) -> int:
        """Bytes of it that have come."""
        fill = self.fills.get(Digest.of(data))
        return fill.state.fetched if fill is not None else 0


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    clock = HandClock()
    async with AsyncExitStack() as stack:
        held = {str(Digest.of(data)): data for data in (CLIENTS, BEHIND)}
        parent = await stack.enter_async_context(
            listening(SlowRegistry(blobs=held, step=CHUNK, pause=0.03, whole=BEHIND))
        )
        store = await DiskStore.start(tmp_path / "store")
        stack.push_async_callback(store.close)
        client = await stack.enter_async_context(open_session())
        fills = Fills(store)
        stack.push_async_callback(fills.close)
        session = ParentSession(client, parent.url, None, PATIENT, ns="never", card=Card.alone(clock))
        parents = FailoverRegistry(NAME, [[UpstreamRegistry(session, NAME)]], Distrusted())
        yield Node(parent, store, fills, parents, clock)


@pytest.mark.parametrize("whole", [False, True])
async def test_it_begins_when_clients_are_done(node: Node, whole: bool) -> None:
    pull = asyncio.create_task(node.pull(CLIENTS))
    await eventually(lambda: node.comes(CLIENTS), "bytes for the client")
    copy = asyncio.create_task(node.copy(BEHIND, whole=whole))
    await pull
    assert node.parent.asked == 1, "nothing else was asked for meanwhile"
    node.clients_are_done()
    await copy
    assert node.copied == len(BEHIND)


async def test_what_has_begun_stands_still_while_clients_are_there(node: Node) -> None:
    node.parent.whole = b""
    copy = asyncio.create_task(node.copy(BEHIND))
    await eventually(lambda: node.comes(BEHIND), "bytes for the run")
    pull = asyncio.create_task(node.pull(CLIENTS))
    await eventually(lambda: node.comes(CLIENTS), "bytes for the client")
    before = node.comes(BEHIND)
    await pull
    # What had left the parent by then comes; all of it would be here by now, as it began first.
    assert before <= node.comes(BEHIND) < len(BEHIND)
    node.clients_are_done()
    await copy
    assert node.parent.asked == 2, "and goes on where it was"


async def test_a_client_that_comes_to_wait_for_it_does_not_wait_for_others(node: Node) -> None:
    pull = asyncio.create_task(node.pull(CLIENTS))
    await eventually(lambda: node.comes(CLIENTS), "bytes for the client")
    node.parent.gate = asyncio.Event()
    copy = asyncio.create_task(node.copy(BEHIND))
    await asyncio.sleep(0)
    await node.pull(BEHIND)
    assert not pull.done()
    node.parent.gate.set()
    await pull
    node.clients_are_done()
    await copy
    assert node.parent.sent == len(CLIENTS) + len(BEHIND)


class Idle(NoRivals):
    """Clients wait for nothing; notes of which source that was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def busy(self, source: str) -> bool:
        self.asked.append(source)
        return False


async def test_behind_the_last_byte_nobody_is_made_way_for() -> None:
    source, rivals = SimulatedSource(name="parent"), Idle()
    digest = source.add(BEHIND[: 3 * source.piece])
    bring = CopyByIngest(MemoryStore(), rivals=lambda _: rivals)
    with unhurried():
        await bring(Offer(source, NAME), Descriptor(LAYER, digest, 3 * source.piece), lambda size: None)
    assert rivals.asked == ["", "parent", "parent"]


class Busy(NoRivals):
    def busy(self, source: str) -> bool:
        return True


def test_where_clients_never_rest_it_goes_on_now_and_then() -> None:
    now = [0.0]
    back = BackgroundPace(Urgency(background=True), lambda: now[0])
    assert back.waits(Busy())
    now[0] = LONGEST
    assert not back.waits(Busy())
    assert back.waits(Busy()), "and waits anew"
    assert not BackgroundPace(Urgency(), lambda: now[0]).waits(Busy())
