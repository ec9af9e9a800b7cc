"""What a site's costs do when it holds more and more."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from pathlib import Path

from loadtests import nginx, ours
from loadtests.bench import Bench, Measured, ratio
from loadtests.corpus import KIB, MIB, REPOSITORY
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent


def _body(number: int) -> bytes:
    return b"blob number %d" % number


def _digest(number: int) -> str:
    return hashlib.sha256(_body(number)).hexdigest()


def _grown_store(place: Path, count: int) -> Path:
    """A store with so many small complete blobs, as a crash that lost its index would leave it. Kept for next time."""
    done = place / "done"
    if done.exists():
        return place
    shutil.rmtree(place, ignore_errors=True)
    shelves = place / "blobs/sha256"
    for first in range(256):
        (shelves / f"{first:02x}").mkdir(parents=True)
    for number in range(count):
        name = _digest(number)
        with open(shelves / name[:2] / name, "wb", buffering=0) as file:
            file.write(_body(number))
    done.touch()
    return place


def _settled(server: Server, limit: float = 300) -> float:
    """Seconds until it uses no CPU any more: what it does in the background after a start is done."""
    begun, quiet = time.monotonic(), 0
    while quiet < 4 and time.monotonic() - begun < limit:
        before = server.cpu_seconds()
        time.sleep(0.25)
        quiet = quiet + 1 if server.cpu_seconds() - before <= 0.02 else 0
    return time.monotonic() - begun


def _held(store: Path) -> int:
    return sum(len(os.listdir(shelf)) for shelf in (store / "blobs/sha256").iterdir())


def _evictions(bench: Bench, mesh: Server, store: Path, count: int) -> float:
    """CPU us for each small blob that goes while new blobs of 1 MiB are pulled into a full store."""
    fresh = [bench.corpus.blob(f"fresh{k}", MIB) for k in range(min(50, count // 500))]
    nginx.add_blobs(bench.corpus, fresh)
    paths = [(blob.path, blob.size) for blob in fresh]
    time.sleep(2)  # what was used a moment ago is not evicted
    before = _held(store)
    measured = bench.measure(
        mesh, lambda: bench.drain.run(mesh.port, paths, connections=1, requests=len(paths))
    )
    if measured.seen.failed:
        raise RuntimeError(measured.seen.complaint)
    return measured.cpu_seconds / max(1, before - _held(store)) * 1e6


@scenario(quick=False)
def blobs_held(bench: Bench) -> Outcome:
    """With 10^3, 10^5 (and, in the full run, 10^6) small blobs held: seconds to start (first without an index, then
    with one), memory, CPU of a request for any of 1,000 of them and for any of 8,000, CPU of each eviction.

    Flat or logarithmic; with the most blobs: start under 2 s, memory under 200 MB, requests and evictions at most
    1.5 times what they cost with 10^3.
    """
    outcome = Outcome()
    parent = Parent(bench.corpus, bench.folder("parent"))
    counts = (1_000, 100_000) if bench.quick else (1_000, 100_000, 1_000_000)
    with bench.running(parent.server, pinned=False):
        for count in counts:
            _with(bench, parent, count, outcome)
    few, most = outcome.rows[0], outcome.rows[-1]
    outcome.at_most(f"start with {most['blobs']:,} blobs, s", most["start_s"], 2)
    outcome.at_most(f"memory with {most['blobs']:,} blobs, MiB", most["memory_mib"], 190)
    for what in ("cpu_us_per_request", "cpu_us_of_8000"):
        outcome.at_most(f"{what}, most to few", ratio(most[what], few[what]), 1.5)
    outcome.at_most(
        "CPU of an eviction, most to few",
        ratio(most["cpu_us_per_evicted_blob"], few["cpu_us_per_evicted_blob"]),
        1.5,
    )
    outcome.at_most(
        "nobody fails, nothing upstream", sum(row["failed"] + row["upstream"] for row in outcome.rows), 0
    )
    return outcome


def _with(bench: Bench, parent: Parent, count: int, outcome: Outcome) -> None:
    store = _grown_store(bench.corpus.folder / f"grown-{count}", count)
    quota = f"{(count * 4 * KIB + MIB) // KIB}KiB"
    first = ours.site(
        bench.folder("site"), [parent.url], store={"disk": {"path": str(store), "quota": quota}}
    )
    with bench.running(first, pinned=False):
        without_index, indexing = first.ready_seconds, _settled(first)
    mesh = ours.site(bench.folder("site"), [parent.url], store={"disk": {"path": str(store), "quota": quota}})
    chosen = random.Random(count).sample(range(count), min(count, 8_000))
    paths = [(f"/v2/{REPOSITORY}/blobs/sha256:{_digest(k)}", len(_body(k))) for k in chosen]

    def ask(asked: list[tuple[str, int]]) -> Measured:
        """Any of these, each of which was asked for twice before: what is asked for again is hot."""
        for _ in range(2):
            bench.drain.run(mesh.port, asked, connections=16, requests=len(asked), cores=bench.client_core)
        return bench.clean(
            mesh,
            lambda: bench.drain.run(
                mesh.port, asked, connections=16, seconds=bench.seconds, cores=bench.client_core
            ),
        )

    try:
        with bench.running(mesh):
            _settled(mesh, 60)
            parent.forget()
            measured = ask(paths[:1000])
            memory = mesh.memory().pss
            many = ask(paths)
            asked = parent.sent().requests
            outcome.row(
                "registry-mesh",
                blobs=count,
                start_without_index_s=without_index,
                indexing_s=indexing,
                start_s=mesh.ready_seconds,
                memory_mib=mesh.memory().pss,
                memory_mib_before_8000=memory,
                cpu_us_per_request=measured.us_per_request,
                cpu_us_of_8000=many.us_per_request,
                cpu_us_per_evicted_blob=_evictions(bench, mesh, store, count),
                upstream=asked,
                failed=measured.seen.failed + many.seen.failed,
                said=measured.seen.complaint or many.seen.complaint,
            )
    finally:
        shutil.rmtree(store, ignore_errors=True)  # evictions have eaten from it
