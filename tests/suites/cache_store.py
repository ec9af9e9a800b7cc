"""What every `CacheStore` keeps of partial blobs. Subclass it and give the fixture `store`."""

from __future__ import annotations

import asyncio
import os

import pytest

from registry_mesh.chunks.chunk_map import CHUNK, chunk_span, count
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.oci.refusals import BlobUnknown
from registry_mesh.oci.span import Span
from registry_mesh.ports.blobs import BlobInfo
from registry_mesh.ports.cache import CacheStore, SaidSize
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.partial import Bytes, ChunkState, Give, Hold
from registry_mesh.ports.place import Place
from tests.eventually import eventually
from tests.suites.bytes_of import pattern, read
from tests.suites.maps_of import map_of

SIZE = 4 * CHUNK + 1234
DATA = pattern(SIZE, 7)
DIGEST = Digest.of(DATA)
MISSING, UNPROVEN, PROVEN = ChunkState


def nothing() -> None:
    """Nothing to hash."""


def given(*pieces: bytes) -> Give:
    """What gives those, once."""
    once = iter((pieces,))
    return lambda: next(once, ())


async def held_bytes(data: Bytes, span: Span) -> bytes:
    """What is stored of `span`."""
    found = bytearray()
    await data.feed(span, found.extend)
    return bytes(found)


async def claim_all(hold: Hold, chunks: range, lacking: range | None = None) -> None:
    """Claim those that are `lacking`: all of them where that is not said. A chunk that was found rotten has its bytes
    given back by a thread, which claims it for a moment."""

    def claimed() -> bool:
        if (got := hold.claim(chunks)) == (chunks if lacking is None else lacking):
            return True
        hold.unclaim(got)
        return False

    await eventually(claimed, "the claim")


async def fill(hold: Hold, chunks: range, state: ChunkState = PROVEN, data: bytes = DATA) -> None:
    """Bring chunks in, as a fill does: in pieces that do not end where chunks end."""
    await claim_all(hold, chunks)
    start = chunks.start * CHUNK
    stop = min(len(data), chunks.stop * CHUNK)
    for at in range(start, stop, 700_001):
        piece = data[at : min(stop, at + 700_001)]
        await hold.write(at, given(piece[:1000], piece[1000:]), nothing)
    for index in chunks:
        hold.mark(index, state)
    hold.unclaim(chunks)


class CacheStoreSuite:
    async def test_begins_with_nothing(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as hold:
            assert hold.info == BlobInfo(DIGEST, SIZE)
            assert not hold.committed
            assert not hold.discarded
            assert [hold.state(i) for i in range(5)] == [MISSING] * 5
            assert not await hold.check(0)

    async def test_holds_chunks(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(1, 3))
            await fill(hold, range(4, 5), UNPROVEN)
        async with store.hold(DIGEST, SIZE) as hold:
            assert [hold.state(i) for i in range(5)] == [MISSING, PROVEN, PROVEN, MISSING, UNPROVEN]
            assert all([await hold.check(i) for i in (1, 2, 4)])
            assert await held_bytes(hold, Span(CHUNK + 5, 2 * CHUNK)) == DATA[CHUNK + 5 : 2 * CHUNK]
            piece = hold.slice(Span(4 * CHUNK, SIZE))
            assert os.pread(piece.fd, len(piece), piece.start) == DATA[4 * CHUNK :]

    async def test_a_partial_blob_is_no_blob(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(5), UNPROVEN)
            with pytest.raises(BlobUnknown):
                await store.stat(DIGEST)
            with pytest.raises(BlobUnknown):
                async with store.open(DIGEST):
                    pass
        assert [info async for info in store.blobs()] == []

    async def test_run(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(1, 3), UNPROVEN)
            await fill(hold, range(3, 4), PROVEN)
            assert hold.run(0, 5, UNPROVEN) == 0
            assert hold.run(1, 5, UNPROVEN) == 4
            assert hold.run(1, 3, UNPROVEN) == 3
            assert hold.run(1, 5, PROVEN) == 1
            assert hold.run(3, 5, PROVEN) == 4
            assert hold.run(3, 4, PROVEN) == 4
            assert hold.run(2, 2, PROVEN) == 2

    async def test_a_run_of_chunks_is_marked_at_once(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as hold:
            await claim_all(hold, range(5))
            await hold.write(CHUNK, given(DATA[CHUNK:200_000], DATA[200_000:]), nothing)
            hold.mark(2, UNPROVEN, 2)
            assert [hold.state(i) for i in range(5)] == [MISSING, MISSING, UNPROVEN, UNPROVEN, MISSING]
            hold.mark(1, PROVEN, 4)
            hold.unclaim(range(5))
        async with store.hold(DIGEST, SIZE) as hold:
            assert [hold.state(i) for i in range(5)] == [MISSING] + [PROVEN] * 4
            assert all([await hold.check(i) for i in range(1, 5)])
            hold.mark(2, MISSING, 2)
            assert [hold.state(i) for i in range(5)] == [MISSING, PROVEN, MISSING, MISSING, PROVEN]

    async def test_doubt_is_shared_and_kept(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as one, store.hold(DIGEST, SIZE) as two:
            await fill(one, range(1))
            assert not one.doubted and not two.doubted
            one.doubted = True
            assert two.doubted
        async with store.hold(DIGEST, SIZE) as hold:
            assert hold.doubted and hold.state(0) == PROVEN

    async def test_claims_exclude_another_hold(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as one, store.hold(DIGEST, SIZE) as two:
            assert one.claim(range(2, 4)) == range(2, 4)
            assert two.claim(range(5)) == range(2)
            assert two.claim(range(2, 5)) == range(2, 2)
            assert two.claim(range(3, 5)) == range(3, 3)
            assert two.claim(range(4, 5)) == range(4, 5)
            two.unclaim(range(5))
            assert one.claim(range(2)) == range(2), "given back"
            assert not two.claim(range(2, 3)), "not given back by another's unclaim"

    async def test_what_is_there_cannot_be_claimed(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(2, 3))
            assert hold.claim(range(5)) == range(2)
            hold.unclaim(range(2))
            assert hold.claim(range(2, 5)) == range(2, 2)

    async def test_leaving_gives_claims_back(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as one:
            async with store.hold(DIGEST, SIZE) as two:
                assert two.claim(range(5)) == range(5)
                assert not one.claim(range(5))
            assert one.claim(range(5)) == range(5)

    async def test_states_are_shared(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as one, store.hold(DIGEST, SIZE) as two:
            await fill(one, range(2))
            assert two.state(1) is PROVEN
            assert two.run(0, 5, PROVEN) == 2
            assert await held_bytes(two, Span(0, 10)) == DATA[:10]
            two.mark(1, MISSING)
            assert one.state(1) is MISSING

    async def test_write_calls_then(self, store: CacheStore) -> None:
        called = []
        async with store.hold(DIGEST, SIZE) as hold:
            await hold.write(0, given(DATA[:10]), lambda: called.append(1))
        assert called == [1]

    async def test_commit(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as one, store.hold(DIGEST, SIZE) as two:
            await fill(one, range(5), UNPROVEN)
            await one.commit(map_of(DATA))
            assert one.committed
            assert two.committed
            assert two.run(0, 5, PROVEN) == 5
            assert await held_bytes(two, Span(CHUNK, CHUNK + 9)) == DATA[CHUNK : CHUNK + 9]
            assert await read(store, DIGEST) == DATA
            assert await two.check(0)
            await two.commit(None)
        assert await store.stat(DIGEST) == BlobInfo(DIGEST, SIZE)
        assert await store.chunk_map(DIGEST) == map_of(DATA)
        assert await read(store, DIGEST, Span(CHUNK, 2 * CHUNK)) == DATA[CHUNK : 2 * CHUNK]
        assert [info async for info in store.blobs()] == [BlobInfo(DIGEST, SIZE)]

    @pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1])
    async def test_commit_of_any_size(self, store: CacheStore, size: int) -> None:
        data = pattern(size, 3)
        digest = Digest.of(data)
        async with store.hold(digest, size) as hold:
            await fill(hold, range(count(size)), data=data)
            await hold.commit(None)
        assert await read(store, digest) == data

    async def test_commit_needs_every_chunk(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(4))
            with pytest.raises(ValueError):
                await hold.commit(None)
            assert not hold.committed

    async def test_holding_a_complete_blob(self, store: CacheStore) -> None:
        async with store.ingest() as ingest:
            await ingest.write(DATA)
            await ingest.commit()
        async with store.hold(DIGEST, SIZE) as hold:
            assert hold.committed
            assert hold.run(0, 5, PROVEN) == 5
            assert not hold.claim(range(5))
            assert await hold.check(4)
            assert await held_bytes(hold, Span(7, 9)) == DATA[7:9]
        assert await read(store, DIGEST) == DATA

    async def test_complete_another_way_meanwhile(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(5), UNPROVEN)
            async with store.ingest() as ingest:
                await ingest.write(DATA)
                await ingest.commit()
            await hold.commit(None)
            assert hold.committed
        assert await read(store, DIGEST) == DATA

    async def test_discard(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as one, store.hold(DIGEST, SIZE) as two:
            await fill(one, range(3))
            await one.discard()
            assert one.discarded
            assert two.discarded
            with pytest.raises(StoreBroken):
                await two.write(0, given(b"x"), nothing)
            with pytest.raises(StoreBroken):
                await two.commit(None)
            async with store.hold(DIGEST, SIZE) as three:
                assert not three.discarded
                assert three.run(0, 5, UNPROVEN) == 0
                await fill(three, range(5))
                await three.commit(None)
        assert await read(store, DIGEST) == DATA

    async def test_missing_again(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(5), UNPROVEN)
            hold.mark(3, MISSING)
            assert hold.state(3) is MISSING
            assert not await hold.check(3)
            hold.mark(2, PROVEN)
            await claim_all(hold, range(3, 5), lacking=range(3, 4))
            hold.unclaim(range(3, 4))
            await fill(hold, range(3, 4))
            await hold.commit(None)
        assert await read(store, DIGEST) == DATA

    async def test_what_is_wanted_is_known_to_who_has_claimed_it(self, store: CacheStore) -> None:
        async with store.hold(DIGEST, SIZE) as one, store.hold(DIGEST, SIZE) as two:
            assert one.take_want(range(5)) is None
            two.want(0)
            two.want(3)
            assert one.take_want(range(3)) is None, "it is somebody else's"
            assert one.take_want(range(2, 5)) == 3
            assert one.take_want(range(5)) is None

    async def test_lock(self, store: CacheStore) -> None:
        async with store.lock(DIGEST, "fill") as mine:
            assert mine
            async with store.lock(DIGEST, "fill") as second, store.lock(DIGEST, "scrub") as other:
                assert not second
                assert other
            async with store.lock(DIGEST, "fill") as third:
                assert not third
        async with store.lock(DIGEST, "fill") as again:
            assert again

    async def test_sizes_that_are_held_and_sizes_that_are_said(self, store: CacheStore) -> None:
        manifest = Digest.of(b"manifest")
        assert await store.held_size(DIGEST) is None and await store.said_size(DIGEST) is None
        await store.note_sizes(
            manifest, [Descriptor("a/b", DIGEST, 77), Descriptor("a/b", Digest.of(b"x"), 1)]
        )
        assert await store.said_size(DIGEST) == SaidSize(77, manifest)
        assert await store.held_size(DIGEST) is None, "hearsay is no size"
        async with store.hold(DIGEST, SIZE) as hold:
            await fill(hold, range(1))
        assert await store.held_size(DIGEST) == SIZE
        await store.forget_said(DIGEST)
        assert await store.said_size(DIGEST) is None
        assert await store.said_size(Digest.of(b"x")) == SaidSize(1, manifest)

    async def test_a_place_names_what_was_noted_of_it(self, store: CacheStore) -> None:
        here, there = (Place(RegistryName(host), RepositoryName("a")) for host in ("r", "s"))
        assert await store.names(here, DIGEST) is None, "nothing is known of it"
        await store.note_names(here, [DIGEST])
        assert await store.names(here, DIGEST) is True
        assert await store.names(here, Digest.of(b"x")) is None, "it may not be all"
        await store.note_names(here, [], whole=True)
        assert await store.names(here, Digest.of(b"x")) is False
        assert await store.names(there, DIGEST) is None

    async def test_fills_side_by_side(self, store: CacheStore) -> None:
        async def one(start: int) -> None:
            async with store.hold(DIGEST, SIZE) as hold:
                for index in range(start, start + 5):
                    claimed = hold.claim(range(index % 5, index % 5 + 1))
                    for mine in claimed:
                        span = chunk_span(mine, SIZE)
                        await hold.write(span.start, given(DATA[span.start : span.stop]), nothing)
                        hold.mark(mine, PROVEN)
                    hold.unclaim(claimed)

        await asyncio.gather(*(one(i) for i in range(5)))
        async with store.hold(DIGEST, SIZE) as hold:
            assert hold.run(0, 5, PROVEN) == 5
            await hold.commit(None)
        assert await read(store, DIGEST) == DATA
