"""How a fill begins where several processes share a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import pytest

from registry_mesh.content.fill.fills import LOOK_AGAIN, Fills, look_again
from registry_mesh.content.fill.via import Via
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import Reading
from registry_mesh.ports.failures import SourceThrottled
from registry_mesh.ports.place import Place
from registry_mesh.ports.urgency import unhurried, urgency
from registry_mesh.stores.memory.store import MemoryStore
from tests.eventually import eventually
from tests.simulators.source import SimulatedSource

DATA = bytes(range(256)) * 4096


async def test_what_a_source_gave_is_noted_before_another_process_joins() -> None:
    """Else all its readers have to ask, over a link that the blob already fills, whether it is their repository's."""
    source = SimulatedSource()
    digest = source.add(DATA)
    store = MemoryStore()
    noting, noted = asyncio.Event(), asyncio.Event()

    async def gave(given: Digest) -> None:
        assert given == digest
        noting.set()
        await noted.wait()

    here, there = Fills(store), Fills(store)
    first = asyncio.create_task(here.join(digest, Via("a", source, print, gave=gave), None))
    await noting.wait()
    second = asyncio.create_task(there.join(digest, Via("a", source, print), None))
    done, _ = await asyncio.wait({second}, timeout=0.2)
    assert not done
    noted.set()
    assert (await first).size == (await eventually(lambda: second)).size == len(DATA)
    await here.close()
    await there.close()


@pytest.mark.parametrize(
    ("waited", "pause"), [(0.0, 0.004), (0.04, 0.004), (0.16, 0.01), (1.0, 0.0625), (60.0, LOOK_AGAIN)]
)
def test_who_waits_for_another_process_to_begin_is_late_by_a_sixteenth(waited: float, pause: float) -> None:
    assert look_again(waited, least=0.004) == pytest.approx(pause)


class CountingStore(MemoryStore):
    """Counts what is noted of places."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Digest, Place]] = []

    async def note_place(self, digest: Digest, place: Place) -> None:
        self.noted.append((digest, place))
        await super().note_place(digest, place)


async def test_a_crowd_notes_once_where_a_blob_comes_from() -> None:
    """Each note is a change of the index, in a thread, just when the crowd waits for its first bytes."""
    source, store = SimulatedSource(), CountingStore()
    digest = source.add(DATA)
    places = [Place(RegistryName("a.example"), RepositoryName(name)) for name in ("one", "two")]
    fills = Fills(store)
    vias = [Via("a", source, print, place=place) for place in places for _ in range(20)]
    with ExitStack() as opened:
        for fill in await asyncio.gather(*(fills.join(digest, via, None) for via in vias)):
            opened.enter_context(fill.open_readings.begin())
        await eventually(lambda: len(store.noted) >= len(places))
    await fills.close()
    assert sorted(store.noted, key=lambda each: str(each[1])) == [(digest, place) for place in places]


class Kept(SimulatedSource):
    """Keeps all that it allows for clients; slow to say so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.says_so = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def open(self, digest: Digest, span: Span | None = None) -> AsyncIterator[Reading]:
        if urgency().background:
            self.asked.set()
            await self.says_so.wait()
            raise SourceThrottled("allows 3 requests more", source=self.name)
        async with super().open(digest, span) as reading:
            yield reading


async def test_what_is_kept_for_clients_is_given_to_one_that_joined_a_run() -> None:
    source, fills = Kept(), Fills(MemoryStore())
    digest = source.add(DATA)
    with unhurried():
        run = asyncio.create_task(fills.join(digest, Via("a", source, print), None))
    await source.asked.wait()
    client = asyncio.create_task(fills.join(digest, Via("a", source, print), None))
    await asyncio.sleep(0)
    source.says_so.set()
    assert (await client).size == len(DATA)
    with pytest.raises(SourceThrottled):
        await run
    await fills.close()
