"""A parent far away: over a line that loses some of what it carries, and when the first byte is there.

The line is a program (`tests/simulators/link.py`): what losses make of a connection is CUBIC's window, a round at a
time, so that it needs no kernel that can lose packets.
"""

from __future__ import annotations

import time

from loadtests import nginx, ours
from loadtests.bench import Bench, median_of, ratio
from loadtests.corpus import KIB, MIB, Blob
from loadtests.drain import Drained
from loadtests.link import GIGABIT, LinkProcess
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent
from tests.simulators.link import Conditions

RTT = 0.1
LOSS = 0.005
SETTLED = 1.0
"""Seconds after a site's start in which it has met its parent."""


def _pull(bench: Bench, port: int, blob: Blob) -> Drained:
    return bench.drain.run(port, [(blob.path, blob.size)], connections=1, stampede=True, timeout=600)


@scenario(quick=False)
def over_losses(bench: Bench) -> Outcome:
    """Cold layers of 16 MiB over 100 ms that lose half a percent: the first, for which the site has to find out how
    many connections help, and the next one. At most 0.4 times direct, and every byte once."""
    outcome = Outcome()
    parent = Parent(bench.corpus, bench.folder("parent"))
    blobs = [bench.corpus.blob(f"far-{i}", 16 * MIB) for i in range(2)]
    nginx.add_blobs(bench.corpus, blobs)
    direct: list[float] = []
    through: list[list[float]] = [[] for _ in blobs]
    upstream: list[float] = []
    failed = 0
    conditions = Conditions(rate=GIGABIT, rtt=RTT, loss=LOSS)
    with bench.running(parent.server, pinned=False), LinkProcess(parent.port, conditions) as link:
        for _ in range(1 if bench.quick else bench.rounds):
            direct.append(_pull(bench, link.port, blobs[0]).total.p50)
            server = ours.site(bench.folder("site"), [link.url])
            with bench.running(server, pinned=False):
                bench.get(server, bench.corpus.tiny.path)
                for blob, seconds in zip(blobs, through, strict=True):
                    link.forget()
                    seen = _pull(bench, server.port, blob)
                    seconds.append(seen.total.p50)
                    failed += seen.failed
                    upstream.append(link.seen().body_bytes / blob.size)
    outcome.row("direct", total_ms=median_of(direct), ratio_to_direct=1.0)
    for name, seconds in zip(("first blob", "next blob"), through, strict=True):
        share = ratio(median_of(seconds), median_of(direct))
        outcome.row(name, total_ms=median_of(seconds), ratio_to_direct=share, upstream_x=max(upstream))
        outcome.at_most(f"time to direct, {name}", share, 0.4)
    outcome.at_most("nobody fails", failed, 0)
    outcome.at_most("upstream, times the blob", max(upstream), 1.02)
    return outcome


class _FirstBytes:
    """Of pulls of one kind, in milliseconds."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._seen: list[float] = []
        self.failed = 0

    def take(self, port: int, blob: Blob) -> None:
        seen = _pull(self._bench, port, blob)
        self._seen.append(seen.first_byte.p50)
        self.failed += seen.failed + (seen.bytes < blob.size)

    @property
    def usual(self) -> float:
        return median_of(self._seen)


@scenario()
def first_byte(bench: Bench) -> Outcome:
    """The first byte over 100 ms: of a blob that a warm site has to fetch at most 5 ms later than direct, of a
    site's first request at most 30 ms. And a layer over the same line, which loses nothing: 1.01 times direct."""
    outcome, rounds = Outcome(), 1 if bench.quick else bench.rounds
    parent = Parent(bench.corpus, bench.folder("parent"))
    small = [bench.corpus.blob(f"small-{i}", 256 * KIB) for i in range(11 * rounds)]
    nginx.add_blobs(bench.corpus, small)
    new = iter(small)
    direct, first, warm = _FirstBytes(bench), _FirstBytes(bench), _FirstBytes(bench)
    whole: dict[str, list[float]] = {"direct": [], "registry-mesh": []}
    with (
        bench.running(parent.server, pinned=False),
        LinkProcess(parent.port, Conditions(rate=GIGABIT, rtt=RTT)) as link,
    ):
        for _ in range(rounds):
            server = ours.site(bench.folder("site"), [link.url])
            with bench.running(server, pinned=False):
                time.sleep(SETTLED)
                first.take(server.port, next(new))
                for _ in range(5):
                    direct.take(link.port, next(new))
                    warm.take(server.port, next(new))
                whole["direct"].append(_pull(bench, link.port, bench.corpus.layer).total.p50)
                whole["registry-mesh"].append(_pull(bench, server.port, bench.corpus.layer).total.p50)
    outcome.row("direct", first_byte_ms=direct.usual, layer_ms=median_of(whole["direct"]))
    outcome.row("site, warm", first_byte_ms=warm.usual, layer_ms=median_of(whole["registry-mesh"]))
    outcome.row("site, its first request", first_byte_ms=first.usual, layer_ms=float("nan"))
    outcome.at_most("nobody fails", direct.failed + first.failed + warm.failed, 0)
    outcome.at_most("first byte beyond direct, warm, ms", warm.usual - direct.usual, 5)
    outcome.at_most("first byte beyond direct, first request, ms", first.usual - direct.usual, 30)
    share = ratio(median_of(whole["registry-mesh"]), median_of(whole["direct"]))
    outcome.at_most("time of a layer to direct, without losses", share, 1.01)
    return outcome
