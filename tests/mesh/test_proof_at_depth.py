"""A wrong byte on its way through four tiers: caught at the next hop, named there, and made up for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.chunks.sums import NEWEST, SumAlgorithm
from registry_mesh.content.fill.fills import Fills
from registry_mesh.edge.server import Server
from registry_mesh.edge.settings import Settings
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobSource
from registry_mesh.ports.failures import Failure
from registry_mesh.ports.pieces import in_memory, put
from registry_mesh.ports.repositories import RegistrySource, Repository
from registry_mesh.roles.site import Site, SiteRegistry
from registry_mesh.stores.memory.store import MemoryStore
from registry_mesh.upstream.client import open_session
from registry_mesh.upstream.registry import UpstreamRegistry
from registry_mesh.upstream.session import ParentSession
from registry_mesh.upstream.way import Way
from tests.simulators.link import Conditions, Link
from tests.simulators.nests import Ground, NearParent, Plain, RoleRegistry, no_bucket
from tests.simulators.source import SimulatedSource
from tests.suites.bytes_of import pattern
from tests.suites.library import NAME, REGISTRY

DATA = pattern(11 * CHUNK + 345)
DIGEST = Digest.of(DATA)
AT = 6 * CHUNK + 1_000
RANGE = Span(AT - 70_000, AT + 9_000)
HOPS = [1, 2, 3]
"""From the origin to a site, from that to the next, from that to the last."""


@dataclass(frozen=True)
class Blobs:
    """A registry with one repository, whose blobs are `blobs`."""

    registry: RegistrySource
    blobs: BlobSource

    def repository(self, name: RepositoryName) -> Repository:
        return replace(self.registry.repository(name), blobs=self.blobs)

    def repositories(self) -> AsyncIterator[RepositoryName]:
        return self.registry.repositories()


class Tiers:
    """An origin and three sites behind it. Of one hop the parent that is asked first lies, where it is told to; an
    honest one stands behind it."""

    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self._stack = stack
        self._ground = Ground(stack, folder, no_bucket)
        self.liars: dict[int, str] = {}
        self.blamed: dict[int, set[str]] = {hop: set() for hop in HOPS}
        """By hop: whom the site behind it has told of wrong bytes."""

    async def build(
        self, lying: int, *, with_map: bool, alone: bool = False, sums: SumAlgorithm = NEWEST
    ) -> BlobSource:
        """The blobs of the last site."""
        bottom = MemoryStore()
        await put(bottom, DIGEST, DATA)
        empty = await self._ground.empty_origin()
        tier: RegistrySource = Blobs(empty, bottom)
        for hop in HOPS:
            parents = [await self._behind(tier, "origin" if hop == 1 else "site")]
            if hop == lying:
                liar = await (self._liar(empty, sums) if with_map else self._spoilt(tier, hop))
                self.liars[hop] = liar.name
                parents = [liar] if alone else [liar, *parents]
            tier = self._site(parents, hop)
        return tier.repository(NAME).blobs

    def _site(self, parents: list[NearParent], hop: int) -> RegistrySource:
        store = MemoryStore()
        fills = Fills(store)
        served = {REGISTRY: SiteRegistry([[each] for each in parents])}
        site = Site(store, store.records, fills, served, lied=self.blamed[hop].add)
        self._stack.push_async_callback(fills.close)
        self._stack.push_async_callback(site.close)
        return RoleRegistry(site)

    async def _liar(self, empty: RegistrySource, sums: SumAlgorithm) -> NearParent:
        """Its map fits its wrong byte."""
        source = SimulatedSource(maps=True, maps_lie=True, flip_at=AT, sums=sums)
        source.add(DATA)
        return await self._behind(Blobs(empty, source), "origin")

    async def _spoilt(self, tier: RegistrySource, hop: int) -> NearParent:
        """The tier above by way of a link that turns a bit over."""
        return await self._behind(tier, "origin" if hop == 1 else "site", Conditions(flip_at=AT))

    async def _behind(
        self, registry: RegistrySource, role: str, conditions: Conditions | None = None
    ) -> NearParent:
        server = Server(Plain(registry, role), Settings())
        await server.start()
        self._stack.push_async_callback(server.close)
        link = await self._stack.enter_async_context(Link("127.0.0.1", server.port, conditions))
        client = await self._stack.enter_async_context(open_session(Way(hosts=frozenset({"127.0.0.1"}))))
        session = ParentSession(client, link.url, ns="always")
        return NearParent(UpstreamRegistry(session, REGISTRY), session.name)


@pytest.fixture
async def tiers(tmp_path: Path) -> AsyncIterator[Tiers]:
    async with AsyncExitStack() as stack:
        yield Tiers(stack, tmp_path)


async def get(blobs: BlobSource, span: Span | None) -> bytes:
    """What came of it, and nothing of the failure that cut it off."""
    got = bytearray()
    try:
        async with blobs.open(DIGEST, span) as reading:
            async for data in in_memory(reading):
                got += data
    except Failure:
        pass
    return bytes(got)


async def eventually_right(blobs: BlobSource, span: Span | None) -> None:
    """What comes is a true prefix each time, or the last of a whole blob is missing; within a few pulls all of it is
    right."""
    wanted = DATA if span is None else DATA[span.start : span.stop]
    for _ in range(5):
        got = await get(blobs, span)
        assert got == wanted or len(got) < len(wanted), "no wrong answer is complete"
        assert span is None or wanted.startswith(got), "no wrong byte of a range leaves"
        if got == wanted:
            return
    pytest.fail("it is never made up for")


@pytest.mark.parametrize("span", [None, RANGE], ids=["whole", "range"])
@pytest.mark.parametrize("hop", HOPS)
async def test_a_bit_turned_over_on_the_way_is_not_even_noticed(
    tiers: Tiers, hop: int, span: Span | None
) -> None:
    blobs = await tiers.build(hop, with_map=False)
    assert await get(blobs, span) == (DATA if span is None else DATA[span.start : span.stop])
    expected = {each: {tiers.liars[each]} if each == hop else set() for each in HOPS}
    assert tiers.blamed == expected, "who is behind the hop says who it was, and nobody else is blamed"


@pytest.mark.parametrize("sums", SumAlgorithm)
@pytest.mark.parametrize("span", [None, RANGE], ids=["whole", "range"])
@pytest.mark.parametrize("hop", HOPS)
async def test_a_parent_whose_map_fits_its_lie_is_found_out_by_anothers(
    tiers: Tiers, hop: int, span: Span | None, sums: SumAlgorithm
) -> None:
    """Whether or not their maps are by one algorithm."""
    blobs = await tiers.build(hop, with_map=True, sums=sums)
    await eventually_right(blobs, span)
    assert tiers.liars[hop] in tiers.blamed[hop]


@pytest.mark.parametrize("hop", HOPS)
async def test_of_a_parent_alone_whose_map_fits_its_lie_no_whole_blob_completes(
    tiers: Tiers, hop: int
) -> None:
    """Of its ranges nothing but a signed map could tell: see `docs/security.md`."""
    blobs = await tiers.build(hop, with_map=True, alone=True)
    assert len(await get(blobs, None)) < len(DATA)
    assert tiers.liars[hop] in tiers.blamed[hop]
