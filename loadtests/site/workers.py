"""Several worker processes on one port."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

from loadtests import nginx, ours, processes
from loadtests.bench import Bench, ratio
from loadtests.corpus import KIB
from loadtests.drain import Drained
from loadtests.processes import Server
from loadtests.scenario import Outcome, scenario
from loadtests.upstream import Parent

CLIENTS = 64


def _ranges(bench: Bench, server: Server, seconds: float, **options: float | bool) -> Drained:
    blob = bench.corpus.giant
    return bench.drain.run(
        server.port, [(blob.path, blob.size)], connections=CLIENTS, seconds=seconds, range=64 * KIB, cores=bench.cores,
        **options,
    )  # fmt: skip


def _shares(server: Server, run: partial[Drained]) -> tuple[Drained, dict[int, float]]:
    """CPU seconds of each process of the tree during the run."""
    before = {pid: processes.cpu_seconds_of(pid) for pid in processes.tree(server.pid)}
    seen = run()
    return seen, {pid: processes.cpu_seconds_of(pid) - spent for pid, spent in before.items()}


@scenario()
def two_beside_one(bench: Bench) -> Outcome:
    """Warm 64 KiB ranges with one worker and with two, on both cores, clients and servers sharing them.

    As the clients need cores too, the rate itself cannot double on two. What a request costs and how evenly the
    workers are loaded is measured; capacity = (CPU a request with one / with two) * (all workers' CPU / the busiest
    one's). At least 1.8. nginx stands beside it.
    """
    outcome = Outcome()
    blob = bench.corpus.giant
    parent = Parent(bench.corpus, bench.folder("parent"))
    mesh = {n: ours.site(bench.folder(f"site{n}"), [parent.url], workers=n) for n in (1, 2)}
    static = {n: nginx.static(bench.corpus, bench.folder(f"static{n}"), workers=n) for n in (1, 2)}
    with bench.running(parent.server, *mesh.values(), *static.values(), pinned=False):
        for server in (*mesh.values(), *static.values()):
            bench.get(server, blob.path)
        for server in (mesh[1], *[mesh[2]] * 8):  # each worker proves what is stored when it first reads it
            bench.get(server, blob.path)
        for name, pair in (("nginx static", static), ("registry-mesh", mesh)):
            runs = bench.paired({pair[n]: partial(_ranges, bench, pair[n], bench.seconds) for n in (1, 2)})
            _, shares = _shares(pair[2], partial(_ranges, bench, pair[2], bench.seconds))
            busiest = sum(shares.values()) / max(*shares.values(), 0.01)
            cost = ratio(runs[pair[1]].us_per_request, runs[pair[2]].us_per_request)
            for n in (1, 2):
                outcome.row(
                    f"{name}, {n} worker{'s' * (n > 1)}",
                    requests_per_s=runs[pair[n]].requests_per_second,
                    cpu_us_per_request=runs[pair[n]].us_per_request,
                    p99_ms=runs[pair[n]].p99,
                    failed=runs[pair[n]].failed,
                )
            outcome.rows[-1]["capacity"] = cost * busiest
    outcome.at_least("capacity of two workers to one", outcome.rows[-1]["capacity"], 1.8)
    return outcome


@scenario(quick=False)
def one_killed(bench: Bench) -> Outcome:
    """kill -9 of the busiest of two workers under 64 clients that ask for warm ranges.

    Only its own connections are lost, each once; clients that dial again are served; the worker is back.
    """
    outcome = Outcome()
    blob = bench.corpus.giant
    parent = Parent(bench.corpus, bench.folder("parent"))
    mesh = ours.site(bench.folder("site"), [parent.url], workers=2)
    with bench.running(parent.server, mesh, pinned=False):
        bench.get(mesh, blob.path)
        before = len(processes.tree(mesh.pid))
        running = bench.drain.start(
            mesh.port, [(blob.path, blob.size)], connections=CLIENTS, seconds=4, range=64 * KIB, reconnect=True,
            check=8, compare=blob,
        )  # fmt: skip
        time.sleep(0.5)
        shares = {pid: processes.cpu_seconds_of(pid) for pid in processes.tree(mesh.pid) if pid != mesh.pid}
        time.sleep(0.5)
        gone = max(shares, key=lambda pid: processes.cpu_seconds_of(pid) - shares[pid])
        os.kill(gone, signal.SIGKILL)
        begun = time.monotonic()
        while time.monotonic() - begun < 3:
            now = processes.tree(mesh.pid)
            if gone not in now and len(now) >= before:
                break
            time.sleep(0.01)
        back = time.monotonic() - begun
        seen = running.wait()
        outcome.row(
            "registry-mesh",
            answered=seen.answered,
            connections_lost=seen.failed,
            wrong_bytes=seen.wrong_bytes,
            worker_back_s=back,
            processes=len(processes.tree(mesh.pid)),
            said=seen.complaint,
        )
        outcome.at_most("connections lost", seen.failed, CLIENTS - 1)
        outcome.at_most("wrong bytes", seen.wrong_bytes, 0)
        outcome.at_most("processes missing", before - len(processes.tree(mesh.pid)), 0)
    return outcome
