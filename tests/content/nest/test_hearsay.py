"""What is said of a blob is a hint: manifests, HEAD answers and lengths of answers may be wrong; the digest decides."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_mesh.chunks.chunk_map import CHUNK
from registry_mesh.content.fill.fills import Fills
from registry_mesh.content.fill.policy import FillPolicy
from registry_mesh.content.nest.candidates import Candidate
from registry_mesh.content.nest.distrusted import Distrusted
from registry_mesh.content.nest.failover import Failover
from registry_mesh.content.nest.pull_through import PullThrough
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.cache import CacheStore
from registry_mesh.ports.failures import SourceLied, SourceUnavailable
from registry_mesh.ports.pieces import in_memory
from registry_mesh.ports.place import Place
from registry_mesh.stores.disk.store import DiskStore
from registry_mesh.stores.memory.store import MemoryStore
from tests.content.nest.test_failover import candidate, holding
from tests.eventually import eventually
from tests.simulators.source import SimulatedSource

PLACE = Place(RegistryName("r"), RepositoryName("a"))
MANIFEST = Digest.of(b"a manifest")
SIZES = [1, 50_000, CHUNK, 3 * CHUNK + 5]


def blob(size: int) -> bytes:
    return (bytes(range(1, 256)) * (size // 255 + 1))[:size]


@pytest.fixture(params=["memory", "disk"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CacheStore]:
    made: CacheStore = (
        MemoryStore() if request.param == "memory" else await DiskStore.start(tmp_path / "store")
    )
    yield made
    await made.close()  # type: ignore[attr-defined]  # not of the port


class Site:
    """What a client sees of parents behind a store."""

    def __init__(
        self, store: CacheStore, *parents: SimulatedSource, policy: FillPolicy | None = None
    ) -> None:
        self.lies: list[str] = []
        distrusted = Distrusted(count=self.lies.append)
        groups: list[list[Candidate]] = [[candidate(parent)] for parent in parents]
        self.fills = Fills(store, policy or FillPolicy())
        self.through = PullThrough(
            store, Failover(groups, distrusted), self.fills, distrusted.note, PLACE, doubt=distrusted.doubt
        )

    async def get(self, digest: Digest, span: Span | None = None) -> bytes:
        async with self.through.open(digest, span) as reading:
            given = b"".join([piece async for piece in in_memory(reading)])
            assert len(given) == len(reading.span) and reading.info.size
        return given

    async def __aenter__(self) -> Site:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.fills.close()


async def forgotten(store: CacheStore, digest: Digest) -> None:
    """Return once a manifest's word about the blob's size, which was wrong, has gone: behind the reader's back."""
    await eventually(lambda: store.said_size(digest), "it to be forgotten", until=lambda told: told is None)


@pytest.mark.parametrize("true", SIZES)
@pytest.mark.parametrize("said", [0, 3, CHUNK - 1, 60_000, 9_000_000, 1 << 61])
@pytest.mark.parametrize("span", [None, Span(0, 1), Span(40, 1 << 62)], ids=["whole", "first byte", "rest"])
async def test_a_manifest_s_word_changes_no_answer(
    store: CacheStore, true: int, said: int, span: Span | None, caplog: pytest.LogCaptureFixture
) -> None:
    parent, data = SimulatedSource(), blob(true)
    digest = parent.add(data)
    await store.note_sizes(MANIFEST, [Descriptor("application/x", digest, said)])
    async with Site(store, parent, policy=FillPolicy(complete_after=0)) as site:
        assert (await site.through.stat(digest)).size == true
        if span is None or span.start < true:
            with caplog.at_level(logging.WARNING):
                assert (
                    await site.get(digest, span)
                    == data[slice(span.start, span.stop) if span else slice(None)]
                )
                assert await site.get(digest) == data
                if said != true:
                    await forgotten(store, digest)
                    assert f"manifest {MANIFEST} says" in caplog.text, "the wrong one is named"
        assert site.lies == [], "the honest parent is not blamed"


async def test_what_a_manifest_names_is_asked_of_the_parent_to_head(store: CacheStore) -> None:
    """A child of an index is named with a size, and is no blob."""
    parent = SimulatedSource()
    child = Digest.of(b"a child")
    await store.note_sizes(MANIFEST, [Descriptor("application/x", child, 7)])
    async with Site(store, parent) as site:
        with pytest.raises(BlobUnknown):
            await site.through.stat(child)
        parent.down = True
        with pytest.raises(SourceUnavailable):
            await site.through.stat(child)


@pytest.mark.parametrize("said", [0, 61, 10**9])
async def test_a_length_of_head_is_a_hint(store: CacheStore, said: int) -> None:
    parent, data = holding("parent", blob(50_000), head_says=said), blob(50_000)
    digest = Digest.of(data)
    async with Site(store, parent) as site:
        told = (await site.through.stat(digest)).size
        assert told == said or (said == 0 and told == len(data)), "nothing is no length of a blob"
        assert await site.get(digest) == data
        assert (await site.through.stat(digest)).size == len(data)
        assert site.lies == []


@pytest.mark.parametrize("true", SIZES)
@pytest.mark.parametrize("said", [0, 3, 60_000, 2 * CHUNK, 4 * CHUNK])
async def test_another_parent_makes_up_for_a_false_length(store: CacheStore, true: int, said: int) -> None:
    data = blob(true)
    digest = Digest.of(data)
    liar, honest = holding("liar", data, says=said), holding("honest", data)
    async with Site(store, liar, honest) as site:
        for _ in range(4):
            try:
                assert await site.get(digest) == data
                break
            except (SourceLied, SourceUnavailable):
                assert true > CHUNK or said > CHUNK, "a small blob is proven before a byte of it leaves"
        assert await site.get(digest) == data
        assert (await store.stat(digest)).size == true
        assert "honest" not in site.lies


@pytest.mark.parametrize("said", [0, 3, 60_000])
async def test_nothing_but_the_empty_digest_is_answered_with_nothing(store: CacheStore, said: int) -> None:
    data = blob(50_000)
    liar = holding("liar", data, says=said)
    async with Site(store, liar) as site:
        with pytest.raises((SourceLied, SourceUnavailable)):
            await site.get(Digest.of(data))
        liar.says = None
        empty = Digest.of(b"")
        assert (await site.through.stat(empty)).size == 0
        async with site.through.open(empty) as reading:
            assert [piece async for piece in reading.pieces()] == []


@pytest.mark.parametrize("true", [50_000, 3 * CHUNK + 5])
async def test_a_length_that_was_false_once_heals(store: CacheStore, true: int) -> None:
    """Of the only parent: it says one thing, and then another."""
    data = blob(true)
    parent = holding("parent", data, says=true + 1000, says_times=1)
    async with Site(store, parent) as site:
        for _ in range(3):
            try:
                assert await site.get(Digest.of(data)) == data
                break
            except (SourceLied, SourceUnavailable):
                pass
        assert await site.get(Digest.of(data)) == data


async def test_a_size_that_was_said_outlives_no_proof(tmp_path: Path) -> None:
    """Over a restart, before the good manifest and after it."""
    parent, data = SimulatedSource(), blob(50_000)
    digest = parent.add(data)
    for said in (0, 3, 90_000):
        first = await DiskStore.start(tmp_path / str(said))
        await first.note_sizes(MANIFEST, [Descriptor("application/x", digest, said)])
        await first.close()
        second = await DiskStore.start(tmp_path / str(said))
        async with Site(second, parent) as site:
            assert (await site.through.stat(digest)).size == len(data)
            assert await site.get(digest, Span(49_990, 1 << 62)) == data[49_990:]
            assert await site.get(digest) == data
            assert site.lies == []
            await forgotten(second, digest)
        await second.close()


@pytest.mark.parametrize("said", [0, 3, 90_000])
@pytest.mark.parametrize("maps", [False, True])
async def test_a_full_store_takes_its_size_from_the_stream(said: int, maps: bool) -> None:
    data = blob(3 * CHUNK)
    parent = holding("parent", data, head_says=said, maps=maps)
    async with Site(MemoryStore(quota=0), parent) as site:
        assert await site.get(Digest.of(data)) == data
        assert (
            await site.get(Digest.of(data), Span(CHUNK + 7, 2 * CHUNK + 9)) == data[CHUNK + 7 : 2 * CHUNK + 9]
        )
        assert await site.get(Digest.of(data), Span(5, 1 << 62)) == data[5:]


async def test_a_full_store_never_sends_nothing() -> None:
    data = blob(50_000)
    liar, honest = holding("liar", data, says=0), holding("honest", data)
    async with Site(MemoryStore(quota=0), liar, honest) as site:
        assert await site.get(Digest.of(data)) == data
    async with Site(MemoryStore(quota=0), liar) as site:
        with pytest.raises((SourceLied, SourceUnavailable)):
            await site.get(Digest.of(data))


@pytest.mark.parametrize("said", [1, 61, 49_999, 10**9])
async def test_a_length_of_head_that_no_manifest_says_is_asked_again_by_get(
    store: CacheStore, said: int
) -> None:
    data = blob(50_000)
    parent, digest = holding("parent", data, head_says=said), Digest.of(data)
    await store.note_sizes(MANIFEST, [Descriptor("application/x", digest, len(data))])
    async with Site(store, parent) as site:
        told = await site.through.stat(digest)
        assert (told.size, told.provenance.hit, told.provenance.source) == (len(data), False, "parent")
        assert (await site.through.stat(digest)).provenance.hit, "it is remembered"
        assert (parent.stats, len(parent.opened)) == (1, 1)
        parent.head_says = None
        other = parent.add(blob(60_000))
        await store.note_sizes(MANIFEST, [Descriptor("application/x", other, 60_000)])
        assert (await site.through.stat(other)).size == 60_000
        assert len(parent.opened) == 1, "where both say the same no more is asked"
