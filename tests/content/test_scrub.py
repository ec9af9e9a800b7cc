"""The order, the speed and the memory of a scrub."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from registry_mesh.content.scrub import KEY, Budget, Pace, Progress, Scrub, wait_for_next
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.inspection import Inspected
from registry_mesh.stores.memory.records import MemoryRecords

DIGESTS = sorted((Digest.of(bytes([i])) for i in range(5)), key=lambda digest: digest.hex)


@dataclass
class Held:
    """Five blobs of 1000 bytes each; `rotten` ones tell so once."""

    rotten: set[Digest] = field(default_factory=set)
    broken: set[Digest] = field(default_factory=set)
    read: list[Digest] = field(default_factory=list)
    stop_after: int | None = None
    stored: dict[Digest, float] = field(default_factory=dict)

    async def digests(self, after: Digest | None, stored_before: float) -> AsyncIterator[Digest]:
        for digest in DIGESTS:
            if self.stored.get(digest, 0.0) < stored_before and (after is None or digest.hex > after.hex):
                yield digest

    async def inspect(self, digest: Digest) -> AsyncIterator[Inspected]:
        if self.stop_after is not None and len(self.read) >= self.stop_after:
            raise KeyboardInterrupt
        self.read.append(digest)
        if digest in self.broken:
            raise StoreBroken("input/output error")
        yield Inspected(500)
        yield Inspected(500, (Span(500, 1000),) if digest in self.rotten else ())


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def scrub(
    held: Held, records: MemoryRecords, clock: Clock, *, mends: bool = True, rest: float = 0.0
) -> Scrub:
    async def repair(digest: Digest, spans: Sequence[Span]) -> bool:
        return mends

    return Scrub(held, records, repair, lambda: Pace(1000, 100, rest), None, clock, clock.sleep)


async def test_a_walk_reads_everything_at_its_pace() -> None:
    held, clock = Held(rotten={DIGESTS[1]}), Clock()
    walk = scrub(held, MemoryRecords(), clock)
    await walk.walk()
    assert held.read == DIGESTS
    assert 4.0 <= clock.now - 1000 <= 5.1, "5000 bytes at 1000 a second"
    assert (walk.progress.read, walk.progress.rotten, walk.progress.repaired) == (5000, 1, 1)
    assert walk.progress.completed == clock.now


async def test_what_cannot_be_repaired_is_counted_as_rotten_only() -> None:
    walk = scrub(Held(rotten={DIGESTS[1]}), MemoryRecords(), Clock(), mends=False)
    await walk.walk()
    assert (walk.progress.rotten, walk.progress.repaired) == (1, 0)


async def test_a_repair_that_fails_is_tried_again_and_not_for_ever() -> None:
    asked: list[Digest] = []

    async def repair(digest: Digest, spans: Sequence[Span]) -> bool:
        asked.append(digest)
        return digest == DIGESTS[1] and asked.count(digest) == 3

    held, clock = Held(rotten={DIGESTS[1], DIGESTS[2]}), Clock()
    walk = Scrub(held, MemoryRecords(), repair, lambda: Pace(1000, 100), None, clock, clock.sleep)
    await walk.walk()
    for _ in range(20):
        await walk.mend_again()
    assert (asked.count(DIGESTS[1]), asked.count(DIGESTS[2])) == (3, 10)
    assert walk.progress.repaired == 1


async def test_what_cannot_be_read_stops_nothing() -> None:
    held = Held(broken={DIGESTS[0], DIGESTS[4]})
    await scrub(held, MemoryRecords(), Clock()).walk()
    assert held.read == DIGESTS


async def test_a_restart_goes_on_where_it_was_noted() -> None:
    records, clock = MemoryRecords(), Clock()
    first = scrub(Held(stop_after=3), records, clock)
    try:
        clock.now += 60
        await first.walk()
    except KeyboardInterrupt:
        await first.save()
    held = Held()
    second = scrub(held, records, clock)
    await second.load()
    await second.walk()
    assert held.read == DIGESTS[3:]
    assert second.progress.read == 5000


async def test_a_garbled_note_begins_anew() -> None:
    records = MemoryRecords()
    for garbage in (b"", b"[]", b'{"began": 1, "unheard": 2}', b"\xff"):
        await records.put(KEY, garbage)
        walk = scrub(Held(), records, Clock())
        await walk.load()
        assert walk.progress == Progress()


async def test_what_was_stored_lately_waits_for_a_later_walk() -> None:
    """After its rest it is read like all else."""
    held, clock = Held(stored={DIGESTS[2]: 950.0}), Clock()
    for begins, read in ((1000.0, 4), (1009.0, 4), (1011.0, 5)):
        held.read.clear()
        clock.now = begins
        await scrub(held, MemoryRecords(), clock, rest=60).walk()
        assert len(held.read) == read


def test_when_a_walk_is_due() -> None:
    assert wait_for_next(Progress(), Pace(1, 100), 1000) == 0
    assert wait_for_next(Progress(began=950, completed=960), Pace(1, 100), 1000) == 50
    assert wait_for_next(Progress(began=950, running=True), Pace(1, 100), 1000) == 0
    assert wait_for_next(Progress(), Pace(0, 100), 1000) is None


def test_a_budget_saves_nothing_up() -> None:
    budget = Budget()
    assert budget.spend(1000, 100, 100) == 1
    assert budget.spend(1001, 100, 100) == 1
    assert budget.spend(5000, 100, 100) == 1
