"""A site that holds nothing yet: whole layers come over the wide area while they are served."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from loadtests import cold_floor, docker_registry, nginx, ours
from loadtests.bench import Bench, Measured, median_of, ratio
from loadtests.corpus import GIB, Blob
from loadtests.drain import Drained
from loadtests.link import GIGABIT, LinkProcess
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent
from tests.simulators.link import Conditions


def _pull(bench: Bench, port: int, blob: Blob) -> Drained:
    return bench.drain.run(port, [(blob.path, blob.size)], connections=1, stampede=True, timeout=200)


@dataclass(slots=True)
class _Trials:
    first_byte: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    cpu_per_gib: list[float] = field(default_factory=list)
    upstream: list[float] = field(default_factory=list)
    failed: int = 0

    def add(self, seen: Drained) -> None:
        self.first_byte.append(seen.first_byte.p50)
        self.total.append(seen.total.p50)
        self.failed += seen.failed


def _cold(bench: Bench, server: Server, blob: Blob, trials: _Trials) -> Measured:
    """On a server that has just been started; a first small pull wakes it and its connection to the parent."""
    with bench.running(server, pinned=False):
        bench.get(server, bench.corpus.tiny.path)
        bench.take_memory(blob.size)
        before = server.cpu_seconds()
        measured = bench.measure(server, lambda: _pull(bench, server.port, blob))
        trials.add(measured.seen)
        trials.cpu_per_gib.append((server.cpu_seconds() - before) / blob.size * GIB)
        return measured


def _floor(bench: Bench, parent: Parent, blob: Blob, trials: _Trials) -> None:
    bench.take_memory(blob.size)
    begun = time.monotonic()
    spent = cold_floor.spent(parent.port, blob, bench.folder("floor") / "blob")
    trials.total.append((time.monotonic() - begun) * 1000)
    trials.cpu_per_gib.append(sum(spent) / blob.size * GIB)


def _row(outcome: Outcome, name: str, trials: _Trials, direct: _Trials) -> None:
    outcome.row(
        name,
        first_byte_ms=median_of(trials.first_byte),
        total_ms=median_of(trials.total),
        ratio_to_direct=ratio(median_of(trials.total), median_of(direct.total)),
        upstream_x=median_of(trials.upstream),
        cpu_s_per_gib=median_of(trials.cpu_per_gib),
        failed=trials.failed,
    )


def _over(bench: Bench, rtt: float, blob: Blob, rounds: int) -> Outcome:
    outcome = Outcome()
    parent = Parent(bench.corpus, bench.folder("parent"))
    direct, us, them = _Trials(), _Trials(), _Trials()
    conditions = Conditions(rate=GIGABIT, rtt=rtt)
    with bench.running(parent.server, pinned=False), LinkProcess(parent.port, conditions) as link:
        for _ in range(rounds):
            direct.add(_pull(bench, link.port, blob))
            for server, trials in (
                (nginx.cache(link.port, bench.folder("cache")), them),
                (ours.site(bench.folder("site"), [link.url]), us),
            ):
                link.forget()
                _cold(bench, server, blob, trials)
                trials.upstream.append(link.seen().body_bytes / blob.size)
    _row(outcome, "direct", direct, direct)
    _row(outcome, "nginx cache (unverified)", them, direct)
    _row(outcome, "registry-mesh", us, direct)
    outcome.at_most("nobody fails", us.failed, 0)
    outcome.at_most("time to direct", outcome.rows[-1]["ratio_to_direct"], 1.02)
    outcome.at_most(
        "first byte beyond direct, ms", median_of(us.first_byte) - median_of(direct.first_byte), 5
    )
    outcome.at_most("upstream, times the blob", outcome.rows[-1]["upstream_x"], 1.01)
    return outcome


@scenario()
def over_20ms(bench: Bench) -> Outcome:
    """A cold layer through the site, over 1 Gbit/s with 20 ms: time at most 1.02 times direct, first byte within
    5 ms of direct. 1 GiB in the full run, 256 MiB in the quick one."""
    return _over(
        bench, 0.02, *((bench.corpus.layer, 1) if bench.quick else (bench.corpus.giant, bench.rounds))
    )


@scenario(quick=False)
def over_100ms(bench: Bench) -> Outcome:
    """The same with 100 ms."""
    return _over(
        bench, 0.1, *((bench.corpus.layer, 1) if bench.quick else (bench.corpus.giant, bench.rounds))
    )


@scenario()
def over_loopback(bench: Bench) -> Outcome:
    """A cold 1 GiB layer on a free loopback: time at most 2.0 times direct, CPU of the site at most 1.7 s per GiB
    with hash, write and send included. Beside it the least that receiving, writing and hashing cost, done by one
    thread that sends nothing on (`cold_floor`)."""
    outcome = Outcome()
    blob = bench.corpus.giant
    parent = Parent(bench.corpus, bench.folder("parent"))
    direct, us, them, slow, least = _Trials(), _Trials(), _Trials(), _Trials(), _Trials()
    with bench.running(parent.server, pinned=False):
        for _ in range(1 if bench.quick else bench.rounds):
            direct.add(_pull(bench, parent.port, blob))
            _floor(bench, parent, blob, least)
            for server, trials in (
                (nginx.cache(parent.port, bench.folder("cache")), them),
                (docker_registry.pull_through(parent.url, bench.folder("proxy")), slow),
                (ours.site(bench.folder("site"), [parent.url]), us),
            ):
                parent.forget()
                _cold(bench, server, blob, trials)
                trials.upstream.append(parent.sent().body_bytes / blob.size)
    _row(outcome, "direct", direct, direct)
    _row(outcome, "nginx cache (unverified)", them, direct)
    _row(outcome, "docker-registry proxy", slow, direct)
    _row(outcome, "received, written, hashed, no more", least, direct)
    _row(outcome, "registry-mesh", us, direct)
    outcome.at_most("nobody fails", us.failed, 0)
    outcome.at_most("time to direct", outcome.rows[-1]["ratio_to_direct"], 2.0)
    outcome.at_most("CPU-s per GiB", median_of(us.cpu_per_gib), 1.7)
    outcome.at_most("upstream, times the blob", outcome.rows[-1]["upstream_x"], 1.01)
    return outcome
