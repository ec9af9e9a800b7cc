"""A slow parent before a good one: what its pulls take more than those of the good one alone, and how many bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from loadtests import ours
from loadtests.bench import Bench, median_of, ratio
from loadtests.corpus import KIB, MIB, Blob
from loadtests.scenario import Outcome, scenario
from loadtests.troubled import HEAD_ALONE, PINGS_ALONE, WELL, Manner, Troubled

ALONE: Final = "good alone"
MANNERS: Final = {
    "1 kB/s": Manner(step=100, pause=0.1),
    "1 kB a connection": Manner(step=1000, most=1000),
    "resets each third stream": Manner(resets=3, reset_pause=0.01),
    "a head and a byte": HEAD_ALONE,
    "silent": PINGS_ALONE,
}
SIZES: Final = {64 * KIB: 12, MIB: 12, 16 * MIB: 6, 256 * MIB: 3}
"""How many blobs of each size a site pulls, one after the other."""
MET: Final = 1.0
"""Seconds after a site's start in which it has met its parents."""
LONGER: Final = 1.2
MORE_BYTES: Final = 1.02


@dataclass(slots=True)
class Pulls:
    """Of the sites that had one kind of first parent: milliseconds of each pull, by its turn."""

    ms: list[list[float]] = field(default_factory=list)
    bytes_to_size: list[float] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    """Of the first parent: questions."""
    failed: int = 0

    def turn(self, number: int) -> float:
        """The median of the pulls of that turn."""
        return median_of([each[number] for each in self.ms])

    @property
    def later(self) -> float:
        """The median of a site's pulls from the third on, all together."""
        return median_of([sum(each[2:]) / len(each[2:]) for each in self.ms])


def _pull(bench: Bench, blobs: Sequence[Blob], manner: Manner | None, pulls: Pulls) -> None:
    """What one new site pulls."""
    parents = [Troubled(bench.folder("good"), WELL, blobs)]
    if manner is not None:
        parents.insert(0, Troubled(bench.folder("slow"), manner, blobs))
    mesh = ours.site(bench.folder("site"), [each.url for each in parents])
    with bench.running(*parents, mesh, pinned=False):
        time.sleep(MET)
        ms = []
        for blob in blobs:
            seen = bench.drain.run(
                mesh.port, [(blob.path, blob.size)], connections=1, requests=1, timeout=120
            )
            ms.append(seen.total.p50)
            pulls.failed += seen.failed + (seen.bytes < blob.size)
        seen_by = [each.seen() for each in parents]
    pulls.ms.append(ms)
    pulls.bytes_to_size.append(sum(each.sent for each in seen_by) / sum(blob.size for blob in blobs))
    pulls.asked.append(seen_by[0].asked)


def _manner(manner: Manner, size: int) -> Manner:
    return replace(manner, reset_after=size // 2) if manner.resets else manner


@scenario(quick=False)
def before_a_good_one(bench: Bench) -> Outcome:
    """Blobs of 64 KiB to 256 MiB, one after the other, from a new site whose first parent drips, gives 1 kB a
    connection, resets each third stream in its middle, sends a head and one byte or answers pings alone, and whose
    second is good: the first pull, the second, and those that follow, in turns with sites that have the good one alone.

    A pull takes at most 1.2 times as long, and at most 1.02 times its bytes come.
    """
    outcome = Outcome()
    for size, count in SIZES.items():
        blobs = [bench.corpus.blob(f"pulled-{number}", size) for number in range(count)]
        pulls: dict[str, Pulls] = {name: Pulls() for name in (ALONE, *MANNERS)}
        for _ in range(1 if bench.quick else bench.rounds):
            _pull(bench, blobs, None, pulls[ALONE])
            for name, manner in MANNERS.items():
                _pull(bench, blobs, _manner(manner, size), pulls[name])
        _tell(outcome, size, pulls)
    return outcome


def _tell(outcome: Outcome, size: int, pulls: dict[str, Pulls]) -> None:
    alone = pulls[ALONE]
    label = f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"
    for name, seen in pulls.items():
        shares = [
            ratio(seen.turn(0), alone.turn(0)),
            ratio(seen.turn(1), alone.turn(1)),
            ratio(seen.later, alone.later),
        ]
        outcome.row(
            f"{label}, {name}",
            first_ms=seen.turn(0),
            second_ms=seen.turn(1),
            later_ms=seen.later,
            first_x=shares[0],
            second_x=shares[1],
            later_x=shares[2],
            bytes_x=median_of(seen.bytes_to_size),
            first_parent_asked=median_of(seen.asked),
        )
        if seen is alone:
            continue
        for turn, share in zip(("first pull", "second", "later"), shares, strict=True):
            outcome.at_most(f"{label}, {name}: {turn} to good alone", share, LONGER)
        outcome.at_most(f"{label}, {name}: bytes", median_of(seen.bytes_to_size), MORE_BYTES)
        outcome.at_most(f"{label}, {name}: nobody fails", seen.failed, 0)
