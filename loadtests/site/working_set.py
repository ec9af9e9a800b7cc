"""A cache that is smaller than what its clients want."""

from __future__ import annotations

import bisect
import itertools
import os
import random
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loadtests import nginx, ours
from loadtests.bench import Bench, ratio
from loadtests.corpus import MIB, REPOSITORY, Blob
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent


def zipf_trace(things: int, length: int, exponent: float, seed: int = 1) -> list[int]:
    """Independent draws, thing k with a weight of 1 / (k + 1) ** exponent."""
    source = random.Random(seed)
    sums = list(itertools.accumulate(1 / (k + 1) ** exponent for k in range(things)))
    order = list(range(things))
    source.shuffle(order)
    return [order[bisect.bisect(sums, source.random() * sums[-1])] for _ in range(length)]


def belady_hits(trace: Sequence[int], room: int) -> int:
    """Hits of the offline optimum for things of one size: evict what is wanted again last, or do not keep it."""
    following: list[int] = [0] * len(trace)
    later: dict[int, int] = {}
    for place in range(len(trace) - 1, -1, -1):
        following[place] = later.get(trace[place], len(trace) + place)
        later[trace[place]] = place
    held: dict[int, int] = {}
    hits = 0
    for place, thing in enumerate(trace):
        if thing in held:
            hits += 1
        elif len(held) >= room:
            last = max(held, key=held.__getitem__)
            if held[last] < following[place]:
                continue
            del held[last]
        held[thing] = following[place]
    return hits


def lru_hits(trace: Sequence[int], room: int) -> int:
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for thing in trace:
        if thing in held:
            hits += 1
            held.move_to_end(thing)
            continue
        held[thing] = None
        if len(held) > room:
            held.popitem(last=False)
    return hits


KEPT = ("blobs", "partial", "tmp", "quarantine")
"""Rooms of a disk store that hold bytes of blobs: what the quota bounds, beside an index and a few records."""


def allocated(store: Path) -> int:
    """Bytes of disk that blobs take in a store, whatever vanishes or moves to another room while we look."""
    seen: dict[int, int] = {}
    for root, _, names in itertools.chain.from_iterable(os.walk(store / room) for room in KEPT):
        for name in names:
            try:
                status = os.lstat(os.path.join(root, name))
            except OSError:
                continue
            seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


@contextmanager
def peak_disk(folder: Path) -> Iterator[list[int]]:
    samples = [0]
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.05):
            samples.append(allocated(folder))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


@scenario(quick=False)
def zipf(bench: Bench) -> Outcome:
    """A store ten times smaller than the working set (300 blobs of 2 MiB, 60 MiB) under a Zipf trace (exponent 1) of
    pulls, one client (quick: 1,500 pulls, else 6,000).

    Never over the quota, temporary files included; hits at least 90 % of the offline optimum (Belady), both printed.
    """
    outcome = Outcome()
    size, things, room = 2 * MIB, 300, 30
    trace = zipf_trace(things, 1500 if bench.quick else 6000, 1.0)
    blobs: list[Blob] = [bench.corpus.blob(f"wanted{k}", size) for k in range(things)]
    parent = Parent(bench.corpus, bench.folder("parent"))
    nginx.add_blobs(bench.corpus, blobs)
    folder = bench.folder("site")
    mesh = ours.site(folder, [parent.url], store=ours.disk(folder, f"{room * size}B"), workers=1)
    paths = [(f"/v2/{REPOSITORY}/blobs/{blobs[k].digest}", size) for k in trace]
    with bench.running(parent.server, mesh, pinned=False):
        parent.forget()
        with peak_disk(folder / "store") as samples:
            seen = bench.drain.run(mesh.port, paths, connections=1, requests=len(paths), timeout=300)
        pulled = sum(1 for body in parent.bodies() if body >= size)
    best, lru = belady_hits(trace, room), lru_hits(trace, room)
    hits = len(trace) - pulled
    outcome.row("offline optimum", hit_ratio=best / len(trace))
    outcome.row("plain LRU, computed", hit_ratio=lru / len(trace), to_optimum=ratio(lru, best))
    outcome.row(
        "registry-mesh",
        hit_ratio=hits / len(trace),
        to_optimum=ratio(hits, best),
        peak_disk_mib=max(samples) / MIB,
        failed=seen.failed,
        said=seen.complaint,
    )
    outcome.at_most("nobody fails", seen.failed, 0)
    outcome.at_least("hits to the offline optimum", ratio(hits, best), 0.9)
    outcome.at_most("peak on disk to the quota", max(samples) / (room * size), 1.0)
    return outcome
