"""Clients that read hardly anything, or nothing: what they take from a node and from those beside them."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loadtests import nginx, ours
from loadtests.bench import Bench, median_of, ratio
from loadtests.corpus import ACCEPT, MIB, Blob
from loadtests.drain import Drained, Running
from loadtests.ours import Mesh
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent

CROWD: Final = 5_000
"""Clients of each kind; each kind is one process, and may open 20,000 files at most machines."""
SLOW: Final = 1_000
"""Bytes a second that a slow one reads."""
STOPPED: Final = 1
"""The same of one that stops: one byte, and no more."""
WINDOW: Final = 4_096
"""Bytes of its own that the kernel keeps for each of them: they are clients of another machine, whose memory is not
that of the node."""
WORKERS: Final = 2
CONNECTIONS: Final = 4
"""Of the clients that have hits: the machine is not to be full, or p99 says how the kernel shares it."""
HELD: Final = 8
"""Blobs that the crowd reads: they fill the store."""
SIZE: Final = 32 * MIB
ARRIVED: Final = 120.0
"""Seconds in which the crowd has to have come."""
GONE: Final = 420.0
"""Seconds after which clients that take nothing have to be gone."""
LOOK: Final = 10.0
"""Seconds for which the crowd is left alone, to see what it costs by itself."""

_RUNNING: Final = re.compile(r"^registry_mesh_requests_running(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)
_KERNEL: Final = re.compile(r"^TCP:.* mem (\d+)", re.MULTILINE)
_PAGE: Final = 4096


def running(mesh: Mesh) -> int:
    """Answers that are on their way."""
    with urllib.request.urlopen(f"http://127.0.0.1:{mesh.admin_port}/metrics", timeout=30) as answer:
        return round(sum(float(found) for found in _RUNNING.findall(answer.read().decode())))


def kernel_mib() -> float:
    """What the kernel keeps for all connections of this machine."""
    found = _KERNEL.search(Path("/proc/net/sockstat").read_text())
    return int(found[1]) * _PAGE / MIB if found else float("nan")


def until(is_so: Callable[[], bool], seconds: float) -> float:
    """Seconds until it was so; infinite where it was not within `seconds`."""
    begun = time.monotonic()
    while not is_so():
        if time.monotonic() - begun > seconds:
            return float("inf")
        time.sleep(0.5)
    return time.monotonic() - begun


@dataclass(slots=True)
class Crowd:
    """Those that are slow, and those that stop."""

    slow: Running
    stopped: Running

    def leave(self) -> None:
        """All of them hang up that have not yet."""
        for each in (self.slow, self.stopped):
            if not each.over:
                each.leave()


@contextmanager
def crowd(bench: Bench, mesh: Mesh, blobs: list[Blob], each: int) -> Iterator[Crowd]:
    """Beside the node from the moment on that it answers all of them, or as many as it will."""
    paths = [(blob.path, blob.size) for blob in blobs]
    start = bench.drain.start
    kinds = [
        start(mesh.port, paths, connections=each, each=1, read_rate=rate, receive_buffer=WINDOW, timeout=3600)
        for rate in (SLOW, STOPPED)
    ]
    came = Crowd(*kinds)
    try:
        until(lambda: running(mesh) >= 2 * each, ARRIVED)
        yield came
    finally:
        came.leave()
        until(lambda: running(mesh) == 0, 30.0)


@dataclass(slots=True)
class Seen:
    """Of the rounds: hits in turns with and without the crowd, and what the node has meanwhile."""

    alone: list[Drained] = field(default_factory=list)
    beside: list[Drained] = field(default_factory=list)

    def p99(self) -> tuple[float, float]:
        """Alone, and beside the crowd; milliseconds."""
        alone, beside = (median_of([one.total.p99 for one in runs]) for runs in (self.alone, self.beside))
        return alone, beside

    @property
    def failed(self) -> int:
        return sum(one.failed for one in [*self.alone, *self.beside])


def _hits(bench: Bench, mesh: Mesh) -> Drained:
    paths = [(one.path_by_tag, one.size) for one in bench.corpus.manifests[:200]]
    seconds = 1.0 if bench.quick else 5.0
    return bench.drain.run(mesh.port, paths, connections=CONNECTIONS, seconds=seconds, header=ACCEPT)


def _kept(bench: Bench, parent: Parent, mesh: Mesh, blob: Blob) -> tuple[Drained, bool]:
    """A cold pull of the blob, and whether a second one finds it here."""
    paths = [(blob.path, blob.size)]
    first = bench.drain.run(mesh.port, paths, connections=1, requests=1, timeout=60)
    parent.forget()
    bench.drain.run(mesh.port, paths, connections=1, requests=1, timeout=60)
    return first, parent.sent().body_bytes < blob.size


def _cost(outcome: Outcome, name: str, mesh: Mesh) -> None:
    cpu, begun = mesh.cpu_seconds(), time.monotonic()
    time.sleep(LOOK)
    cpu, passed, memory = mesh.cpu_seconds() - cpu, time.monotonic() - begun, mesh.memory()
    outcome.row(
        name,
        answers=running(mesh),
        files=mesh.open_files(),
        rss_mib=memory.rss,
        pss_mib=memory.pss,
        kernel_mib=kernel_mib(),
        cpu_percent=ratio(cpu, passed) * 100,
    )


@scenario(quick=False)
def beside_hits(bench: Bench) -> Outcome:
    """5,000 clients that read 1 kB a second and 5,000 that stop reading, of blobs that fill the store, beside warm hits
    by tag, in turns with and without; then a blob comes that is not held, and those that stopped are waited for.

    p99 of hits at most 1 ms more; the blob comes, and is kept; who stopped is gone within 7 minutes; nobody else fails.
    """
    outcome, each = Outcome(), CROWD // 10 if bench.quick else CROWD
    blobs = [bench.corpus.blob(f"slowly{number}", SIZE) for number in range(HELD + 2)]
    held, (fresh, later) = blobs[:HELD], blobs[HELD:]
    parent = Parent(bench.corpus, bench.folder("parent"))
    nginx.add_blobs(bench.corpus, blobs)
    folder = bench.folder("site")
    mesh = ours.site(folder, [parent.url], workers=WORKERS, store=ours.disk(folder, f"{(HELD + 1) * SIZE}B"))
    seen = Seen()
    with bench.running(parent.server, mesh, pinned=False):
        for blob in held:
            bench.get(mesh, blob.path)
        _hits(bench, mesh)
        _cost(outcome, "nobody", mesh)
        for _ in range(bench.rounds - 1):
            seen.alone.append(_hits(bench, mesh))
            with crowd(bench, mesh, held, each):
                seen.beside.append(_hits(bench, mesh))
        seen.alone.append(_hits(bench, mesh))
        with crowd(bench, mesh, held, each) as came:
            seen.beside.append(_hits(bench, mesh))
            _cost(outcome, "the crowd", mesh)
            _demand_room(bench, outcome, parent, mesh, fresh, "beside them")
            begun = time.monotonic()
            came.slow.leave()
            gone = until(lambda: running(mesh) == 0, GONE - (time.monotonic() - begun))
            outcome.remarks.append(f"those that stopped were gone {gone:.0f} s after the others")
            outcome.at_most("seconds until who stopped is gone", gone, GONE)
            _cost(outcome, "once they are gone", mesh)
            _demand_room(bench, outcome, parent, mesh, later, "after them")
    alone, beside = seen.p99()
    outcome.row("hits", p99_alone_ms=alone, p99_beside_ms=beside, failed=seen.failed)
    outcome.at_most("p99 of hits beside them, ms more", beside - alone, 1.0)
    outcome.at_most("no hit fails", seen.failed, 0)
    return outcome


def _demand_room(bench: Bench, outcome: Outcome, parent: Parent, mesh: Mesh, blob: Blob, when: str) -> None:
    first, kept = _kept(bench, parent, mesh, blob)
    if first.complaint:
        outcome.remarks.append(f"a blob that comes {when}: {first.complaint}")
    outcome.at_most(f"a blob comes {when}: fails", first.failed, 0)
    outcome.at_least(f"and is kept {when}", int(kept), 1)
