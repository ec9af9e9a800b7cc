"""Lists of tags that a cache remembers: the first page apart from the whole, and no walk for nobody."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from registry_mesh.content.nest.freshness import Freshness
from registry_mesh.content.nest.remembered import Entry, Remembered
from registry_mesh.content.nest.remembered_manifests import RememberedManifests
from registry_mesh.content.nest.remembered_repository import RememberedTags
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.failures import SourceUnavailable
from registry_mesh.ports.repositories import EVERY, TagPage
from registry_mesh.stores.memory.records import MemoryRecords
from registry_mesh.stores.memory.store import MemoryStore
from tests.simulators.source import SimulatedSource

HOST, NAME = RegistryName("r"), RepositoryName("a")


@dataclass
class Listed(SimulatedSource):
    """A source that lists tags, and keeps how many it was asked for."""

    count: int = 250
    limits: list[int] = field(default_factory=list)
    waits: asyncio.Event = field(default_factory=asyncio.Event)
    left: int = 0
    down: bool = False

    async def tags(self, limit: int, last: str = "") -> TagPage:
        self.limits.append(limit)
        try:
            await self.waits.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        if self.down:
            raise SourceUnavailable("away")
        tags = [Tag(f"{n:04}") for n in range(self.count)]
        return TagPage(tuple(tags[:limit]), len(tags) > limit)


def remembered(
    source: Listed, records: MemoryRecords | None = None, freshness: Freshness | None = None
) -> RememberedTags:
    memory = Remembered(records or MemoryRecords())
    manifests = RememberedManifests(MemoryStore(), MemoryRecords()).of(source)  # type: ignore[arg-type]  # not asked
    return RememberedTags(HOST, NAME, source, source, memory, freshness or Freshness(), manifests)  # type: ignore[arg-type]


async def test_few_are_answered_from_the_first_page() -> None:
    source = Listed()
    source.waits.set()
    tags = remembered(source)
    page = await tags.tags(5)
    assert (page.tags, page.more) == (("0000", "0001", "0002", "0003", "0004"), True)
    assert (await tags.tags(5, "0004")).tags[0] == "0005"
    assert (await tags.tags(100)).more
    assert source.limits == [100]
    page = await tags.tags(5, "0097")
    assert (page.tags, page.more) == (("0098", "0099", "0100", "0101", "0102"), True)
    assert len((await tags.tags(10_000)).tags) == 250
    assert source.limits == [100, EVERY]


async def test_a_short_list_is_asked_for_once() -> None:
    source = Listed(count=3)
    source.waits.set()
    tags = remembered(source)
    for last, given in (("", 2), ("0000", 2), ("0002", 0)):
        assert len((await tags.tags(2, last)).tags) == given
    assert source.limits == [100]


async def test_a_list_that_an_older_version_remembered_is_read() -> None:
    records, source = MemoryRecords(), Listed(down=True)
    source.waits.set()
    await records.put("remembered/r/a/_list", Entry(json.dumps(["x", "y"]), 1.0).encode())
    tags = remembered(source, records, Freshness(stale_if_error=1e12))
    assert (await tags.tags(1000)).tags == ("x", "y")


async def test_nothing_is_listed_for_those_who_left() -> None:
    source = Listed()
    tags = remembered(source)
    askers = [asyncio.create_task(tags.tags(1000)) for _ in range(3)]
    while not source.limits:
        await asyncio.sleep(0)
    for asker in askers[:2]:
        asker.cancel()
    await asyncio.gather(*askers[:2], return_exceptions=True)
    assert source.left == 0
    askers[2].cancel()
    await asyncio.gather(*askers, return_exceptions=True)
    while not source.left:
        await asyncio.sleep(0)
    assert source.limits == [EVERY]
