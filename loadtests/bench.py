"""What a scenario works with: content, clients, cores, and fair rounds between those who are compared."""

from __future__ import annotations

import os
import shutil
import statistics
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from loadtests import processes, profiling
from loadtests.corpus import ACCEPT, GIB, Corpus
from loadtests.drain import Drain, Drained
from loadtests.processes import Server

FOREIGN_LIMIT = 0.12
"""Cores used by others during a run, above which the run is thrown away and done again."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run against one server."""

    seen: Drained
    cpu_seconds: float
    foreign_cores: float
    memory_mib: float = 0.0

    @property
    def us_per_request(self) -> float:
        return self.cpu_seconds / max(1, self.seen.answered) * 1e6

    @property
    def cpu_per_gib(self) -> float:
        return self.cpu_seconds / max(1, self.seen.bytes) * GIB


def _own_seconds() -> float:
    return processes.cpu_seconds(os.getpid())


class Bench:
    """`quick` means shorter runs and smaller crowds, not other scenarios."""

    def __init__(self, corpus: Corpus, work: Path, *, quick: bool, rounds: int | None = None) -> None:
        self.corpus = corpus
        self.quick = quick
        self.work = work
        cores = sorted(os.sched_getaffinity(0))
        self.server_core = {cores[0]}
        self.client_core = {cores[-1]}
        self.cores = set(cores)
        self.drain = Drain(corpus.folder.parent / "bin")
        self.rounds = rounds or 3
        self.seconds = 0.7 if quick else 2.0
        self.tries = 1 if quick else 8
        self._numbers = count()
        self.profiles: Path | None = None
        self.soak = 600
        """Seconds of churn."""
        self.dirty = 0.0  # the worst foreign share that was let through

    def folder(self, name: str) -> Path:
        """A new empty folder."""
        place = self.work / f"{name}-{next(self._numbers)}"
        place.mkdir(parents=True)
        return place

    @contextmanager
    def running(self, *servers: Server, pinned: bool = True) -> Iterator[None]:
        """All of them up, and gone afterwards together with what they stored."""
        started: list[Server] = []
        try:
            for server in servers:
                server.cores = self.server_core if pinned else None
                started.append(server.start())
            yield
        finally:
            for server in reversed(started):
                server.stop()
            for server in started:
                shutil.rmtree(server.folder, ignore_errors=True)

    def take_memory(self, size: int) -> None:
        """Have so many bytes of free memory that the kernel need not ask anybody for.

        A virtual machine gives free pages back to its host after some seconds; to get them again takes ten times what
        writing to them takes (3.0 CPU-seconds a GiB and 0.22, measured), and falls on whoever happens to come then.
        Half as much again is taken: some of what is set free is not what is got next.
        """
        place = self.folder("memory") / "pages"
        try:
            with place.open("wb", buffering=0) as file:
                piece = bytes(1 << 20)
                for _ in range(-(-size * 3 // 2 // len(piece))):
                    file.write(piece)
        finally:
            shutil.rmtree(place.parent)

    def get(self, server: Server, path: str) -> int:
        """Fetch once and drop it: to warm a cache, to see that it works. Bytes of the body."""
        request = urllib.request.Request(server.url + path, headers=dict([ACCEPT.split(": ", 1)]))
        total = 0
        with urllib.request.urlopen(request, timeout=300) as answer:
            while part := answer.read(1 << 20):
                total += len(part)
        return total

    def measure(self, server: Server, run: Callable[[], Drained]) -> Measured:
        """`run` once, with the server's CPU and that of strangers."""
        busy, own, cpu, begun = (
            processes.machine_busy_seconds(),
            _own_seconds(),
            server.cpu_seconds(),
            time.monotonic(),
        )
        with profiling.recorded(server, self.profiles):
            seen = run()
        wall = time.monotonic() - begun
        used = server.cpu_seconds() - cpu
        foreign = processes.machine_busy_seconds() - busy - (_own_seconds() - own)
        return Measured(seen, used, max(0.0, foreign / wall), server.memory().pss)

    def clean(self, server: Server, run: Callable[[], Drained]) -> Measured:
        """The first clean run, or the cleanest of a few."""
        best: Measured | None = None
        for _ in range(self.tries):
            measured = self.measure(server, run)
            if best is None or measured.foreign_cores < best.foreign_cores:
                best = measured
            if best.foreign_cores <= FOREIGN_LIMIT:
                break
            time.sleep(0.2)
        assert best is not None
        self.dirty = max(self.dirty, best.foreign_cores)
        return best

    def paired(self, runs: Mapping[Server, Callable[[], Drained]]) -> dict[Server, Runs]:
        """All servers are up; they take turns, so that what disturbs one disturbs all."""
        results: dict[Server, Runs] = {server: Runs() for server in runs}
        for _ in range(self.rounds):
            for server, run in runs.items():
                results[server].all.append(self.clean(server, run))
        return results


@dataclass(slots=True)
class Runs:
    """The runs of one server; every figure is the median."""

    all: list[Measured] = field(default_factory=list)

    def median(self, figure: Callable[[Measured], float]) -> float:
        return statistics.median(figure(one) for one in self.all)

    @property
    def us_per_request(self) -> float:
        return self.median(lambda one: one.us_per_request)

    @property
    def cpu_per_gib(self) -> float:
        return self.median(lambda one: one.cpu_per_gib)

    @property
    def requests_per_second(self) -> float:
        return self.median(lambda one: one.seen.requests_per_second)

    @property
    def gigabytes_per_second(self) -> float:
        return self.median(lambda one: one.seen.gigabytes_per_second)

    @property
    def p50(self) -> float:
        return self.median(lambda one: one.seen.total.p50)

    @property
    def p99(self) -> float:
        return self.median(lambda one: one.seen.total.p99)

    @property
    def failed(self) -> int:
        return sum(one.seen.failed + one.seen.wrong_bytes for one in self.all)

    @property
    def complaint(self) -> str:
        return next((one.seen.complaint for one in self.all if one.seen.complaint), "")


def ratio(value: float, to: float) -> float:
    return value / to if to > 0 else float("inf")


def median_of(values: Sequence[float]) -> float:
    return statistics.median(values) if values else float("nan")
