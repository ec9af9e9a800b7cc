"""Storms: a whole cluster starts the same job, and nobody holds its layers yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from loadtests import nginx, ours
from loadtests.bench import Bench, median_of, ratio
from loadtests.corpus import KIB, MIB, Blob
from loadtests.drain import Drained
from loadtests.link import GIGABIT, LinkProcess
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent
from tests.simulators.link import Conditions


@contextmanager
def peak_memory(server: Server) -> Iterator[list[float]]:
    """Samples of the tree's own MiB (PSS) while the block runs."""
    samples = [server.memory().pss]
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.1):
            samples.append(server.memory().pss)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def _storm(bench: Bench, parent: Parent, server: Server, blob: Blob, clients: int, outcome: Outcome) -> None:
    with bench.running(server, pinned=False):
        bench.get(server, bench.corpus.tiny.path)
        bench.take_memory(blob.size)
        parent.forget()
        with peak_memory(server) as memory:
            measured = bench.measure(
                server,
                lambda: bench.drain.run(
                    server.port, [(blob.path, blob.size)], connections=clients, stampede=True, check=2, compare=blob,
                    timeout=1800,
                ),
            )  # fmt: skip
        seen, sent = measured.seen, parent.sent()
        outcome.row(
            server.name,
            clients=clients,
            total_s=seen.total.worst / 1000,
            first_byte_p50_ms=seen.first_byte.p50,
            first_byte_worst_ms=seen.first_byte.worst,
            upstream_x=sent.body_bytes / blob.size,
            upstream_requests=sent.requests,
            cpu_s=measured.cpu_seconds,
            peak_mib=max(memory),
            failed=seen.failed + seen.wrong_bytes,
            said=seen.complaint,
        )


def _storms(bench: Bench, blob: Blob, clients: int, workers: int = 2) -> Outcome:
    outcome = Outcome()
    parent = Parent(bench.corpus, bench.folder("parent"))
    with bench.running(parent.server, pinned=False):
        for server in (
            nginx.cache(parent.port, bench.folder("cache"), workers=workers),
            ours.site(bench.folder("site"), [parent.url], workers=workers),
        ):
            _storm(bench, parent, server, blob, clients, outcome)
    them, us = outcome.rows
    outcome.at_most("nobody fails", us["failed"], 0)
    outcome.at_most("upstream, times the blob", us["upstream_x"], 1.005)
    outcome.at_most("time to nginx cache with its lock", ratio(us["total_s"], them["total_s"]), 1.3)
    return outcome


@scenario(crowd=True)
def hundred(bench: Bench) -> Outcome:
    """100 clients at once on one cold blob (1 GiB; quick: 256 MiB), two workers, free loopback.

    Upstream 1.00 times the blob, nobody fails, all done within 1.3 times nginx proxy_cache with its lock.
    """
    return _storms(bench, bench.corpus.layer if bench.quick else bench.corpus.giant, 100)


@scenario(quick=False, crowd=True)
def thousand(bench: Bench) -> Outcome:
    """The same with 1,000 clients."""
    return _storms(bench, bench.corpus.giant, 1000)


@scenario(crowd=True)
def over_slow_link(bench: Bench) -> Outcome:
    """100 clients at once on one cold 64 MiB blob behind 125 MB/s and 20 ms.

    Worst first byte within 50 ms of direct; the last client done within 1.25 times one direct pull: medians of the
    rounds. Beside them nginx static, which has the blob: what the machine takes to move a hundred times 64 MiB, without
    any link.
    """
    outcome = Outcome()
    crowds: dict[str, list[_Crowd]] = {}
    parent = Parent(bench.corpus, bench.folder("parent"))
    with bench.running(parent.server, pinned=False):
        for _ in range(bench.rounds):
            with LinkProcess(parent.port, Conditions(rate=GIGABIT, rtt=0.02)) as link:
                for crowd in _crowds_over(bench, link):
                    crowds.setdefault(crowd.name, []).append(crowd)
    for name, rounds in crowds.items():
        outcome.row(
            name,
            first_byte_beyond_direct_ms=median_of([crowd.beyond for crowd in rounds]),
            last_ms=median_of([crowd.seen.total.worst for crowd in rounds]),
            ratio_to_direct=median_of([crowd.ratio for crowd in rounds]),
            upstream_x=max(crowd.upstream for crowd in rounds),
            failed=sum(crowd.seen.failed + crowd.seen.wrong_bytes for crowd in rounds),
            said=next((crowd.seen.complaint for crowd in rounds if crowd.seen.complaint), ""),
        )
    us = outcome.rows[-1]
    outcome.at_most("nobody fails", us["failed"], 0)
    outcome.at_most("upstream, times the blob", us["upstream_x"], 1.01)
    outcome.at_most("worst first byte beyond direct, ms", us["first_byte_beyond_direct_ms"], 50)
    outcome.at_most("last client to one direct pull", us["ratio_to_direct"], 1.25)
    return outcome


@dataclass(frozen=True)
class _Crowd:
    """What a hundred clients of one server saw, and one who pulled directly. `upstream` times the blob were moved."""

    name: str
    seen: Drained
    direct: Drained
    upstream: float = 0.0

    @property
    def beyond(self) -> float:
        """Milliseconds of the worst first byte beyond the direct one."""
        return self.seen.first_byte.worst - self.direct.first_byte.worst

    @property
    def ratio(self) -> float:
        return ratio(self.seen.total.worst, self.direct.total.worst)


def _crowds_over(bench: Bench, link: LinkProcess) -> Iterator[_Crowd]:
    """One round: us at the end."""
    blob = bench.corpus.small
    direct = bench.drain.run(link.port, [(blob.path, blob.size)], connections=1, stampede=True)
    yield _Crowd("direct, one client", direct, direct, 1.0)
    held = nginx.static(bench.corpus, bench.folder("static"), workers=2)
    with bench.running(held, pinned=False):
        bench.get(held, blob.path)
        yield _Crowd("nginx static, no link", _crowd(bench, held, blob), direct)
    for server in (
        nginx.cache(link.port, bench.folder("cache"), workers=2),
        ours.site(bench.folder("site"), [link.url], workers=2),
    ):
        with bench.running(server, pinned=False):
            bench.get(server, bench.corpus.tiny.path)
            bench.take_memory(blob.size)
            link.forget()
            seen = _crowd(bench, server, blob)
            yield _Crowd(server.name, seen, direct, link.seen().body_bytes / blob.size)


def _crowd(bench: Bench, server: Server, blob: Blob) -> Drained:
    return bench.drain.run(
        server.port,
        [(blob.path, blob.size)],
        connections=100,
        stampede=True,
        check=5,
        compare=blob,
        timeout=120,
    )


@scenario(crowd=True)
def mixed_readers(bench: Bench) -> Outcome:
    """200 clients on one cold blob (1 GiB; quick: 256 MiB): 60 whole readers, 139 with random ranges of 64 KiB to
    8 MiB, and one that reads at 1 MB/s, behind 125 MB/s and 20 ms.

    Upstream at most 1.01 times the blob, every byte right, first bytes before the fill ends, the slow one slows
    nobody, under 200 MiB of memory.
    """
    outcome = Outcome()
    blob = bench.corpus.layer if bench.quick else bench.corpus.giant
    parent = Parent(bench.corpus, bench.folder("parent"))
    paths = [(blob.path, blob.size)]
    with bench.running(parent.server, pinned=False):
        with LinkProcess(parent.port, Conditions(rate=GIGABIT, rtt=0.02)) as link:
            direct = bench.drain.run(link.port, paths, connections=1, stampede=True)
            server = ours.site(bench.folder("site"), [link.url], workers=2)
            with bench.running(server, pinned=False):
                bench.get(server, bench.corpus.tiny.path)
                link.forget()
                with peak_memory(server) as memory:
                    dawdler = bench.drain.start(
                        server.port, paths, connections=1, each=1, read_rate=1_000_000
                    )
                    time.sleep(0.05)
                    ranges = bench.drain.start(
                        server.port, paths, connections=139, each=3, range=64 * KIB, range_to=8 * MIB, check=139,
                        compare=blob, timeout=120,
                    )  # fmt: skip
                    whole = bench.drain.run(
                        server.port, paths, connections=60, each=1, check=6, compare=blob, timeout=200
                    )
                    ranged = ranges.wait()
                    slow_still_reads = not dawdler.over
                    dawdler.leave()
                moved = link.seen()
    outcome.row("direct, one client", first_byte_worst_ms=direct.first_byte.worst, last_ms=direct.total.worst)
    for name, seen in (("60 whole readers", whole), ("139 range readers, 3 each", ranged)):
        outcome.row(
            name,
            first_byte_worst_ms=seen.first_byte.worst,
            last_ms=seen.total.worst,
            failed=seen.failed + seen.wrong_bytes,
            said=seen.complaint,
        )
    outcome.row(
        "the site",
        upstream_x=moved.body_bytes / blob.size,
        upstream_requests=moved.requests,
        peak_mib=max(memory),
    )
    outcome.at_most(
        "nobody fails, every byte right",
        whole.failed + ranged.failed + whole.wrong_bytes + ranged.wrong_bytes,
        0,
    )
    outcome.at_least("the slow reader still reads", int(slow_still_reads), 1)
    outcome.at_most("upstream, times the blob", moved.body_bytes / blob.size, 1.01)
    outcome.at_most(
        "worst first byte to the fill's time", ratio(whole.first_byte.worst, direct.total.worst), 0.9
    )
    outcome.at_most("last whole reader to one direct pull", ratio(whole.total.worst, direct.total.worst), 1.5)
    outcome.at_most("peak memory, MiB", max(memory), 200)
    return outcome
