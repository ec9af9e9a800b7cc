"""Which blob goes first, on traces of pulls: against the offline optimum and against plain recency."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.site.working_set import belady_hits, lru_hits, zipf_trace
from registry_mesh.stores.disk.index.rank import APART, HALF_LIFE, SMALL, rank_by_age, risen

THINGS, ROOM, PULLS = 300, 29, 1500


class Cache:
    """A cache of things of one size that decides by rank alone."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._came = 0
        self._held: dict[int, tuple[float, float]] = {}
        self._past: dict[int, float] = {}

    def __contains__(self, thing: int) -> bool:
        return thing in self._held

    def pull(self, thing: int) -> bool:
        """Whether it was a hit."""
        now = self._came / self._room
        if thing in self._held:
            rank, counted = self._held[thing]
            if abs(now - counted) >= APART:
                self._held[thing] = (risen(rank, now), now)
            return True
        if len(self._held) >= self._room:
            least = min(self._held, key=lambda each: self._held[each][0])
            self._past[least] = self._held.pop(least)[0]
        self._came += 1
        self._held[thing] = (risen(self._past.get(thing), now), now)
        return False

    def hits(self, trace: list[int]) -> int:
        return sum([self.pull(thing) for thing in trace])


def test_nearer_to_the_optimum_than_recency() -> None:
    ours, recency = [], []
    for seed in range(1, 13):
        trace = zipf_trace(THINGS, PULLS, 1.0, seed)
        best = belady_hits(trace, ROOM)
        ours.append(Cache(ROOM).hits(trace) / best)
        recency.append(lru_hits(trace, ROOM) / best)
    print("of the offline optimum, 12 seeds: rank", shares(ours), "least recently used", shares(recency))
    assert min(ours) >= 0.83
    assert sum(ours) / len(ours) >= 0.85
    assert max(recency) < 0.78, "the floor tells the two apart"


def shares(values: list[float]) -> str:
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def test_a_scan_does_not_flush_what_is_popular() -> None:
    cache = Cache(30)
    for _ in range(10):
        for popular in range(20):
            cache.pull(popular)
        for once in range(10):
            cache.pull(1000 + 10 * _ + once)
    for scanned in range(90):
        cache.pull(5000 + scanned)
    assert all(popular in cache for popular in range(20)), "three caches full of what is read once"


def test_new_favourites_take_over() -> None:
    """What was popular must not stay for ever: at least as good as recency after a change of everything."""
    ours, recency = 0, 0
    for seed in range(1, 6):
        before = zipf_trace(THINGS, 2 * PULLS, 1.0, seed)
        after = zipf_trace(THINGS, PULLS, 1.0, seed + 100)
        cache = Cache(ROOM)
        cache.hits(before)
        ours += cache.hits(after)
        recency += lru_hits(before + after, ROOM) - lru_hits(before, ROOM)
    assert ours > recency


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_use_raises_the_rank(before: float, now: float) -> None:
    rank = risen(None, before)
    assert max(rank, risen(None, now)) <= risen(rank, now) <= max(rank, risen(None, now)) + 1


@given(st.lists(st.floats(0, 200), min_size=1, max_size=30), st.randoms())
def test_order_of_uses_does_not_matter(uses: list[float], chance: object) -> None:
    def rank(order: list[float]) -> float:
        value: float | None = None
        for now in order:
            value = risen(value, now)
        assert value is not None
        return value

    shuffled = list(uses)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert rank(shuffled) == pytest.approx(rank(uses), abs=1e-6)


def test_a_use_counts_half_after_the_half_life() -> None:
    twice_then = risen(risen(None, 1.0), 1.0)
    assert twice_then == pytest.approx(risen(None, 1.0 + HALF_LIFE))


@given(st.floats(0, 1e10), st.floats(0, 1e10))
def test_of_old_blobs_the_oldest_ranks_lowest(one: float, other: float) -> None:
    for size in (0, SMALL):
        assert rank_by_age(max(one, other), size) <= rank_by_age(min(one, other), size) < risen(None, 0.0)
    assert rank_by_age(one, SMALL) <= rank_by_age(other, 0), "what is small goes last"
